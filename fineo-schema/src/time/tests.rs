//! Formats of times and what they read.

use super::{TimeFormat, TimeParser};

fn millis(formats: &[&str], text: &str) -> Option<i64> {
    let formats: Vec<_> = formats.iter().map(|format| TimeFormat::parse(format).unwrap()).collect();
    TimeParser::new(formats.iter()).parse(text).map(|time| time.micros() / 1000)
}

#[track_caller]
fn check(formats: &[&str], text: &str, expected: i64) {
    assert_eq!(millis(formats, text), Some(expected), "{text} by {formats:?}");
}

#[test]
fn without_a_stated_format_common_ones_are_read() {
    check(&[], "1453415532345", 1_453_415_532_345);
    check(&[], "-1", -1);
    check(&[], "2016-01-21T22:32:12.345Z", 1_453_415_532_345);
    check(&[], "2016-01-21T14:32:12.345-08:00", 1_453_415_532_345);
    check(&[], "2016-01-21T22:32:12.345", 1_453_415_532_345);
    check(&[], "2016-01-21 22:32:12.345", 1_453_415_532_345);
    check(&[], "2016-01-21", 1_453_334_400_000);
    check(&[], "Thu, 21 Jan 2016 22:32:12 GMT", 1_453_415_532_000);
    check(&[], "0001-01-01T00:00:00Z", -62_135_596_800_000);
}

#[test]
fn patterns_read_what_people_write() {
    check(&["%B %d, %Y %H:%M:%S"], "January 12, 2015 10:12:15", 1_421_057_535_000);
    check(&["%d/%m/%Y %H:%M"], "14/02/2016 0:00", 1_455_408_000_000);
    check(&["%d/%m/%Y %H:%M"], "4/2/2016 9:05", 1_454_576_700_000);
    check(&["%Y-%m-%d"], "2016-02-14", 1_455_408_000_000);
    check(&["%Y%m%d"], "20160214", 1_455_408_000_000);
    check(&["%Y-%m-%d %H:%M:%S%.f"], "2016-01-21 22:32:12.345", 1_453_415_532_345);
    check(&["%Y-%m-%d %H:%M:%S%z"], "2016-01-21 14:32:12-0800", 1_453_415_532_000);
    check(&["%d.%m.%Y %I:%M %p"], "14.02.2016 12:00 am", 1_455_408_000_000);
}

#[test]
fn a_zone_counts_only_for_values_that_carry_none() {
    check(&["%Y-%m-%d %H:%M:%S @ -08:00"], "2016-01-21 15:32:12", 1_453_419_132_000);
    check(&["%Y-%m-%d %H:%M:%S @ UTC-8"], "2016-01-21 15:32:12", 1_453_419_132_000);
    check(&["%Y-%m-%d %H:%M @ Europe/Berlin"], "2016-07-01 12:00", 1_467_367_200_000);
    check(&["%Y-%m-%d %H:%M %z @ Europe/Berlin"], "2016-07-01 12:00 +0000", 1_467_374_400_000);
    check(&["iso_date_time @ Europe/Berlin"], "2016-07-01T12:00:00", 1_467_367_200_000);
    check(&["iso_date_time @ Europe/Berlin"], "2016-07-01T12:00:00Z", 1_467_374_400_000);
}

#[test]
fn numbers_count_in_the_stated_unit() {
    check(&["epoch_s"], "1453415532", 1_453_415_532_000);
    check(&["epoch_s"], "1453415532.345", 1_453_415_532_345);
    check(&["epoch_us"], "1453415532345000", 1_453_415_532_345);
    check(&["epoch_ns"], "1453415532345000999", 1_453_415_532_345);
    check(&["epoch_s", "epoch_ms"], "1453415532", 1_453_415_532_000);
    check(&["epoch_s", "epoch_ms"], "1453415532345", 1_453_415_532_345);
}

#[test]
fn the_last_day_of_the_last_year_is_read_to_its_end() {
    // Q22
    const LAST: i64 = 253_402_300_799_999;
    check(&[], "9999-12-31T23:59:59.999999Z", LAST);
    check(&[], "9999-12-31T23:59:59.999999", LAST);
    check(&[], "9999-12-31", LAST - 86_399_999);
    check(&[], "9999-12-31T18:59:59.999-05:00", LAST);
    check(&[], "Fri, 31 Dec 9999 23:59:59 GMT", LAST - 999);
    check(&["iso_instant"], "9999-12-31T23:59:59.999Z", LAST);
    check(&["%d/%m/%Y %H:%M:%S"], "31/12/9999 23:59:59", LAST - 999);
    check(&["%d/%m/%Y %H:%M:%S @ -05:00"], "31/12/9999 18:59:59", LAST - 999);
    check(&["%d/%m/%Y %H:%M:%S @ Europe/Berlin"], "31/12/9999 23:59:59", LAST - 999 - 3_600_000);
    check(&["%d/%m/%Y %H:%M:%S %z"], "31/12/9999 18:59:59 -0500", LAST - 999);
    for text in ["9999-12-31T23:59:59.999-00:01", "0001-01-01T00:00:00+00:01", "0000-12-31", "9999-13-01T00:00:00Z"] {
        assert_eq!(millis(&[], text), None, "{text}");
    }
}

#[test]
fn what_fits_no_format_is_no_time() {
    let nested = format!("Thu, 21 Jan 2016 22:32:12 GMT {}", "(".repeat(100_000)); // E26
    for text in ["", "warm", "10000-01-01T00:00:00Z", "99999999999999999", "1e12", "12:00", "true", &nested] {
        assert_eq!(millis(&[], text), None, "{text}");
    }
    assert_eq!(millis(&["iso_instant"], "2016-13-01T00:00:00Z"), None);
}

#[test]
fn a_pattern_is_checked_when_it_is_saved() {
    for text in ["", "%H:%M", "%K %Y-%m-%d", "uuuu-MM-dd", "%Y", "%Y-%m-%d @ Mars/Olympus", "%Y-%m-%d @ +99"] {
        TimeFormat::parse(text).unwrap_err();
    }
    assert_eq!(TimeFormat::parse(" epoch_s ").unwrap().to_string(), "epoch_s");
}
