//! What each type makes of a text.

use super::{boolean, bytes, date, decimal, double, float, int, json, long, timestamp, write_base64, write_decimal};

#[test]
fn whole_numbers_are_whole_however_they_are_written() {
    for (text, expected) in [
        ("1", Some(1)),
        ("1.0", Some(1)),
        ("1e3", Some(1000)),
        ("-7", Some(-7)),
        ("+7", Some(7)),
        ("1500e-2", Some(15)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("9007199254740993", Some(9_007_199_254_740_993)),
        ("1.5", None),
        ("1e400", None),
        ("1e99999999999999999999", None),
        ("0e99999999999999999999", Some(0)),
        ("warm", None),
        ("", None),
        ("-", None),
        (".", None),
        ("1e", None),
        (" 1", None),
    ] {
        assert_eq!(long(text), expected, "{text}");
    }
    assert_eq!(int("2147483648"), None);
    assert_eq!(int("2147483647"), Some(i32::MAX));
}

#[test]
fn doubles_are_finite_numbers() {
    assert_eq!(double("21.5"), Some(21.5));
    assert_eq!(double("1"), Some(1.0));
    for text in ["1e400", "NaN", "inf", "Infinity", "warm", "", "0x10"] {
        assert_eq!(double(text), None, "{text}");
    }
    assert_eq!(float("1e39"), None);
}

#[test]
fn decimals_are_exact_and_bounded() {
    assert_eq!(decimal("12.34", 4, 2), Some(1234));
    assert_eq!(decimal("12.3", 4, 2), Some(1230));
    assert_eq!(decimal("12.345", 5, 2), None);
    assert_eq!(decimal("123.4", 4, 2), None);
    assert_eq!(decimal("-0.01", 38, 2), Some(-1));
    assert_eq!(decimal("99999999999999999999999999999999999999", 38, 0), Some(10_i128.pow(38) - 1));
    assert_eq!(decimal("100000000000000000000000000000000000000", 38, 0), None);
    let mut out = String::new();
    write_decimal(-1, 2, &mut out);
    assert_eq!(out, "-0.01");
}

#[test]
fn booleans_are_words() {
    assert_eq!(boolean("true"), Some(true));
    assert_eq!(boolean("False"), Some(false));
    assert_eq!(boolean("1"), None);
}

#[test]
fn times_and_days_are_read_by_the_common_formats() {
    assert_eq!(timestamp("1970-01-01T00:00:01Z"), Some(1_000_000));
    assert_eq!(timestamp("1000"), Some(1_000_000));
    assert_eq!(date("2016-02-14"), Some(16_845));
    assert_eq!(date("1969-12-31T23:00:00Z"), Some(-1));
    assert_eq!(date("16845"), None);
    assert_eq!(date("2016-02-30"), None);
}

#[test]
fn bytes_are_base64() {
    assert_eq!(bytes("AQID"), Some(vec![1, 2, 3]));
    assert_eq!(bytes("AQI="), Some(vec![1, 2]));
    assert_eq!(bytes("AQI"), Some(vec![1, 2]));
    assert_eq!(bytes(""), Some(vec![]));
    for text in ["A", "AQ=I", "AQJ=", "A===", "AQID=", "????"] {
        assert_eq!(bytes(text), None, "{text}");
    }
    let mut out = String::new();
    write_base64(&[1, 2], &mut out);
    assert_eq!(out, "AQI=");
}

#[test]
fn json_is_json() {
    assert_eq!(json(r#"{"a":[1]}"#), Some(r#"{"a":[1]}"#));
    assert_eq!(json("{"), None);
    assert_eq!(json(&"[".repeat(100_000)), None);
}
