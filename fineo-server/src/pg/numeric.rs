//! Numbers of Postgres' type `numeric`, as text and as binary.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::failure::Failure;

/// The base of the binary form's digits.
const BASE: u128 = 10_000;
/// Decimal digits in one digit of the binary form.
const GROUP: usize = 4;
const NEGATIVE: u16 = 0x4000;
const DIGITS_MAX: usize = 38;

/// A whole number as text, with a point before the last `scale` of its digits.
pub(super) fn plain(number: &str, scale: i8) -> String {
    let (is_negative, digits) = number.strip_prefix('-').map_or((false, number), |digits| (true, digits));
    let sign = if is_negative { "-" } else { "" };
    let Ok(scale) = usize::try_from(scale) else {
        let zeros = usize::from(scale.unsigned_abs());
        let zeros = if digits == "0" { 0 } else { zeros };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// A number written plainly, as the binary form without its length.
pub(super) fn put_binary(text: &str, row: &mut BytesMut) {
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // The point falls between two groups of digits.
    let whole = format!("{}{whole}", "0".repeat((GROUP - whole.len() % GROUP) % GROUP));
    let aligned = format!("{whole}{fraction}{}", "0".repeat((GROUP - fraction.len() % GROUP) % GROUP));
    let group = |group: &[u8]| group.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0'));
    let all: Vec<i16> = aligned.as_bytes().chunks(GROUP).map(group).collect();
    let leading = all.iter().take_while(|group| **group == 0).count();
    let trailing = all[leading..].iter().rev().take_while(|group| **group == 0).count();
    let groups = &all[leading..all.len() - trailing];
    let weight = if groups.is_empty() { 0 } else { (whole.len() / GROUP) as i16 - 1 - leading as i16 };
    row.put_i16(groups.len() as i16);
    row.put_i16(weight);
    row.put_u16(if is_negative { NEGATIVE } else { 0 });
    row.put_i16(fraction.len() as i16);
    for group in groups {
        row.put_i16(*group);
    }
}

/// A number of the binary form: its digits as one whole number, and how many of them follow the point.
pub(super) fn binary(mut bytes: Bytes) -> Result<(i128, i8), Failure> {
    if bytes.len() < 8 {
        return Err(malformed());
    }
    let count = usize::from(bytes.get_u16());
    let weight = i32::from(bytes.get_i16());
    let sign = bytes.get_u16();
    let scale = i8::try_from(bytes.get_u16()).map_err(|_| too_long())?;
    if bytes.len() != count * 2 {
        return Err(malformed());
    }
    if sign != 0 && sign != NEGATIVE {
        return Err(Failure::error("0A000", "NaN and infinity are no values of a decimal"));
    }
    let mut value: i128 = 0;
    for index in 0..count {
        let group = bytes.get_u16();
        if u128::from(group) >= BASE {
            return Err(malformed());
        }
        let exponent = (weight - index as i32) * GROUP as i32 + i32::from(scale);
        let part = match u32::try_from(exponent) {
            Ok(exponent) => 10_i128.checked_pow(exponent).and_then(|power| power.checked_mul(i128::from(group))),
            // Digits past the scale that is shown are zero.
            Err(_) => Some(
                10_u32.checked_pow(exponent.unsigned_abs()).map_or(0, |power| i128::from(u32::from(group) / power)),
            ),
        };
        value = part.and_then(|part| value.checked_add(part)).ok_or_else(too_long)?;
    }
    fitting(if sign == NEGATIVE { -value } else { value }, scale)
}

/// A number as text: its digits as one whole number, and how many of them follow the point. None where it is no number,
/// or one whose exponent leads beyond what a decimal has.
pub(super) fn parse(text: &str) -> Option<Result<(i128, i8), Failure>> {
    let text = text.trim();
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some((digits, exponent)) = digits.split_once(['e', 'E']) {
        let exponent: i32 = exponent.parse().ok()?;
        let (value, scale) =
            parse(digits)?.ok().filter(|_| digits.starts_with(|first: char| "0123456789.".contains(first)))?;
        let (value, scale) = shifted(value, i32::from(scale).checked_sub(exponent)?)?;
        return Some(Ok((if is_negative { -value } else { value }, scale)));
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    if significant.len() > DIGITS_MAX || fraction.len() > DIGITS_MAX {
        return Some(Err(too_long()));
    }
    let value: i128 = if significant.is_empty() { 0 } else { significant.parse().ok()? };
    let scale = i8::try_from(fraction.len()).ok()?;
    Some(fitting(if is_negative { -value } else { value }, scale))
}

/// `value` times ten to the power of minus `scale`, where a decimal has that.
fn shifted(value: i128, scale: i32) -> Option<(i128, i8)> {
    if scale >= 0 {
        return fitting(value, i8::try_from(scale).ok()?).ok();
    }
    let zeros = if value == 0 { 0 } else { scale.unsigned_abs() };
    fitting(value.checked_mul(10_i128.checked_pow(zeros)?)?, 0).ok()
}

fn fitting(value: i128, scale: i8) -> Result<(i128, i8), Failure> {
    let is_short =
        value.unsigned_abs() < 10_u128.pow(DIGITS_MAX as u32) && usize::from(scale.unsigned_abs()) <= DIGITS_MAX;
    if is_short { Ok((value, scale)) } else { Err(too_long()) }
}

fn too_long() -> Failure {
    Failure::error("22003", "a decimal has at most 38 digits")
}

fn malformed() -> Failure {
    Failure::error("22P03", "incorrect binary data format in a numeric")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_exponent_is_exact_where_a_decimal_has_the_number() {
        for (text, expected) in [
            ("1E+37", Some((10_i128.pow(37), 0))),
            ("-1.5e3", Some((-1_500, 0))),
            ("1.25E+1", Some((125, 1))),
            ("12E-3", Some((12, 3))),
            ("0E+99", Some((0, 0))),
            ("1E+38", None),
            ("1E-39", None),
            ("1E", None),
            ("1E1.5", None),
            ("--1E1", None),
            ("E1", None),
        ] {
            assert_eq!(parse(text).map(Result::unwrap), expected, "{text}");
        }
    }
}
