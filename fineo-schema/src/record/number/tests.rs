//! Numbers and their exact texts.

use proptest::prelude::*;

use super::{
    is_canonical_double, is_canonical_float, is_canonical_integer, short, write_double, write_float, write_integer,
    write_short,
};

#[test]
fn numbers_of_few_digits_are_short_and_others_are_not() {
    for text in ["0", "100", "-0.1", "21.5", "1.05", "123456789012345", "0.00000000000001"] {
        assert!(short(text).is_some(), "{text}");
    }
    for text in [
        "",
        "-",
        "-0",
        "-0.0",
        ".5",
        "5.",
        "01",
        "00.1",
        "1e3",
        "+1",
        "1.2.3",
        "1.50",
        "0.0",
        "1234567890123456",
        "0.000000000000001",
    ] {
        assert!(short(text).is_none(), "{text}");
    }
}

fn double(value: f64) -> String {
    let mut out = String::new();
    write_double(value, &mut out);
    out
}

#[test]
fn short_numbers_are_canonical_and_others_are_not() {
    for text in ["0", "-0", "21.5", "-21.5", "0.000001", "123456789012345", "100", "0.05"] {
        assert!(is_canonical_double(text), "{text}");
        assert_eq!(double(text.parse().unwrap()), text);
    }
    for text in ["", "-", ".5", "5.", "1.0", "01", "1e3", "+1", "1234567890123456", "1.50", "--1", "1.2.3", "0."] {
        assert!(!is_canonical_double(text), "{text}");
    }
    for (text, expected) in [("0", true), ("-0", false), ("-7", true), ("07", false), ("+7", false), ("", false)] {
        assert_eq!(is_canonical_integer(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn a_double_is_written_as_the_standard_library_does(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
        prop_assert_eq!(double(value), value.to_string());
    }

    #[test]
    fn a_measured_value_is_written_as_the_standard_library_does(digits in -10_i64.pow(12)..10_i64.pow(12), places in 0..8) {
        let value = digits as f64 / 10_f64.powi(places);
        prop_assert_eq!(double(value), value.to_string());
    }

    #[test]
    fn a_text_that_is_canonical_is_rebuilt(text in "-?[0-9]{1,7}(\\.[0-9]{0,9})?") {
        if is_canonical_double(&text) {
            prop_assert_eq!(double(text.parse().unwrap()), text.clone());
        }
        if is_canonical_float(&text) {
            let mut out = String::new();
            write_float(text.parse().unwrap(), &mut out);
            prop_assert_eq!(out, text.clone());
        }
        if is_canonical_integer(&text) {
            let mut out = String::new();
            write_integer(text.parse().unwrap(), &mut out);
            prop_assert_eq!(out, text);
        }
    }

    #[test]
    fn a_short_number_is_its_text_and_its_double(text in "-?[0-9]{1,9}(\\.[0-9]{1,7})?") {
        if let Some(found) = short(&text) {
            let mut out = String::new();
            write_short(found, &mut out);
            prop_assert_eq!(&out, &text);
            prop_assert_eq!(found.to_double(), text.parse::<f64>().unwrap());
            prop_assert_eq!(double(found.to_double()), text.clone());
            if found.fits_float() {
                prop_assert_eq!(found.to_float(), text.parse::<f32>().unwrap());
            }
        }
    }

    #[test]
    fn an_integer_is_written_as_the_standard_library_does(value in any::<i64>()) {
        let mut out = String::new();
        write_integer(value, &mut out);
        prop_assert_eq!(out, value.to_string());
    }
}
