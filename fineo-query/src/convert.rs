//! Turns stored texts into the typed values of a column, a batch at a time.

mod affine;
mod conversion;
mod memo;
mod picked;

use std::sync::Arc;

use arrow::{
    array::NullBufferBuilder,
    array::{
        Array, ArrayRef, ArrowPrimitiveType, BinaryViewBuilder, BooleanArray, BooleanBuilder, PrimitiveArray,
        StringViewArray, StringViewBuilder, new_null_array,
    },
    compute::interleave,
    datatypes::{Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use fineo_core::{Error, Result};
use fineo_schema::{FieldType, LogicalColumn, coerce};

pub(crate) use affine::Sent;
pub(crate) use conversion::{Converted, RowContext};
pub(crate) use picked::{Conversions, Picked, is_unconditional};

use crate::column::data_type;
use memo::Memo;

/// The cells of one column in one batch: per stored name, in rank order, its texts.
pub(crate) struct Cells<'a> {
    rows: usize,
    sources: Vec<&'a StringViewArray>,
}

impl<'a> Cells<'a> {
    /// The cells of `sources`, in rank order. Sources that cannot answer are left out.
    pub(crate) fn new(rows: usize, sources: impl Iterator<Item = &'a StringViewArray>) -> Self {
        let mut kept: Vec<&StringViewArray> = Vec::new();
        for source in sources {
            if source.null_count() == rows {
                continue;
            }
            kept.push(source);
            // Nobody asks further than a source that answers every row.
            if source.null_count() == 0 {
                break;
            }
        }
        Self { rows, sources: kept }
    }

    /// The first value of `row`, in rank order.
    #[inline]
    fn text(&self, row: usize) -> Option<&'a str> {
        self.sources.iter().find(|source| source.is_valid(row)).map(|source| source.value(row))
    }

    /// The first array that has a value in `row`, in rank order.
    #[inline]
    fn source(&self, row: usize) -> Option<&'a StringViewArray> {
        match self.sources.as_slice() {
            [only] if only.null_count() == 0 => Some(only),
            several => several.iter().find(|source| source.is_valid(row)).copied(),
        }
    }

    #[inline]
    fn for_each(&self, mut visit: impl FnMut(Option<&'a str>)) {
        match self.sources.as_slice() {
            [only] if only.null_count() == 0 => {
                for row in 0..self.rows {
                    visit(Some(only.value(row)));
                }
            }
            [only] => {
                for row in 0..self.rows {
                    visit(only.is_valid(row).then(|| only.value(row)));
                }
            }
            _ => {
                for row in 0..self.rows {
                    visit(self.text(row));
                }
            }
        }
    }

    fn primitive<T: ArrowPrimitiveType>(&self, parse: impl Fn(&str) -> Option<T::Native>) -> PrimitiveArray<T> {
        let mut values = Vec::with_capacity(self.rows);
        let mut nulls = NullBufferBuilder::new(self.rows);
        let mut memo = Memo::new(self.rows);
        for row in 0..self.rows {
            let found = self.source(row);
            match found.and_then(|source| memo.value(source.views()[row], || parse(source.value(row)))) {
                Some(value) => {
                    values.push(value);
                    nulls.append_non_null();
                }
                None => {
                    values.push(T::Native::default());
                    nulls.append_null();
                }
            }
        }
        PrimitiveArray::new(values.into(), nulls.finish())
    }

    fn boolean(&self) -> BooleanArray {
        let mut values = BooleanBuilder::with_capacity(self.rows);
        self.for_each(|text| values.append_option(text.and_then(coerce::boolean)));
        values.finish()
    }

    /// The texts as they are stored, without copying where one name answers all rows.
    fn texts(&self) -> Result<ArrayRef> {
        match self.sources.as_slice() {
            [] => Ok(new_null_array(&arrow::datatypes::DataType::Utf8View, self.rows)),
            [only] => Ok(Arc::new((*only).clone())),
            several => {
                let arrays: Vec<&dyn Array> = several.iter().map(|source| *source as &dyn Array).collect();
                let chosen: Vec<(usize, usize)> = (0..self.rows)
                    .map(|row| (several.iter().position(|source| source.is_valid(row)).unwrap_or(0), row))
                    .collect();
                interleave(&arrays, &chosen).map_err(|source| Error::internal("cannot join cells").with_source(source))
            }
        }
    }

    fn json(&self) -> ArrayRef {
        let mut values = StringViewBuilder::with_capacity(self.rows);
        self.for_each(|text| values.append_option(text.and_then(coerce::json)));
        Arc::new(values.finish())
    }

    fn bytes(&self) -> ArrayRef {
        let mut values = BinaryViewBuilder::with_capacity(self.rows);
        self.for_each(|text| values.append_option(text.and_then(coerce::bytes)));
        Arc::new(values.finish())
    }

    /// The values of the cells as `field_type`; undeclared cells are text. A value that does not fit is null.
    pub(crate) fn typed(&self, field_type: Option<&FieldType>) -> Result<ArrayRef> {
        if self.sources.is_empty() {
            return Ok(new_null_array(&data_type(field_type), self.rows));
        }
        Ok(match field_type {
            None | Some(FieldType::String) => self.texts()?,
            Some(FieldType::Boolean) => Arc::new(self.boolean()),
            Some(FieldType::Int) => Arc::new(self.primitive::<Int32Type>(coerce::int)),
            Some(FieldType::Long) => Arc::new(self.primitive::<Int64Type>(coerce::long)),
            Some(FieldType::Float) => Arc::new(self.primitive::<Float32Type>(coerce::float)),
            Some(FieldType::Double) => Arc::new(self.primitive::<Float64Type>(coerce::double)),
            Some(FieldType::Decimal { precision, scale }) => {
                let (precision, scale) = (*precision, *scale);
                let values = self.primitive::<Decimal128Type>(|text| coerce::decimal(text, precision, scale));
                let typed = values.with_precision_and_scale(precision, scale);
                Arc::new(typed.map_err(|source| Error::internal("not a decimal type").with_source(source))?)
            }
            Some(FieldType::Timestamp) => {
                Arc::new(self.primitive::<TimestampMicrosecondType>(coerce::timestamp).with_timezone("UTC"))
            }
            Some(FieldType::Date) => Arc::new(self.primitive::<Date32Type>(coerce::date)),
            Some(FieldType::Bytes) => self.bytes(),
            Some(FieldType::Json) => self.json(),
        })
    }
}

/// Whether reading `column` needs to know more of a row than its cells.
pub(crate) fn needs_position(column: &LogicalColumn) -> bool {
    column.sources.iter().any(|source| source.unreadable_through.is_some())
}

/// Whether a value of `column` may be converted to another unit.
pub(crate) fn has_conversions(column: &LogicalColumn) -> bool {
    column.sources.iter().any(|source| !source.conversions.is_empty())
}
