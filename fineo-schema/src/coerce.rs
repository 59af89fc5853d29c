//! The one definition of what a text is under a type. `None` is a conflict: the text stays as it was sent.

mod decimal;
pub mod text;

use crate::{FieldType, time};

pub(crate) use decimal::write_decimal;
pub use decimal::{decimal, decimal_digits};

/// `true` or `false`, whatever the case.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        other if other.eq_ignore_ascii_case("true") => Some(true),
        other if other.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A whole number of 32 bits; `1.0` and `1e3` are whole.
pub fn int(text: &str) -> Option<i32> {
    long(text)?.try_into().ok()
}

/// A whole number of 64 bits; `1.0` and `1e3` are whole.
pub fn long(text: &str) -> Option<i64> {
    if let Some(plain) = plain_integer(text.as_bytes()) {
        return Some(plain);
    }
    decimal(text, 38, 0)?.try_into().ok()
}

/// The value of `-?[0-9]{1,18}`.
pub(crate) fn plain_integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if is_negative { -value } else { value })
}

/// A finite number of single precision.
pub fn float(text: &str) -> Option<f32> {
    text.parse().ok().filter(|value: &f32| value.is_finite())
}

/// A finite number of double precision: `1e400`, `NaN` and `inf` are none.
pub fn double(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// An instant in microseconds, by the formats that need no declaration.
pub fn timestamp(text: &str) -> Option<i64> {
    time::read_builtin(text).map(fineo_core::Timestamp::micros)
}

/// A day (`2016-02-14`) in days since 1970-01-01; of an instant, its day in UTC.
pub fn date(text: &str) -> Option<i32> {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && !text.get(1..).is_some_and(|t| t.contains('-'))
    {
        return None;
    }
    let days = time::read_builtin(text)?.micros().div_euclid(MICROS_PER_DAY);
    days.try_into().ok()
}

/// The bytes that base64 text (standard alphabet, padded or not) stands for.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if digits.len() % 4 == 1 || padding > 2 || padding > 0 && !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for chunk in digits.as_bytes().chunks(4) {
        let mut group = 0_u32;
        for byte in chunk {
            group = group << 6 | sextet(*byte)?;
        }
        group <<= 6 * (4 - chunk.len());
        let [_, a, b, c] = group.to_be_bytes();
        let (kept, dropped) = match chunk.len() {
            4 => (3, 0),
            3 => (2, u32::from(c)),
            _ => (1, u32::from(b) << 8 | u32::from(c)),
        };
        if dropped != 0 {
            return None;
        }
        out.extend_from_slice(&[a, b, c][..kept]);
    }
    Some(out)
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// The base64 text of `bytes`, padded, appended to `out`.
pub(crate) fn write_base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let group = [0, chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let group = u32::from_be_bytes(group);
        for index in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * index) & 63) as usize];
            out.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
}

/// The text itself, if it is JSON.
pub fn json(text: &str) -> Option<&str> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok().then_some(text)
}

/// Whether `text` is a value of `field_type`.
pub fn fits(text: &str, field_type: FieldType) -> bool {
    match field_type {
        FieldType::String => true,
        FieldType::Boolean => boolean(text).is_some(),
        FieldType::Int => int(text).is_some(),
        FieldType::Long => long(text).is_some(),
        FieldType::Float => float(text).is_some(),
        FieldType::Double => double(text).is_some(),
        FieldType::Decimal { precision, scale } => decimal(text, precision, scale).is_some(),
        FieldType::Timestamp => timestamp(text).is_some(),
        FieldType::Date => date(text).is_some(),
        FieldType::Bytes => bytes(text).is_some(),
        FieldType::Json => json(text).is_some(),
    }
}

#[cfg(test)]
mod tests;
