//! What a text looks like: the evidence from which a never-declared name gets its type.

use fineo_schema::{FieldType, coerce};

/// What a text is, by its looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextClass {
    /// `true` or `false`.
    Boolean,
    /// A whole number that is written as a [`FieldType::Long`] is.
    Long,
    /// A whole number that is written as a [`FieldType::Long`] and as a [`FieldType::Double`] is.
    Short,
    /// A number that is written as a [`FieldType::Double`] is.
    Double,
    /// A number that is written otherwise: `157.10`, `1e3`.
    Number,
    /// Anything else.
    Other,
}

/// Digits of which any whole number survives a detour through a double.
const DOUBLE_DIGITS: usize = 15;
/// No number is longer.
const NUMBER_BYTES_MAX: usize = 40;

/// What `text` looks like.
pub(crate) fn classify(text: &str) -> TextClass {
    let bytes = text.as_bytes();
    match bytes {
        b"true" | b"false" => return TextClass::Boolean,
        [b'-', b'0'..=b'9', ..] | [b'0'..=b'9', ..] if bytes.len() <= NUMBER_BYTES_MAX => {}
        _ => return TextClass::Other,
    }
    if bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
        return match coerce::text::is_exact(text, FieldType::Long) {
            true if bytes.len() <= DOUBLE_DIGITS => TextClass::Short,
            true => TextClass::Long,
            false => as_double(text),
        };
    }
    as_double(text)
}

fn as_double(text: &str) -> TextClass {
    match coerce::text::is_exact(text, FieldType::Double) {
        true => TextClass::Double,
        false if coerce::double(text).is_some() => TextClass::Number,
        false => TextClass::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_they_look_like() {
        for (text, expected) in [
            ("true", TextClass::Boolean),
            ("True", TextClass::Other),
            ("-41", TextClass::Short),
            ("007", TextClass::Number),
            ("9007199254740993", TextClass::Long),
            ("21.5", TextClass::Double),
            ("157.10", TextClass::Number),
            ("1e3", TextClass::Number),
            ("1.0.3", TextClass::Other),
            ("2016-02-14", TextClass::Other),
            ("warm", TextClass::Other),
            ("", TextClass::Other),
            ("-", TextClass::Other),
        ] {
            assert_eq!(classify(text), expected, "{text}");
        }
    }
}
