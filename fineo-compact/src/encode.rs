//! Chunks of rows into one Parquet file whose layout tells what stands where.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, new_null_array, types::Float64Type};
use arrow_schema::{DataType, Field, Schema};
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
    column::{ColumnChunk, data_type},
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

/// A column of the file: which arrays of the chunks it is.
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

/// The layout of the file that `chunks` make, as built by `rows`.
pub(crate) fn layout_of(head: &FileHead, recipe: &Recipe, rows: &RowsBuilder<'_>, chunks: &[Chunk]) -> FileLayout {
    let columns = recipe.plan.columns.iter().enumerate();
    let columns =
        columns.filter_map(|(index, planned)| column_layout(index, planned, &rows.in_columns()[index], chunks));
    let mut rest_names: Vec<Arc<str>> = recipe
        .names
        .iter()
        .zip(rows.in_rest())
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

fn column_layout(index: usize, planned: &PlannedColumn, has: &[bool], chunks: &[Chunk]) -> Option<ColumnLayout> {
    let of_chunks = || chunks.iter().map(|chunk| &chunk.columns[index]);
    if !of_chunks().any(|chunk| chunk.has_cells) {
        return None;
    }
    let names: Vec<Arc<str>> =
        planned.names.iter().zip(has).filter(|(_, has)| **has).map(|(name, _)| Arc::clone(name)).collect();
    let has_texts = of_chunks().any(|chunk| chunk.texts.is_some());
    Some(ColumnLayout {
        column: Arc::clone(&planned.column),
        field: planned.field,
        value_type: planned.value_type,
        text: has_texts.then(|| format!("{TEXT_PREFIX}{}", planned.column).into()),
        name: (names.len() > 1).then(|| format!("{NAME_PREFIX}{}", planned.column).into()),
        names,
    })
}

/// Writes the file.
///
/// # Errors
///
/// `Internal` when the arrays do not fit together.
pub(crate) fn encode(layout: &FileLayout, recipe: &Recipe, chunks: Vec<Chunk>, encoding: Writing) -> Result<Vec<u8>> {
    let failed = |source| Error::internal("a columnar file could not be written").with_source(source);
    let columns = file_columns(layout, recipe, &chunks);
    let schema = Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()));
    let properties = properties(layout, &columns, &chunks, encoding)?;
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options).map_err(failed)?;
    for chunk in chunks {
        let arrays = columns.iter().map(|column| array_of(&chunk, column)).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
            .map_err(|source| Error::internal("columns of a file do not fit together").with_source(source))?;
        writer.write(&batch).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

fn file_columns(layout: &FileLayout, recipe: &Recipe, chunks: &[Chunk]) -> Vec<FileColumn> {
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
    if chunks.iter().any(|chunk| chunk.contents.is_some()) {
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
        columns.extend(of_layout.name.as_ref().map(|name| column(name, DataType::Utf8, true, Part::Names(index))));
    }
    if !layout.rest_names.is_empty() {
        columns.push(column(COLUMN_REST, DataType::Utf8, true, Part::Rest));
    }
    columns
}

fn array_of(chunk: &Chunk, column: &FileColumn) -> ArrayRef {
    let of = |index: usize, part: fn(&ColumnChunk) -> Option<&ArrayRef>| part(&chunk.columns[index]);
    let found = match column.part {
        Part::Timestamps => Some(&chunk.timestamps),
        Part::Ids => Some(&chunk.ids),
        Part::Aliases => Some(&chunk.aliases),
        Part::IngestedAt => Some(&chunk.ingested_at),
        Part::Contents => chunk.contents.as_ref(),
        Part::Rest => chunk.rest.as_ref(),
        Part::Values(index) => of(index, |chunk| Some(&chunk.values)),
        Part::Texts(index) => of(index, |chunk| chunk.texts.as_ref()),
        Part::Names(index) => of(index, |chunk| chunk.names.as_ref()),
    };
    found.cloned().unwrap_or_else(|| new_null_array(column.field.data_type(), chunk.rows))
}

fn properties(
    layout: &FileLayout,
    columns: &[FileColumn],
    chunks: &[Chunk],
    encoding: Writing,
) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(encoding.level)
        .map_err(|source| Error::invalid("not a level of zstd").with("level", encoding.level).with_source(source))?;
    let id = ColumnPath::from(COLUMN_EVENT_ID);
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(encoding.group_rows))
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
            Part::Values(index) if is_varied(chunks, index) => {
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
fn is_varied(chunks: &[Chunk], index: usize) -> bool {
    let rows: usize = chunks.iter().map(|chunk| chunk.rows).sum();
    let step = rows.div_ceil(SAMPLE_ROWS).max(1);
    let mut sample: Vec<u64> = Vec::with_capacity(SAMPLE_ROWS);
    for chunk in chunks {
        let values = &chunk.columns[index].values;
        let Some(numbers) = values.as_primitive_opt::<Float64Type>() else { return false };
        let rows = (0..numbers.len()).step_by(step).filter(|row| numbers.is_valid(*row));
        sample.extend(rows.map(|row| numbers.value(row).to_bits()));
    }
    let values = sample.len();
    sample.sort_unstable();
    sample.dedup();
    values >= SAMPLE_VALUES_MIN && sample.len() * 5 > values * 4
}
