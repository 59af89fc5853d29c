//! The one text that each typed value is written as: who stores values and who reads them back agree here.
//!
//! A text that [`is_exact`] under a type needs no copy beside its value: writing the value gives the text back.

use fineo_core::Timestamp;

use super::{boolean, bytes, date, decimal, double, float, int, json, long, timestamp};
use crate::{
    FieldType,
    record::number::{
        is_canonical_double, is_canonical_float, is_canonical_integer, write_double as double_text,
        write_float as float_text, write_integer,
    },
};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Appends `true` or `false`.
pub fn write_boolean(value: bool, out: &mut String) {
    out.push_str(if value { "true" } else { "false" });
}

/// Appends a whole number of 32 bits.
pub fn write_int(value: i32, out: &mut String) {
    write_integer(value.into(), out);
}

/// Appends a whole number of 64 bits.
pub fn write_long(value: i64, out: &mut String) {
    write_integer(value, out);
}

/// Appends the shortest text that reads back as `value`, never with an exponent.
pub fn write_float(value: f32, out: &mut String) {
    float_text(value, out);
}

/// Appends the shortest text that reads back as `value`, never with an exponent.
pub fn write_double(value: f64, out: &mut String) {
    double_text(value, out);
}

/// Appends `unscaled / 10^scale` with exactly `scale` digits behind the point.
pub fn write_decimal(unscaled: i128, scale: i8, out: &mut String) {
    super::write_decimal(unscaled, scale.unsigned_abs(), out);
}

/// Appends an instant as RFC 3339 with `Z` and as many digits of a second as it has.
pub fn write_timestamp(micros: i64, out: &mut String) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(out, "{}", Timestamp::saturating_from_micros(micros));
}

/// Appends a day as `2016-02-14`.
pub fn write_date(days: i32, out: &mut String) {
    let start = out.len();
    write_timestamp(i64::from(days).saturating_mul(MICROS_PER_DAY), out);
    if let Some(time) = out[start..].find('T') {
        out.truncate(start + time);
    }
}

/// Appends bytes as base64 text, padded.
pub fn write_bytes(value: &[u8], out: &mut String) {
    super::write_base64(value, out);
}

/// Whether `text` is a value of `field_type` and what that value is written as; then it can be rebuilt.
pub fn is_exact(text: &str, field_type: FieldType) -> bool {
    let same = |write: &dyn Fn(&mut String)| {
        let mut out = String::new();
        write(&mut out);
        out == text
    };
    match field_type {
        FieldType::String => true,
        FieldType::Json => json(text).is_some(),
        FieldType::Boolean => boolean(text).is_some() && matches!(text, "true" | "false"),
        FieldType::Int => is_canonical_integer(text) && int(text).is_some(),
        FieldType::Long => is_canonical_integer(text) && long(text).is_some(),
        FieldType::Float => {
            let is_exact = || float(text).is_some_and(|value| same(&|out| write_float(value, out)));
            is_canonical_float(text) || !is_never_written(text) && is_exact()
        }
        FieldType::Double => {
            let is_exact = || double(text).is_some_and(|value| same(&|out| write_double(value, out)));
            is_canonical_double(text) || !is_never_written(text) && is_exact()
        }
        FieldType::Decimal { precision, scale } => {
            decimal(text, precision, scale).is_some_and(|value| same(&|out| write_decimal(value, scale, out)))
        }
        FieldType::Timestamp => timestamp(text).is_some_and(|value| same(&|out| write_timestamp(value, out))),
        FieldType::Date => date(text).is_some_and(|value| same(&|out| write_date(value, out))),
        FieldType::Bytes => bytes(text).is_some_and(|value| same(&|out| write_bytes(&value, out))),
    }
}

/// Whether no float is written like that, whatever its value: a zero ends its fraction, or there is an exponent.
fn is_never_written(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [.., b'.' | b'0']) && bytes.contains(&b'.') || bytes.iter().any(|byte| matches!(byte, b'e' | b'E'))
}

#[cfg(test)]
mod tests;
