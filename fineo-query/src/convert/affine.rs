//! What a conversion makes of a number: exactly, where it is stated in so few digits that a decimal is meant.

use std::fmt::Write as _;

use fineo_schema::{
    Conversion,
    coerce::{self, text},
};

/// The most digits of a scale or an offset that is a decimal: any so short comes back from a double as it was
/// written. One with more was computed, as five ninths are.
const DIGITS_MAX: usize = 15;

/// `value * scale + offset`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affine {
    scale: f64,
    offset: f64,
    /// The same as decimals, where they are.
    exact: Option<[Decimal; 2]>,
}

/// `digits * 10^exponent`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decimal {
    digits: i128,
    exponent: i64,
}

/// A number as it was sent or is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sent<'a> {
    Text(&'a str),
    Whole(i64),
    /// Unscaled, and how many digits are behind the point.
    Decimal(i128, i8),
}

impl Sent<'_> {
    fn exact(self) -> Option<Decimal> {
        match self {
            Self::Text(text) => coerce::decimal_digits(text).map(|(digits, exponent)| Decimal { digits, exponent }),
            Self::Whole(whole) => Some(Decimal { digits: whole.into(), exponent: 0 }),
            Self::Decimal(digits, scale) => Some(Decimal { digits, exponent: -i64::from(scale) }),
        }
    }

    fn double(self, scratch: &mut String) -> Option<f64> {
        match self {
            Self::Text(text) => coerce::double(text),
            Self::Whole(whole) => Some(whole as f64),
            Self::Decimal(unscaled, scale) => {
                scratch.clear();
                text::write_decimal(unscaled, scale, scratch);
                coerce::double(scratch)
            }
        }
    }
}

impl Affine {
    pub(super) fn new(conversion: &Conversion) -> Self {
        let (scale, offset) = (conversion.scale, conversion.offset);
        let exact = Decimal::stated(scale).zip(Decimal::stated(offset)).map(|(scale, offset)| [scale, offset]);
        Self { scale, offset, exact }
    }

    /// The converted number, unless it is too large for a double.
    pub(crate) fn double(&self, number: f64) -> Option<f64> {
        Some(number * self.scale + self.offset).filter(|number| number.is_finite())
    }

    /// The converted number, unless it is too large for a float.
    pub(super) fn float(&self, number: f64) -> Option<f32> {
        Some((number * self.scale + self.offset) as f32).filter(|number| number.is_finite())
    }

    /// The converted number, if it is whole and not too large.
    pub(super) fn long(&self, sent: Sent<'_>, scratch: &mut String) -> Option<i64> {
        match self.exactly(sent) {
            Some(converted) => converted.whole()?.try_into().ok(),
            None => whole(self.double(sent.double(scratch)?)?),
        }
    }

    /// The converted number rounded to `scale` digits behind the point, half away from zero, unless it has more than
    /// `precision` digits then.
    pub(super) fn decimal(&self, sent: Sent<'_>, precision: u8, scale: i8, scratch: &mut String) -> Option<i128> {
        match self.exactly(sent) {
            Some(converted) => {
                let limit = 10_i128.checked_pow(u32::from(precision))?;
                converted.rounded(scale).filter(|unscaled| unscaled.abs() < limit)
            }
            None => {
                let converted = self.double(sent.double(scratch)?)?;
                scratch.clear();
                // Writing to a String cannot fail.
                let _ = write!(scratch, "{converted:.*}", usize::try_from(scale).unwrap_or(0));
                coerce::decimal(scratch, precision, scale)
            }
        }
    }

    /// The converted number, where neither the conversion nor the number of digits asks for a double.
    fn exactly(&self, sent: Sent<'_>) -> Option<Decimal> {
        let [scale, offset] = self.exact?;
        sent.exact()?.times(scale)?.plus(offset)
    }
}

impl Decimal {
    /// `number` as it was stated, if in few digits.
    fn stated(number: f64) -> Option<Self> {
        let shortest = format!("{number:e}");
        let digits = shortest.split('e').next()?.bytes().filter(u8::is_ascii_digit).count();
        if digits > DIGITS_MAX {
            return None;
        }
        coerce::decimal_digits(&shortest).map(|(digits, exponent)| Self { digits, exponent })
    }

    fn times(self, other: Self) -> Option<Self> {
        Some(Self { digits: self.digits.checked_mul(other.digits)?, exponent: self.exponent + other.exponent })
    }

    fn plus(self, other: Self) -> Option<Self> {
        match (self.digits, other.digits) {
            (_, 0) => return Some(self),
            (0, _) => return Some(other),
            _ => {}
        }
        let exponent = self.exponent.min(other.exponent);
        let aligned = |number: Self| number.digits.checked_mul(power(number.exponent - exponent)?);
        Some(Self { digits: aligned(self)?.checked_add(aligned(other)?)?, exponent })
    }

    /// The number, if it is whole.
    fn whole(self) -> Option<i128> {
        if self.digits == 0 {
            return Some(0);
        }
        if self.exponent >= 0 {
            return self.digits.checked_mul(power(self.exponent)?);
        }
        let unit = power(-self.exponent)?;
        (self.digits % unit == 0).then(|| self.digits / unit)
    }

    /// The number times `10^scale`, rounded.
    fn rounded(self, scale: i8) -> Option<i128> {
        let shift = self.exponent + i64::from(scale);
        if self.digits == 0 {
            return Some(0);
        }
        if shift >= 0 {
            return self.digits.checked_mul(power(shift)?);
        }
        // Beyond every power that there is, the number is less than half.
        let Some(unit) = power(-shift) else { return Some(0) };
        let (whole, left) = (self.digits / unit, self.digits % unit);
        let is_half = left.unsigned_abs() >= unit.unsigned_abs().div_ceil(2);
        Some(whole + if is_half { self.digits.signum() } else { 0 })
    }
}

fn power(exponent: i64) -> Option<i128> {
    10_i128.checked_pow(exponent.try_into().ok()?)
}

/// `number` as an integer, where it is one within what a double holds exactly.
fn whole(number: f64) -> Option<i64> {
    // From 2^53 on a double no longer tells neighbours apart.
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

#[cfg(test)]
mod tests;
