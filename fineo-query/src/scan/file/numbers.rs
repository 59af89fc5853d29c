//! Numbers that may have been sent in another unit.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, StringViewArray},
    datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use fineo_core::{Error, Result};
use fineo_schema::{Conversion, FieldType, coerce};

use super::{ALIAS, TIMESTAMP, Typed, evaluate::Inputs, is_unconditional, texts};
use crate::convert::{Scope, in_unit, scaled};

/// The cells of a value column as `wanted`, converted.
pub(super) fn of_column(
    typed: &Typed,
    conversions: &[Conversion],
    wanted: FieldType,
    inputs: &Inputs<'_>,
) -> Result<ArrayRef> {
    let value = inputs.array(&typed.value)?;
    let beside = typed.text.as_ref().map(|text| inputs.texts(text)).transpose()?;
    let beside = |row: usize| beside.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row));
    let mistyped = || Error::corrupt("a file's column has another type than its layout says");
    match typed.value_type {
        // A text that is a number has its value here, whatever stands beside.
        FieldType::Double => {
            let values = value.as_primitive_opt::<Float64Type>().ok_or_else(mistyped)?;
            of_doubles(values, conversions, wanted, inputs)
        }
        FieldType::Long => {
            let values = value.as_primitive_opt::<Int64Type>().ok_or_else(mistyped)?;
            let number = |row| match beside(row) {
                Some(text) => coerce::double(text),
                None => values.is_valid(row).then(|| values.value(row) as f64),
            };
            converted(number, conversions, wanted, inputs)
        }
        FieldType::Int => {
            let values = value.as_primitive_opt::<Int32Type>().ok_or_else(mistyped)?;
            let number = |row| match beside(row) {
                Some(text) => coerce::double(text),
                None => values.is_valid(row).then(|| f64::from(values.value(row))),
            };
            converted(number, conversions, wanted, inputs)
        }
        FieldType::String
        | FieldType::Boolean
        | FieldType::Float
        | FieldType::Decimal { .. }
        | FieldType::Timestamp
        | FieldType::Date
        | FieldType::Bytes
        | FieldType::Json => {
            let beside = typed.text.as_ref().map(|text| inputs.texts(text)).transpose()?;
            let texts = texts::of_column(value, typed.value_type, beside)?;
            of_texts(&texts, conversions, wanted, inputs)
        }
    }
}

/// The numbers that texts are, as `wanted`, converted.
pub(super) fn of_texts(
    texts: &StringViewArray,
    conversions: &[Conversion],
    wanted: FieldType,
    inputs: &Inputs<'_>,
) -> Result<ArrayRef> {
    let number = |row| texts.is_valid(row).then(|| coerce::double(texts.value(row))).flatten();
    converted(number, conversions, wanted, inputs)
}

fn of_doubles(
    values: &Float64Array,
    conversions: &[Conversion],
    wanted: FieldType,
    inputs: &Inputs<'_>,
) -> Result<ArrayRef> {
    match conversions {
        [] if wanted == FieldType::Double => Ok(Arc::new(values.clone())),
        [only] if wanted == FieldType::Double && is_unconditional(only) => {
            let converted: Float64Array = values.unary(|value| value * only.scale + only.offset);
            Ok(Arc::new(converted))
        }
        _ => converted(|row| values.is_valid(row).then(|| values.value(row)), conversions, wanted, inputs),
    }
}

fn converted(
    number: impl Fn(usize) -> Option<f64>,
    conversions: &[Conversion],
    wanted: FieldType,
    inputs: &Inputs<'_>,
) -> Result<ArrayRef> {
    let is_timed = conversions.iter().any(|conversion| conversion.from.is_some() || conversion.to.is_some());
    let is_named = conversions.iter().any(|conversion| conversion.metric_name.is_some());
    let times = is_timed.then(|| inputs.array(TIMESTAMP)).transpose()?;
    let times = times.map(|times| times.as_primitive::<TimestampMicrosecondType>().values().as_ref());
    let aliases = is_named.then(|| inputs.texts(ALIAS)).transpose()?;
    let numbers = (0..inputs.rows).map(|row| {
        let scope = Scope { at: times.map_or(0, |times| times[row]), alias: aliases.map(|aliases| aliases.value(row)) };
        number(row).map(|number| in_unit(number, conversions, &scope))
    });
    scaled(wanted, inputs.rows, numbers)
}
