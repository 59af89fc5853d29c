//! Chunks of rows into one Parquet file whose layout tells what stands where.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, cast::AsArray, types::Float64Type};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::take::take;
use fineo_core::{
    Error, MetricId, Result, TenantId,
    nearline::{COLUMN_ALIAS, COLUMN_CONTENT, COLUMN_EVENT_ID, COLUMN_INGESTED_AT},
};
use fineo_schema::FieldType;
use fineo_table::{COLUMN_REST, COLUMN_TIMESTAMP, ColumnLayout, FileLayout, NAME_PREFIX, TEXT_PREFIX};
use parquet::{
    arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
    schema::types::ColumnPath,
};

use crate::{
    build::{Chunk, Recipe, RowsBuilder},
    column::{ColumnChunk, data_type, names_type},
    plan::PlannedColumn,
};

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Writing {
    /// The level of zstd.
    pub(crate) level: i32,
    /// The most rows of a row group.
    pub(crate) group_rows: usize,
}

/// The share of absent ids that the bloom filter takes for present: at 2^17 rows its size is a power of two.
const BLOOM_FALSE_SHARE: f64 = 0.03;
/// Rows that are put in order at once.
const PART_ROWS: usize = 16_384;
/// Rows whose values are looked at together.
const PAGE_ROWS: usize = 20_000;
/// So many rows of a file tell whether the values of a column repeat.
const SAMPLE_ROWS: usize = 1_024;
/// Fewer values tell nothing.
const SAMPLE_VALUES_MIN: usize = 64;

/// Whose file it is.
#[derive(Debug, Clone)]
pub(crate) struct FileHead {
    pub(crate) tenant: TenantId,
    pub(crate) metric: MetricId,
    pub(crate) day: i32,
}

/// A column of the file: which array of the rows it is.
struct FileColumn {
    field: Field,
    part: Part,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Timestamps,
    Ids,
    Aliases,
    IngestedAt,
    Contents,
    Rest,
    Values(usize),
    Texts(usize),
    Names(usize),
}

/// The layout of the file that `rows` make, as they were `built`.
pub(crate) fn layout_of(head: &FileHead, recipe: &Recipe, built: &RowsBuilder<'_>, rows: &Chunk) -> FileLayout {
    let columns = recipe.plan.columns.iter().enumerate();
    let columns =
        columns.filter_map(|(index, planned)| column_layout(planned, &built.in_columns()[index], &rows.columns[index]));
    let mut rest_names: Vec<Arc<str>> = recipe
        .names
        .iter()
        .zip(built.in_rest())
        .filter(|(_, in_rest)| **in_rest)
        .map(|(name, _)| Arc::clone(name))
        .collect();
    rest_names.sort();
    FileLayout {
        format: FileLayout::FORMAT,
        tenant: head.tenant.clone(),
        metric: head.metric.clone(),
        day: head.day,
        schema_version: recipe.schema.version(),
        columns: columns.collect(),
        rest_names,
    }
}

fn column_layout(planned: &PlannedColumn, has: &[bool], column: &ColumnChunk) -> Option<ColumnLayout> {
    if !column.has_cells {
        return None;
    }
    let names: Vec<Arc<str>> =
        planned.names.iter().zip(has).filter(|(_, has)| **has).map(|(name, _)| Arc::clone(name)).collect();
    Some(ColumnLayout {
        column: Arc::clone(&planned.column),
        field: planned.field,
        value_type: planned.value_type,
        text: column.texts.is_some().then(|| format!("{TEXT_PREFIX}{}", planned.column).into()),
        name: (names.len() > 1).then(|| format!("{NAME_PREFIX}{}", planned.column).into()),
        names,
    })
}

/// Writes the file: `rows`, by their numbers in `order`.
///
/// # Errors
///
/// `Internal` when the arrays do not fit together.
pub(crate) fn encode(
    layout: &FileLayout,
    recipe: &Recipe,
    rows: &Chunk,
    order: &[u32],
    writing: Writing,
) -> Result<Vec<u8>> {
    let failed = |source| Error::internal("a columnar file could not be written").with_source(source);
    let columns = file_columns(layout, recipe, rows);
    let schema = Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()));
    let properties = properties(layout, &columns, rows, order, writing)?;
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options).map_err(failed)?;
    for part in order.chunks(PART_ROWS) {
        let numbers = UInt32Array::from(part.to_vec());
        let in_order = |column: &FileColumn| take(&**array_of(rows, column)?, &numbers, None).map_err(misfit);
        let arrays = columns.iter().map(in_order).collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(misfit)?;
        writer.write(&batch).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

fn misfit(source: ArrowError) -> Error {
    Error::internal("columns of a file do not fit together").with_source(source)
}

fn file_columns(layout: &FileLayout, recipe: &Recipe, rows: &Chunk) -> Vec<FileColumn> {
    let time = || data_type(FieldType::Timestamp);
    let column = |name: &str, data_type: DataType, is_nullable: bool, part: Part| FileColumn {
        field: Field::new(name, data_type, is_nullable),
        part,
    };
    let mut columns = vec![
        column(COLUMN_TIMESTAMP, time(), false, Part::Timestamps),
        column(COLUMN_EVENT_ID, DataType::Binary, false, Part::Ids),
        column(COLUMN_ALIAS, DataType::Utf8, false, Part::Aliases),
        column(COLUMN_INGESTED_AT, time(), false, Part::IngestedAt),
    ];
    if rows.contents.is_some() {
        columns.push(column(COLUMN_CONTENT, DataType::Binary, true, Part::Contents));
    }
    let planned: HashMap<&str, usize> =
        recipe.plan.columns.iter().enumerate().map(|(index, planned)| (&*planned.column, index)).collect();
    for of_layout in &layout.columns {
        let index = planned[&*of_layout.column];
        let mut values = column(&of_layout.column, data_type(of_layout.value_type), true, Part::Values(index));
        if let Some(id) = of_layout.field {
            let id = (PARQUET_FIELD_ID_META_KEY.to_owned(), id.0.to_string());
            values.field = values.field.with_metadata(HashMap::from([id]));
        }
        columns.push(values);
        columns.extend(of_layout.text.as_ref().map(|text| column(text, DataType::Utf8, true, Part::Texts(index))));
        columns.extend(of_layout.name.as_ref().map(|name| column(name, names_type(), true, Part::Names(index))));
    }
    if !layout.rest_names.is_empty() {
        columns.push(column(COLUMN_REST, DataType::Utf8, true, Part::Rest));
    }
    columns
}

fn array_of<'a>(rows: &'a Chunk, column: &FileColumn) -> Result<&'a ArrayRef> {
    let found = match column.part {
        Part::Timestamps => Some(&rows.timestamps),
        Part::Ids => Some(&rows.ids),
        Part::Aliases => Some(&rows.aliases),
        Part::IngestedAt => Some(&rows.ingested_at),
        Part::Contents => rows.contents.as_ref(),
        Part::Rest => rows.rest.as_ref(),
        Part::Values(index) => Some(&rows.columns[index].values),
        Part::Texts(index) => rows.columns[index].texts.as_ref(),
        Part::Names(index) => rows.columns[index].names.as_ref(),
    };
    found.ok_or_else(|| Error::internal("a file has a column that its rows do not have"))
}

fn properties(
    layout: &FileLayout,
    columns: &[FileColumn],
    rows: &Chunk,
    order: &[u32],
    writing: Writing,
) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(writing.level)
        .map_err(|source| Error::invalid("not a level of zstd").with("level", writing.level).with_source(source))?;
    let id = ColumnPath::from(COLUMN_EVENT_ID);
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(writing.group_rows))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(vec![KeyValue::new(FileLayout::KEY.to_owned(), layout.to_json()?)]))
        // Ids are chance: they neither repeat nor shrink, and only the bloom filter finds one. All have one length.
        .set_column_dictionary_enabled(id.clone(), false)
        .set_column_encoding(id.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_compression(id.clone(), Compression::UNCOMPRESSED)
        .set_column_statistics_enabled(id.clone(), EnabledStatistics::None)
        .set_column_bloom_filter_enabled(id.clone(), true)
        .set_column_bloom_filter_fpp(id, BLOOM_FALSE_SHARE);
    let time = ColumnPath::from(COLUMN_TIMESTAMP);
    properties = properties.set_column_dictionary_enabled(time.clone(), false);
    properties = properties.set_column_encoding(time, Encoding::DELTA_BINARY_PACKED);
    for column in columns {
        let path = ColumnPath::from(column.field.name().as_str());
        match column.part {
            // Nobody looks for these by their values.
            Part::Names(_) | Part::Rest => {
                properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
            }
            Part::Values(index) if is_varied(&rows.columns[index].values, order) => {
                properties = properties.set_column_dictionary_enabled(path, false);
            }
            Part::Timestamps
            | Part::Ids
            | Part::Aliases
            | Part::IngestedAt
            | Part::Contents
            | Part::Values(_)
            | Part::Texts(_) => {}
        }
    }
    Ok(properties.build())
}

/// Whether so few numbers of a column repeat that a dictionary would cost more, in time and in bytes, than it saves.
fn is_varied(values: &ArrayRef, order: &[u32]) -> bool {
    let Some(numbers) = values.as_primitive_opt::<Float64Type>() else { return false };
    let step = order.len().div_ceil(SAMPLE_ROWS).max(1);
    let rows = order.iter().step_by(step).map(|row| *row as usize).filter(|row| numbers.is_valid(*row));
    let mut sample: Vec<u64> = rows.map(|row| numbers.value(row).to_bits()).collect();
    let values = sample.len();
    sample.sort_unstable();
    sample.dedup();
    values >= SAMPLE_VALUES_MIN && sample.len() * 5 > values * 4
}
