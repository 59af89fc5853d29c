//! What an interval may be written as.

use super::{Length, read, spelled};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;

fn check(text: &str, months: i32, days: i32, nanos: i64) {
    assert_eq!(read(text), Some(Length { months, days, nanos }), "{text}");
}

#[test]
fn an_interval_is_read_as_postgres_reads_it() {
    let time = 4 * HOUR + 5 * 60 * SECOND + 6 * SECOND;
    check("1 day 04:05:06", 0, 1, time);
    check("-1 day 04:05:06", 0, -1, time);
    check("-1 day -04:05:06.5", 0, -1, -time - SECOND / 2);
    check("1 04:05:06", 0, 1, time);
    check("04:05", 0, 0, 4 * HOUR + 5 * 60 * SECOND);
    check("05:06.5", 0, 0, 5 * 60 * SECOND + 6 * SECOND + SECOND / 2);
    check("1-2 3 4:05:06", 14, 3, time);
    check("-1-2", -14, 0, 0);
    check("P1DT4H", 0, 1, 4 * HOUR);
    check("PT15M", 0, 0, HOUR / 4);
    check("p1y2m3w4dt4h5m6.5s", 14, 25, time + SECOND / 2);
    check("P-1Y-2M3DT-4H-5M-6S", -14, 3, -time);
    check("P0001-02-03T04:05:06", 14, 3, time);
    check("@ 2 hours 3 days ago", 0, -3, -2 * HOUR);
    check("1 year 2 mons 3 days", 14, 3, 0);
    check("1.5 months 1.5 weeks", 1, 15 + 10, 12 * HOUR);
    check("1.5 years", 18, 0, 0);
    check("2h 30m", 0, 0, 2 * HOUR + HOUR / 2);
    check("3", 0, 0, 3 * SECOND);
    check("1 century 2 decades 1 millennium", 12 * 1_120, 0, 0);
}

#[test]
fn what_is_no_interval_is_none() {
    for text in [
        "",
        "P",
        "PT",
        "P1",
        "P1DT",
        "P1H",
        "1:60",
        "1:2:60",
        "1:2:3:4",
        "1-12",
        "x",
        "1 x",
        "ago",
        "1 day 2 3:04 x",
        "--1 day",
        "1 2 days",
    ] {
        assert_eq!(read(text), None, "{text:?}");
    }
    assert_eq!(read("99999999999999 years"), None);
}

#[test]
fn what_the_engine_reads_is_left_to_it() {
    assert_eq!(spelled("1 day"), None);
    assert_eq!(spelled("-1.5 hours"), None);
    assert_eq!(spelled("nonsense:"), None);
    assert_eq!(spelled("1 day 00:00:01"), Some("0 months 1 days 1000000000 nanoseconds".to_owned()));
}
