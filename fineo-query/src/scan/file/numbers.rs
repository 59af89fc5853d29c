//! Numbers that were sent in another unit.

use datafusion::arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringViewArray},
    datatypes::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use fineo_core::{Error, Result};
use fineo_schema::{FieldType, coerce};

use super::{ALIAS, TIMESTAMP, Typed, evaluate::Inputs, texts};
use crate::convert::{Conversions, Picked, Sent};

/// The conversion of each row.
pub(super) fn picked<'c>(conversions: &'c Conversions<'_>, inputs: &Inputs<'_>) -> Result<Picked<'c>> {
    let times = conversions.are_timed().then(|| inputs.array(TIMESTAMP)).transpose()?;
    let times = times.map(|times| times.as_primitive::<TimestampMicrosecondType>().values().as_ref());
    let metric_names = conversions.are_named().then(|| inputs.texts(ALIAS)).transpose()?;
    Ok(conversions.picked(inputs.rows, times, metric_names))
}

/// The cells of a value column as `wanted`, converted; rows without a conversion are null.
pub(super) fn of_column(
    typed: &Typed,
    picked: &Picked<'_>,
    wanted: FieldType,
    inputs: &Inputs<'_>,
) -> Result<ArrayRef> {
    let value = inputs.array(&typed.value)?;
    let beside = typed.text.as_ref().map(|text| inputs.texts(text)).transpose()?;
    let column = Column { value, beside, picked, wanted };
    let is_double = matches!(wanted, FieldType::Double | FieldType::Float);
    match typed.value_type {
        // A text that is a number has its value here, whatever stands beside.
        FieldType::Double if is_double => {
            let values = column.values::<Float64Type>()?;
            picked.of_doubles(wanted, values.len(), |row| values.is_valid(row).then(|| values.value(row)))
        }
        FieldType::Long if is_double => column.of_wholes::<Int64Type>(|whole| whole as f64),
        FieldType::Int if is_double => column.of_wholes::<Int32Type>(f64::from),
        FieldType::Long => column.of_exact::<Int64Type>(Sent::Whole),
        FieldType::Int => column.of_exact::<Int32Type>(|whole| Sent::Whole(whole.into())),
        FieldType::Decimal { scale, .. } if !is_double => {
            column.of_exact::<Decimal128Type>(|unscaled| Sent::Decimal(unscaled, scale))
        }
        _ => picked.of_texts(wanted, &*texts::of_column(value, typed.value_type, beside)?),
    }
}

/// A value column that is converted.
struct Column<'a> {
    value: &'a ArrayRef,
    beside: Option<&'a StringViewArray>,
    picked: &'a Picked<'a>,
    wanted: FieldType,
}

impl<'a> Column<'a> {
    fn values<T: ArrowPrimitiveType>(&self) -> Result<&'a PrimitiveArray<T>> {
        let values = self.value.as_primitive_opt::<T>();
        values.ok_or_else(|| Error::corrupt("a file's column has another type than its layout says"))
    }

    fn text(&self, row: usize) -> Option<&'a str> {
        self.beside.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row))
    }

    fn of_wholes<T: ArrowPrimitiveType>(&self, double: impl Fn(T::Native) -> f64) -> Result<ArrayRef> {
        let values = self.values::<T>()?;
        self.picked.of_doubles(self.wanted, values.len(), |row| match self.text(row) {
            Some(text) => coerce::double(text),
            None => values.is_valid(row).then(|| double(values.value(row))),
        })
    }

    fn of_exact<T: ArrowPrimitiveType>(&self, sent: impl Fn(T::Native) -> Sent<'a>) -> Result<ArrayRef> {
        let values = self.values::<T>()?;
        self.picked.of_exact(self.wanted, values.len(), |row| match self.text(row) {
            Some(text) => Some(Sent::Text(text)),
            None => values.is_valid(row).then(|| sent(values.value(row))),
        })
    }
}
