//! Numbers and the one text that each is written as.
//!
//! A text that is its number's canonical text needs no copy beside the number.

use std::fmt::Write as _;

/// Digits of which any decimal number survives a detour through a double.
const DOUBLE_DIGITS: usize = 15;
/// The same for single precision.
const FLOAT_DIGITS: usize = 6;

const FLOAT_DIGITS_MAX: u32 = FLOAT_DIGITS as u32;

/// Whether `text` is what [`write_integer`] makes of its value.
pub(crate) fn is_canonical_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether `text` is certainly what [`write_double`] makes of its value.
pub(crate) fn is_canonical_double(text: &str) -> bool {
    is_short_decimal(text, DOUBLE_DIGITS)
}

/// Whether `text` is certainly what [`write_float`] makes of its value.
pub(crate) fn is_canonical_float(text: &str) -> bool {
    is_short_decimal(text, FLOAT_DIGITS)
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?` with at most `digits_max` digits.
fn is_short_decimal(text: &str, digits_max: usize) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text).as_bytes();
    if text.len() > digits_max + 1 {
        return false;
    }
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = text.split_at(point);
    let whole_is_plain = match whole {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let fraction_is_plain = match fraction {
        [] => true,
        [_, digits @ .., last] => digits.iter().all(u8::is_ascii_digit) && (b'1'..=b'9').contains(last),
        [_] => false,
    };
    let digits = whole.len() + fraction.len().saturating_sub(1);
    whole_is_plain && fraction_is_plain && digits <= digits_max
}

/// A decimal number of few digits: `unscaled / 10^places`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) unscaled: i64,
    pub(crate) places: u8,
}

/// The number that `text` is, if [`write_short`] makes exactly this text of it.
pub(crate) fn short(text: &str) -> Option<Short> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > DOUBLE_DIGITS + 1 {
        return None;
    }
    let mut unscaled = 0_i64;
    let mut point = None;
    for (at, byte) in digits.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => unscaled = unscaled * 10 + i64::from(digit),
            _ if *byte == b'.' && point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let (whole, places) = match point {
        None => (digits.len(), 0),
        Some(at) => (at, digits.len() - at - 1),
    };
    // A digit before the point, no zero before others nor at the end: then its double gives the text back, too.
    let ends_well = point.is_none() || places > 0 && unscaled % 10 != 0;
    let is_plain = whole > 0 && ends_well && (whole == 1 || digits[0] != b'0');
    // Zero has no sign in an integer.
    if !is_plain || whole + places > DOUBLE_DIGITS || is_negative && unscaled == 0 {
        return None;
    }
    Some(Short { unscaled: if is_negative { -unscaled } else { unscaled }, places: u8::try_from(places).ok()? })
}

/// The one text of a short number.
pub(crate) fn write_short(short: Short, out: &mut String) {
    // Room for twenty digits, a point and a sign.
    let mut text = [b'0'; 24];
    let mut at = text.len();
    let mut rest = short.unscaled.unsigned_abs();
    let mut digits = 0;
    while rest > 0 || digits <= short.places {
        if digits == short.places && digits > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        digits += 1;
    }
    if short.unscaled < 0 {
        at -= 1;
        text[at] = b'-';
    }
    push_ascii(&text[at..], out);
}

fn push_ascii(text: &[u8], out: &mut String) {
    out.push_str(std::str::from_utf8(text).expect("digits are ascii"));
}

impl Short {
    /// The most places that any short number has.
    pub(crate) const PLACES_MAX: u8 = 15;

    /// Whether a float of single precision tells it from its neighbours.
    pub(crate) fn fits_float(self) -> bool {
        self.unscaled.unsigned_abs() < 10_u64.pow(FLOAT_DIGITS_MAX) && u32::from(self.places) <= FLOAT_DIGITS_MAX
    }

    /// The float nearest to it, of one that fits.
    pub(crate) fn to_float(self) -> f32 {
        // Both are exact in single precision too, and a quotient of such is rounded once.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a double has enough digits that rounding twice is harmless"
        )]
        let float = self.to_double() as f32;
        float
    }

    /// The double nearest to it.
    pub(crate) fn to_double(self) -> f64 {
        const POWERS: [f64; 16] =
            [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
        // Both are exact, so the quotient is the double nearest to the decimal number: what parsing it gives.
        #[expect(clippy::cast_precision_loss, reason = "fifteen digits are fewer than 2^53")]
        let unscaled = self.unscaled as f64;
        unscaled / POWERS[usize::from(self.places.min(Self::PLACES_MAX))]
    }
}

pub(crate) fn write_integer(value: i64, out: &mut String) {
    if value < 0 {
        out.push('-');
    }
    write_digits(value.unsigned_abs(), 1, out);
}

/// At least `width` digits.
fn write_digits(mut value: u64, width: usize, out: &mut String) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 || digits.len() - at < width {
        at -= 1;
        digits[at] = b'0' + (value % 10).to_le_bytes()[0];
        value /= 10;
    }
    push_ascii(&digits[at..], out);
}

/// The shortest text that reads back as `value`, never with an exponent.
pub(crate) fn write_double(value: f64, out: &mut String) {
    const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    const EXACT: f64 = 1e15;
    let magnitude = value.abs();
    for (places, power) in POWERS.iter().enumerate() {
        let scaled = (magnitude * power).round();
        if scaled >= EXACT {
            break;
        }
        // Both are exact, so the quotient is the double nearest to the decimal number: what parsing it gives.
        if scaled / power == magnitude {
            if value.is_sign_negative() {
                out.push('-');
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and below 2^53")]
            let scaled = scaled as u64;
            let unit = 10_u64.pow(u32::try_from(places).expect("less than ten"));
            write_digits(scaled / unit, 1, out);
            if places > 0 {
                out.push('.');
                write_digits(scaled % unit, places, out);
            }
            return;
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// The shortest text that reads back as `value`, never with an exponent.
pub(crate) fn write_float(value: f32, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests;
