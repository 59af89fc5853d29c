//! Exact decimal numbers, without a detour through doubles.

/// The unscaled value of `text` as a number of `precision` digits, `scale` of them behind the point.
///
/// `None` when it is no number, has digits that do not fit behind the point (`1.5` at scale 0), or is too
/// large.
pub fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (digits, exponent) = decimal_digits(text)?;
    if digits == 0 {
        return Some(0);
    }
    let value = shifted(digits, i64::from(scale) + exponent)?;
    let limit = 10_i128.checked_pow(u32::from(precision.min(38)))?;
    (value.abs() < limit).then_some(value)
}

/// The digits of `text` and the power of ten that they are multiplied with: `-1.50e3` is -15 and 2.
///
/// `None` when it is no number or has more digits than fit.
pub fn decimal_digits(text: &str) -> Option<(i128, i64)> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (is_negative, digits) = match mantissa.as_bytes() {
        [b'-', ..] => (true, &mantissa[1..]),
        [b'+', ..] => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut value = 0_i128;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let exponent = exponent - i64::try_from(fraction.len()).ok()?;
    Some((if is_negative { -value } else { value }, exponent))
}

/// `value * 10^shift`, if that is whole and no overflow.
fn shifted(mut value: i128, shift: i64) -> Option<i128> {
    if shift.unsigned_abs() > 60 {
        return None;
    }
    for _ in 0..shift {
        value = value.checked_mul(10)?;
    }
    for _ in shift..0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
    }
    Some(value)
}

fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // An exponent with more digits is as far out of range as this one.
    let value: i64 = digits.parse().unwrap_or(i64::from(i32::MAX)).min(i64::from(i32::MAX));
    Some(if text.starts_with('-') { -value } else { value })
}

/// Writes `value / 10^scale` with exactly `scale` digits behind the point.
pub(crate) fn write_decimal(value: i128, scale: u8, out: &mut String) {
    use std::fmt::Write as _;
    let digits = value.unsigned_abs();
    let unit = 10_u128.pow(u32::from(scale.min(38)));
    if value < 0 {
        out.push('-');
    }
    // Writing to a String cannot fail.
    let _ = write!(out, "{}", digits / unit);
    if scale > 0 {
        let _ = write!(out, ".{:0width$}", digits % unit, width = usize::from(scale));
    }
}
