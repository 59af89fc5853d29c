//! Functions of numbers, and those that count nulls.

use datafusion::{
    arrow::{datatypes::DataType, error::ArrowError},
    common::{Result, ScalarValue},
};

use super::rows::{Function, Makes, Takes, value};
use crate::error::{foreign, refused};

pub(super) const ALL: &[Function] = &[
    Function {
        name: "div",
        takes: &[Takes::Numeric, Takes::Numeric],
        repeats: false,
        knows_null: false,
        makes: Makes::First,
        answer: div,
    },
    Function {
        name: "num_nonnulls",
        takes: &[Takes::Any],
        repeats: true,
        knows_null: true,
        makes: Makes::One(DataType::Int32),
        answer: |values| count(values, |value| !value.is_null()),
    },
    Function {
        name: "num_nulls",
        takes: &[Takes::Any],
        repeats: true,
        knows_null: true,
        makes: Makes::One(DataType::Int32),
        answer: |values| count(values, ScalarValue::is_null),
    },
    Function {
        name: "scale",
        takes: &[Takes::Any],
        repeats: false,
        knows_null: false,
        makes: Makes::One(DataType::Int32),
        answer: scale,
    },
    Function {
        name: "width_bucket",
        takes: &[Takes::Number, Takes::Number, Takes::Number, Takes::Whole],
        repeats: false,
        knows_null: false,
        makes: Makes::One(DataType::Int32),
        answer: width_bucket,
    },
];

/// How often the second goes into the first, without what is left.
fn div(values: &[ScalarValue]) -> Result<ScalarValue> {
    if let Some(ScalarValue::Int64(_)) = values.first() {
        let (dividend, divisor) = (value!(values, 0, Int64), value!(values, 1, Int64));
        if divisor == 0 {
            return Err(ArrowError::DivideByZero.into());
        }
        let overflow = || ArrowError::ArithmeticOverflow(format!("div({dividend}, {divisor})"));
        return Ok(ScalarValue::Int64(Some(dividend.checked_div(divisor).ok_or_else(overflow)?)));
    }
    let (dividend, divisor) = (value!(values, 0, Float64), value!(values, 1, Float64));
    if divisor == 0.0 {
        return Err(ArrowError::DivideByZero.into());
    }
    Ok(ScalarValue::Float64(Some((dividend / divisor).trunc())))
}

fn count(values: &[ScalarValue], is_counted: fn(&ScalarValue) -> bool) -> Result<ScalarValue> {
    let count = values.iter().filter(|value| is_counted(value)).count();
    Ok(ScalarValue::Int32(i32::try_from(count).ok()))
}

/// How many digits a decimal has behind the point.
fn scale(values: &[ScalarValue]) -> Result<ScalarValue> {
    let scale = match values.first().map(ScalarValue::data_type) {
        Some(DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale)) => i32::from(scale),
        Some(of) if of.is_integer() => 0,
        _ => {
            let error = refused("query_invalid", "scale takes a decimal: of other numbers no digits are kept");
            return Err(foreign(error.with("hint", "CAST(x AS DECIMAL(p, s)) has s of them")));
        }
    };
    Ok(ScalarValue::Int32(Some(scale)))
}

/// In which of so many parts of a range a number is: 0 where it is before them, one more than there are behind them.
fn width_bucket(values: &[ScalarValue]) -> Result<ScalarValue> {
    let wrong = |message: &str| Err(foreign(refused("query_failed", format!("width_bucket: {message}"))));
    let (number, low, high) = (value!(values, 0, Float64), value!(values, 1, Float64), value!(values, 2, Float64));
    let Some(count) = i32::try_from(value!(values, 3, Int64)).ok().filter(|count| (1..i32::MAX).contains(count)) else {
        return wrong("the count must be greater than zero, and of 32 bits");
    };
    if number.is_nan() || !low.is_finite() || !high.is_finite() {
        return wrong("the number must not be NaN, and its bounds must be finite");
    }
    if low == high {
        return wrong("the lower bound is the upper one");
    }
    let is_rising = low < high;
    let (is_before, is_behind) =
        if is_rising { (number < low, number >= high) } else { (number > low, number <= high) };
    let bucket = match (is_before, is_behind) {
        (true, _) => 0,
        (_, true) => count + 1,
        // Halves, since the whole width may be beyond doubles.
        _ => {
            let share = (number / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
            ((share * f64::from(count)) as i32).min(count - 1) + 1
        }
    };
    Ok(ScalarValue::Int32(Some(bucket)))
}
