//! Whether a footer is that of a file of ours, and whether it says what its layout says.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use fineo_core::{Error, Result, Timestamp, nearline::COLUMN_EVENT_ID};
use fineo_schema::FieldType;
use parquet::{
    arrow::parquet_to_arrow_schema,
    file::{metadata::ParquetMetaData, statistics::Statistics},
};

use super::{FileMeta, ids::Ids};
use crate::{COLUMN_TIMESTAMP, FileLayout, FileSums};

/// The microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// The footer, checked against itself.
pub(super) fn meta(metadata: ParquetMetaData, sums: Arc<FileSums>) -> Result<FileMeta> {
    let layout = layout(&metadata)?;
    let views = views(&check_columns(&layout, &metadata)?);
    let (first, last) = times(&metadata)?;
    if first.micros().div_euclid(DAY_MICROS) != i64::from(layout.day)
        || last.micros().div_euclid(DAY_MICROS) != i64::from(layout.day)
    {
        return Err(Error::corrupt("a file has rows of another day than it says")
            .with("first", first)
            .with("last", last));
    }
    let rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum();
    let (metadata, ids) = (Arc::new(metadata), Ids::default());
    Ok(FileMeta { layout, rows, first, last, metadata, views, sums, ids })
}

fn layout(metadata: &ParquetMetaData) -> Result<FileLayout> {
    let pairs = metadata.file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let json = pairs.iter().find(|pair| pair.key == FileLayout::KEY).and_then(|pair| pair.value.as_deref());
    let missing = "a file has no layout: a program other than Fineo wrote it; take it out of the table";
    FileLayout::from_json(json.ok_or_else(|| Error::corrupt(missing))?)
}

/// The columns, texts and bytes as views.
fn views(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            _ => return Arc::clone(field),
        };
        Arc::new(Field::clone(field).with_data_type(data_type))
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns: every one of the layout is there with its type, and no other.
fn check_columns(layout: &FileLayout, metadata: &ParquetMetaData) -> Result<Schema> {
    let file = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
        .map_err(|source| Error::corrupt("the columns of a file cannot be read").with_source(source))?;
    let known = layout.table_columns();
    let known: HashMap<&str, FieldType> = known.iter().map(|column| (&*column.name, column.value_type)).collect();
    let mismatch = |message: &str, column: &str| Error::corrupt(message).with("column", column);
    for field in schema.fields() {
        let Some(value_type) = known.get(field.name().as_str()) else {
            return Err(mismatch("a file has a column that its layout does not have", field.name()));
        };
        if !holds(field.data_type(), *value_type) {
            let error = mismatch("a column of a file has another type than its layout says", field.name());
            return Err(error.with("type", value_type).with("has", field.data_type()));
        }
    }
    let own = layout.columns.iter().flat_map(|column| {
        let beside = [column.text.as_deref(), column.name.as_deref()].into_iter().flatten();
        std::iter::once(&*column.column).chain(beside)
    });
    for name in own.chain([COLUMN_TIMESTAMP, COLUMN_EVENT_ID]) {
        if schema.column_with_name(name).is_none() {
            return Err(mismatch("a file lacks a column of its layout", name));
        }
    }
    Ok(schema)
}

/// Whether a column of `data_type` holds values of `value_type`.
fn holds(data_type: &DataType, value_type: FieldType) -> bool {
    if let DataType::Dictionary(_, values) = data_type {
        return holds(values, value_type);
    }
    match value_type {
        FieldType::String | FieldType::Json => {
            matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        }
        FieldType::Bytes => matches!(
            data_type,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        ),
        FieldType::Boolean => *data_type == DataType::Boolean,
        FieldType::Int => *data_type == DataType::Int32,
        FieldType::Long => *data_type == DataType::Int64,
        FieldType::Float => *data_type == DataType::Float32,
        FieldType::Double => *data_type == DataType::Float64,
        FieldType::Decimal { precision, scale } => matches!(
            data_type,
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s)
                if *p == precision && *s == scale
        ),
        FieldType::Timestamp => matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(_))),
        FieldType::Date => *data_type == DataType::Date32,
    }
}

/// The first and the last instant.
fn times(metadata: &ParquetMetaData) -> Result<(Timestamp, Timestamp)> {
    let missing = || Error::corrupt("a file has no statistics of its times");
    let mut range: Option<(i64, i64)> = None;
    for group in metadata.row_groups() {
        let column = group.columns().iter().find(|column| column.column_path().string() == COLUMN_TIMESTAMP);
        let Some(Statistics::Int64(statistics)) = column.and_then(|column| column.statistics()) else {
            return Err(missing());
        };
        let (Some(first), Some(last)) = (statistics.min_opt(), statistics.max_opt()) else { return Err(missing()) };
        range = Some(range.map_or((*first, *last), |(from, to)| (from.min(*first), to.max(*last))));
    }
    let (first, last) = range.ok_or_else(|| Error::corrupt("a file has no rows"))?;
    let lying = |_| Error::corrupt("the statistics of a file lie: its times are none");
    let (first, last) = (Timestamp::from_micros(first).map_err(lying)?, Timestamp::from_micros(last).map_err(lying)?);
    if first > last {
        return Err(Error::corrupt("the statistics of a file lie: its first time is after its last"));
    }
    Ok((first, last))
}
