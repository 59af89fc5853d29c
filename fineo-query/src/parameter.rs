//! The values of `$1`, `$2`, … in a query.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DECIMAL128_MAX_PRECISION, IntervalMonthDayNano},
    common::ScalarValue,
};
use fineo_core::Timestamp;

use crate::sql::lengths::{self, Length};

/// The value of a placeholder.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Parameter {
    /// No value.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Long(i64),
    /// A number.
    Double(f64),
    /// Text.
    Text(Arc<str>),
    /// An instant.
    Timestamp(Timestamp),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A decimal number: `value` times ten to the power of minus `scale`.
    Decimal {
        /// Its digits, as one whole number of at most 38 digits.
        value: i128,
        /// How many of them follow the point.
        scale: i8,
    },
    /// A day, counted from 1970-01-01.
    Date(i32),
    /// A time of day: microseconds since midnight.
    Time(i64),
    /// An interval, whose parts do not follow from each other.
    Interval {
        /// Its months.
        months: i32,
        /// Its days.
        days: i32,
        /// What is shorter than a day, in nanoseconds.
        nanos: i64,
    },
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Parameter {
    fn from(number: i64) -> Self {
        Self::Long(number)
    }
}

impl From<f64> for Parameter {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Parameter {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<Timestamp> for Parameter {
    fn from(instant: Timestamp) -> Self {
        Self::Timestamp(instant)
    }
}

impl Parameter {
    /// The interval that `text` says, as `1 day 04:05:06` or `P1DT4H`; none where it says none.
    pub fn interval(text: &str) -> Option<Self> {
        lengths::read(text).map(|Length { months, days, nanos }| Self::Interval { months, days, nanos })
    }

    pub(crate) fn scalar(&self) -> ScalarValue {
        match self {
            Self::Null => ScalarValue::Null,
            Self::Boolean(value) => ScalarValue::Boolean(Some(*value)),
            Self::Long(number) => ScalarValue::Int64(Some(*number)),
            Self::Double(number) => ScalarValue::Float64(Some(*number)),
            Self::Text(text) => ScalarValue::Utf8View(Some(text.to_string())),
            Self::Timestamp(instant) => ScalarValue::TimestampMicrosecond(Some(instant.micros()), Some("UTC".into())),
            Self::Bytes(bytes) => ScalarValue::Binary(Some(bytes.to_vec())),
            Self::Decimal { value, scale } => ScalarValue::Decimal128(Some(*value), DECIMAL128_MAX_PRECISION, *scale),
            Self::Date(day) => ScalarValue::Date32(Some(*day)),
            Self::Time(micros) => ScalarValue::Time64Microsecond(Some(*micros)),
            Self::Interval { months, days, nanos } => {
                ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(*months, *days, *nanos)))
            }
        }
    }
}
