//! Texts of cells as attributes: of a native type where DynamoDB gives back the very text, as texts where it would not.
//!
//! A text decides by itself how it is stored, so that a filter finds it: the same text is the same attribute in every row.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::dynamo::text;

/// The most digits of a number; DynamoDB keeps 38 that count.
const DIGITS_MAX: usize = 38;
/// The most zeros between the point and a digit that counts. How AWS writes smaller numbers is not said anywhere.
const ZEROS_MAX: usize = 5;

/// The attribute that `cell` is stored as.
pub(super) fn attribute_of(cell: &str) -> AttributeValue {
    match cell {
        "true" => AttributeValue::Bool(true),
        "false" => AttributeValue::Bool(false),
        _ if is_kept_as_number(cell) => AttributeValue::N(cell.to_owned()),
        _ => text(cell),
    }
}

/// The text that an attribute was stored for; none for what no cell is stored as.
pub(super) fn cell_of(attribute: &AttributeValue) -> Option<&str> {
    match attribute {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text),
        AttributeValue::Bool(true) => Some("true"),
        AttributeValue::Bool(false) => Some("false"),
        _ => None,
    }
}

/// Whether DynamoDB answers a number with these very characters: it drops signs, zeros and exponents that say nothing.
fn is_kept_as_number(cell: &str) -> bool {
    let unsigned = cell.strip_prefix('-').unwrap_or(cell);
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(whole, part)| (whole, Some(part)));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_exact = |part: &str| is_digits(part) && !part.ends_with('0');
    let zeros = |part: &str| part.bytes().take_while(|byte| *byte == b'0').count();
    is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(is_exact)
        && whole.len() + fraction.map_or(0, str::len) <= DIGITS_MAX
        && (whole != "0" || fraction.is_none_or(|part| zeros(part) <= ZEROS_MAX))
        && cell != "-0"
}

#[cfg(test)]
mod tests {
    //! What is stored as what, and that every text comes back.

    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::prelude::*;

    use super::{attribute_of, cell_of};

    fn kind(cell: &str) -> &'static str {
        let attribute = attribute_of(cell);
        assert_eq!(cell_of(&attribute), Some(cell));
        match attribute {
            AttributeValue::N(_) => "N",
            AttributeValue::S(_) => "S",
            AttributeValue::Bool(_) => "BOOL",
            _ => "another",
        }
    }

    #[test]
    fn what_dynamodb_would_write_in_the_same_way_is_a_number() {
        let longest = "12345678901234567890123456789012345678";
        for cell in ["0", "7", "-7", "100", "21.5", "-0.5", "0.000001", "1234.000000001", longest] {
            assert_eq!(kind(cell), "N", "{cell}");
        }
        for cell in ["true", "false"] {
            assert_eq!(kind(cell), "BOOL", "{cell}");
        }
    }

    #[test]
    fn what_dynamodb_would_change_or_refuse_is_a_text() {
        let too_long = "123456789012345678901234567890123456789";
        for cell in [
            "",
            "-",
            ".",
            "-0",
            "0.0",
            "1.0",
            "-1.50",
            "+1",
            "01",
            "-01",
            "00",
            ".5",
            "5.",
            "1e3",
            "1E3",
            "0.0000001",
            "--1",
            "1.2.3",
            "1,5",
            " 1",
            "1 ",
            "NaN",
            "Infinity",
            "٣",
            "１",
            "True",
            "TRUE",
            "null",
            too_long,
        ] {
            assert_eq!(kind(cell), "S", "{cell}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(cell in prop_oneof![any::<String>(), "[-+0-9.eE]{0,45}", "-?[0-9]{1,40}(\\.[0-9]{1,10})?"]) {
            kind(&cell);
        }

        // The text of a number as a machine writes it shortest, which is what sensors send.
        #[test]
        fn plain_numbers_are_numbers(number in -1e12..1e12_f64) {
            let cell = (number * 1e3).round() / 1e3;
            prop_assert_eq!(kind(&if cell == 0.0 { "0".to_owned() } else { cell.to_string() }), "N");
        }
    }
}
