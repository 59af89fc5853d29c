//! Conversions are exact as long as they can be.

use super::*;

fn affine(scale: f64, offset: f64) -> Affine {
    Affine::new(&Conversion { scale, offset, metric_name: None, from: None, to: None })
}

fn long(scale: f64, offset: f64, text: &str) -> Option<i64> {
    affine(scale, offset).long(Sent::Text(text), &mut String::new())
}

fn decimal(scale: f64, offset: f64, text: &str) -> Option<i128> {
    affine(scale, offset).decimal(Sent::Text(text), 20, 2, &mut String::new())
}

#[test]
fn whole_numbers_beyond_a_double_are_converted_to_the_last_digit() {
    assert_eq!(long(1.0, 0.0, "9007199254740993"), Some(9_007_199_254_740_993));
    assert_eq!(long(2.0, 1.0, "4503599627370497"), Some(9_007_199_254_740_995));
    assert_eq!(long(-1.0, 0.0, "9223372036854775807"), Some(-i64::MAX));
    assert_eq!(long(0.001, 0.0, "9007199254740993000"), Some(9_007_199_254_740_993));
    assert_eq!(long(1e3, -0.5, "1.0005"), Some(1000));
    assert_eq!(long(2.0, 0.0, "1.5"), Some(3));
}

#[test]
fn what_is_no_whole_number_or_too_large_is_none() {
    assert_eq!(long(2.0, 0.0, "9223372036854775807"), None);
    assert_eq!(long(0.5, 0.0, "3"), None);
    assert_eq!(long(1e-300, 0.0, "1"), None);
    assert_eq!(long(1e300, 0.0, "1"), None);
    assert_eq!(long(2.0, 0.0, "warm"), None);
    assert_eq!(long(1e300, 0.0, "0"), Some(0));
}

#[test]
fn a_factor_that_is_no_short_decimal_goes_through_a_double() {
    assert_eq!(affine(5.0 / 9.0, -160.0 / 9.0).exact, None);
    assert_eq!(long(5.0 / 9.0, 0.0, "9"), Some(5));
    assert_eq!(long(1.0 / 3.0, 0.0, "13510798882111488"), Some(4_503_599_627_370_496));
    assert_eq!(long(1.0 / 3.0, 0.0, "27021597764222976"), None, "a double does not tell this from its neighbour");
    assert_eq!(decimal(5.0 / 9.0, -160.0 / 9.0, "50"), Some(1000));
}

#[test]
fn decimals_are_rounded_half_away_from_zero() {
    assert_eq!(decimal(1.0, 0.0, "1.005"), Some(101));
    assert_eq!(decimal(-1.0, 0.0, "1.005"), Some(-101));
    assert_eq!(decimal(1.0, 0.0, "1.00499999999999999999"), Some(100));
    assert_eq!(decimal(0.5, 0.0, "0.01"), Some(1));
    assert_eq!(decimal(2.0, 0.01, "617283945061728.39"), Some(123_456_789_012_345_679));
    assert_eq!(decimal(1e-30, 0.0, "1"), Some(0));
    assert_eq!(decimal(1e-45, 0.0, "9"), Some(0));
    assert_eq!(decimal(1.0, 0.0, "0.000000000000000000000000000000000000000049"), Some(0));
}

#[test]
fn a_decimal_that_is_too_large_once_it_is_converted_is_none() {
    assert_eq!(decimal(10.0, 0.0, "99999999999999999.99"), Some(99_999_999_999_999_999_990));
    assert_eq!(decimal(10.0, 0.0, "999999999999999999.99"), None);
    assert_eq!(decimal(1.0, 0.0, "999999999999999999.995"), None, "rounding makes it too long");
    assert_eq!(decimal(1e30, 0.0, "1"), None);
}

#[test]
fn more_digits_than_there_is_room_for_go_through_a_double() {
    let text = "0.1234567890123456789012345678901234567890123";
    assert_eq!(decimal(10.0, 0.0, text), Some(123));
    assert_eq!(long(1.0, 0.0, "1000000000000000000000000000000000000000000"), None);
}

#[test]
fn numbers_are_converted_alike_however_they_are_stored() {
    let scales = [(2.0, 0.0), (0.1, 3.0), (5.0 / 9.0, -160.0 / 9.0), (-1e10, 0.25), (1e-3, 0.0)];
    let mut scratch = String::new();
    for (scale, offset) in scales {
        let affine = affine(scale, offset);
        for unscaled in [0, 1, -450, 12_345, 1_234_567_890_123_456_789_i64] {
            let (whole, cents) = (unscaled.to_string(), {
                let mut text = String::new();
                text::write_decimal(unscaled.into(), 2, &mut text);
                text
            });
            for (text, stored) in [(&whole, Sent::Whole(unscaled)), (&cents, Sent::Decimal(unscaled.into(), 2))] {
                let (sent, context) = (Sent::Text(text), format!("{text} * {scale} + {offset}"));
                assert_eq!(affine.long(sent, &mut scratch), affine.long(stored, &mut scratch), "{context}");
                let decimal = |sent, scratch: &mut String| affine.decimal(sent, 30, 4, scratch);
                assert_eq!(decimal(sent, &mut scratch), decimal(stored, &mut scratch), "{context}");
            }
        }
    }
}

#[test]
fn what_overflows_is_none_and_no_infinity() {
    assert_eq!(affine(1e10, 0.0).double(1e308), None);
    assert_eq!(affine(-1e10, 0.0).double(1e308), None);
    assert_eq!(affine(2.0, 0.0).double(1e307), Some(2e307));
    assert_eq!(affine(10.0, 0.0).float(3e38), None);
}
