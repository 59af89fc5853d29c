//! The texts that typed values were written for.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder},
    datatypes::{
        ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use fineo_core::{Error, Result};
use fineo_schema::{FieldType, coerce::text};

/// The text of every row: that of `beside` where it has one, else what the value is written as.
pub(super) fn of_column(
    value: &ArrayRef,
    value_type: FieldType,
    beside: Option<&StringViewArray>,
) -> Result<Arc<StringViewArray>> {
    let print = Print { value, beside };
    let texts = match value_type {
        FieldType::String | FieldType::Json => {
            let values = value.as_string_view_opt();
            let values = values.ok_or_else(|| mistyped(value_type))?;
            match beside {
                None => return Ok(Arc::new(values.clone())),
                Some(_) => print.each(|row, out| out.push_str(values.value(row))),
            }
        }
        FieldType::Boolean => {
            let values = value.as_boolean_opt().ok_or_else(|| mistyped(value_type))?;
            print.each(|row, out| text::write_boolean(values.value(row), out))
        }
        FieldType::Int => print.primitive::<Int32Type>(value_type, text::write_int)?,
        FieldType::Long => print.primitive::<Int64Type>(value_type, text::write_long)?,
        FieldType::Float => print.primitive::<Float32Type>(value_type, text::write_float)?,
        FieldType::Double => print.primitive::<Float64Type>(value_type, text::write_double)?,
        FieldType::Decimal { scale, .. } => {
            print.primitive::<Decimal128Type>(value_type, |value, out| text::write_decimal(value, scale, out))?
        }
        FieldType::Timestamp => print.primitive::<TimestampMicrosecondType>(value_type, text::write_timestamp)?,
        FieldType::Date => print.primitive::<Date32Type>(value_type, text::write_date)?,
        FieldType::Bytes => {
            let values = value.as_binary_view_opt().ok_or_else(|| mistyped(value_type))?;
            print.each(|row, out| text::write_bytes(values.value(row), out))
        }
    };
    Ok(Arc::new(texts))
}

fn mistyped(value_type: FieldType) -> Error {
    Error::corrupt("a file's column has another type than its layout says").with("type", value_type)
}

struct Print<'a> {
    value: &'a ArrayRef,
    beside: Option<&'a StringViewArray>,
}

impl Print<'_> {
    fn primitive<T: ArrowPrimitiveType>(
        &self,
        value_type: FieldType,
        write: impl Fn(T::Native, &mut String),
    ) -> Result<StringViewArray> {
        let values = self.value.as_primitive_opt::<T>().ok_or_else(|| mistyped(value_type))?;
        Ok(self.each(|row, out| write(values.value(row), out)))
    }

    fn each(&self, write: impl Fn(usize, &mut String)) -> StringViewArray {
        let rows = self.value.len();
        let mut texts = StringViewBuilder::with_capacity(rows);
        let mut out = String::new();
        for row in 0..rows {
            match self.beside.filter(|beside| beside.is_valid(row)) {
                Some(beside) => texts.append_value(beside.value(row)),
                None if self.value.is_valid(row) => {
                    out.clear();
                    write(row, &mut out);
                    texts.append_value(&out);
                }
                None => texts.append_null(),
            }
        }
        texts.finish()
    }
}
