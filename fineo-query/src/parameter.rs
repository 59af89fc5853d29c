//! The values of `$1`, `$2`, … in a query.

use std::sync::Arc;

use datafusion::{arrow::datatypes::DECIMAL128_MAX_PRECISION, common::ScalarValue};
use fineo_core::Timestamp;

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
        }
    }
}
