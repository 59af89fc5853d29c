//! Knows which stored columns a scan needs and makes the asked columns of them.

use std::{collections::HashMap, ops::Range, sync::Arc};

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, BinaryViewBuilder, RecordBatch, RecordBatchOptions},
    datatypes::{SchemaRef, TimestampMicrosecondType},
};
use fineo_core::{
    Error, MetricId, Result, TenantId,
    nearline::{ScanRequest, SystemColumns},
};
use fineo_schema::{LogicalColumn, coerce};

use super::{hexadecimal, repairs::Repairs};
use crate::{
    column::{Column, Content},
    convert::{Cells, Converted, RowContext, has_conversions, needs_position},
};

/// Where system columns stand in a scan's batches; see `fineo_core::nearline::scan_schema`.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    event_id: usize,
    alias: usize,
    ingested_at: usize,
    shard: usize,
    position: usize,
    cells: usize,
}

impl Places {
    fn of(system: SystemColumns) -> Self {
        let mut next = 1;
        let mut take = |is_there: bool, count: usize| {
            let place = next;
            next += if is_there { count } else { 0 };
            place
        };
        let event_id = take(system.event_id, 1);
        let alias = take(system.alias, 1);
        let ingested_at = take(system.ingested_at, 1);
        let shard = take(system.position, 2);
        take(system.content, 1);
        let cells = take(false, 0);
        Self { event_id, alias, ingested_at, shard, position: shard + 1, cells }
    }
}

/// Reads a scan's batches as the asked columns.
#[derive(Debug)]
pub(super) struct RowReader {
    columns: Vec<Column>,
    schema: SchemaRef,
    names: Vec<Arc<str>>,
    /// Per column, where its sources stand among `names`.
    sources: Vec<Vec<usize>>,
    system: SystemColumns,
    places: Places,
}

const RAW: &str = "raw";
const RAW_BYTES: &str = "raw_bytes";

impl RowReader {
    /// A reader of `columns`; `with_ids` has it ask for event ids whether or not a column shows them.
    pub(super) fn new(columns: &[Column], schema: SchemaRef, with_ids: bool) -> Self {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut numbers: HashMap<Arc<str>, usize> = HashMap::new();
        let mut system = SystemColumns { event_id: with_ids, ..SystemColumns::default() };
        let mut number = |name: &Arc<str>| {
            *numbers.entry(Arc::clone(name)).or_insert_with(|| {
                names.push(Arc::clone(name));
                names.len() - 1
            })
        };
        let mut sources = Vec::with_capacity(columns.len());
        for column in columns {
            sources.push(match &column.content {
                Content::Cells(logical) => {
                    system.position |= needs_position(logical);
                    system.alias |= has_conversions(logical);
                    logical.sources.iter().map(|source| number(&source.name)).collect()
                }
                Content::RawBytes => vec![number(&RAW_BYTES.into()), number(&RAW.into())],
                Content::Timestamp => Vec::new(),
                Content::IngestedAt => {
                    system.ingested_at = true;
                    Vec::new()
                }
                Content::Alias => {
                    system.alias = true;
                    Vec::new()
                }
                Content::EventId | Content::RepairedAt => {
                    system.event_id = true;
                    Vec::new()
                }
            });
        }
        Self { columns: columns.to_vec(), schema, names, sources, system, places: Places::of(system) }
    }

    /// Where event ids stand in a batch, where they were asked for.
    pub(super) fn event_id(&self) -> usize {
        self.places.event_id
    }

    /// A request for all that the columns need.
    pub(super) fn request(&self, tenant: &TenantId, metric: &MetricId, batch_rows_max: usize) -> ScanRequest {
        let mut request = ScanRequest::new(tenant.clone(), metric.clone());
        request.batch_rows_max = batch_rows_max;
        request.with_names(self.names.iter().cloned()).with_ranked(self.ranked()).with_system(self.system)
    }

    /// Where the names of columns stand that only want a row's first text. A name that several ask for is in none.
    fn ranked(&self) -> Vec<Range<usize>> {
        let mut asked = vec![0; self.names.len()];
        self.sources.iter().flatten().for_each(|name| asked[*name] += 1);
        let columns = self.columns.iter().zip(&self.sources);
        let only_texts = columns.filter(|(column, _)| match &column.content {
            Content::Cells(logical) => !needs_position(logical) && !has_conversions(logical),
            _ => false,
        });
        let range = |(_, names): (&Column, &Vec<usize>)| {
            let first = *names.first()?;
            let is_range = names.iter().zip(first..).all(|(name, place)| *name == place && asked[place] == 1);
            (is_range && names.len() > 1).then(|| first..first + names.len())
        };
        only_texts.filter_map(range).collect()
    }

    /// Whether a column shows when errors were repaired.
    pub(super) fn shows_repairs(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.content, Content::RepairedAt))
    }

    /// The asked columns of one batch.
    pub(super) fn convert(&self, batch: &RecordBatch, repairs: &Repairs) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let arrays: Result<Vec<ArrayRef>> = self
            .columns
            .iter()
            .zip(&self.sources)
            .map(|(column, sources)| self.column(column, sources, batch, repairs))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays?, &options)
            .map_err(|source| Error::internal("a scan's columns do not fit its schema").with_source(source))
    }

    fn column(&self, column: &Column, sources: &[usize], batch: &RecordBatch, repairs: &Repairs) -> Result<ArrayRef> {
        let cells = || sources.iter().map(|number| batch.column(self.places.cells + number).as_string_view());
        Ok(match &column.content {
            Content::Timestamp => Arc::clone(batch.column(0)),
            Content::IngestedAt => Arc::clone(batch.column(self.places.ingested_at)),
            Content::Alias => Arc::clone(batch.column(self.places.alias)),
            Content::EventId => {
                let ids = batch.column(self.places.event_id).as_fixed_size_binary();
                hexadecimal(ids.len(), ids.iter().flatten())
            }
            Content::RepairedAt => repairs.of(batch.column(self.places.event_id).as_fixed_size_binary()),
            Content::RawBytes => {
                let mut cells = cells();
                match (cells.next(), cells.next()) {
                    (Some(encoded), Some(text)) => raw_bytes(encoded, text),
                    (Some(_) | None, _) => return Err(Error::internal("a scan left out the bytes it needs")),
                }
            }
            Content::Cells(logical) if needs_position(logical) || has_conversions(logical) => {
                let converted = Converted { column: logical, context: self.context(logical, batch) };
                converted.values(batch.num_rows(), cells().cloned().collect())?
            }
            Content::Cells(logical) => Cells::new(batch.num_rows(), cells()).typed(logical.field_type.as_ref())?,
        })
    }

    fn context<'a>(&self, logical: &LogicalColumn, batch: &'a RecordBatch) -> RowContext<'a> {
        let at = |index: usize| batch.column(index);
        RowContext {
            timestamps: at(0).as_primitive::<TimestampMicrosecondType>().values(),
            aliases: has_conversions(logical).then(|| at(self.places.alias).as_string_view()),
            positions: needs_position(logical)
                .then(|| (at(self.places.shard).as_string_view(), at(self.places.position).as_fixed_size_binary())),
        }
    }
}

/// The bytes of each row's text; where they are no text they were stored encoded.
fn raw_bytes(
    encoded: &datafusion::arrow::array::StringViewArray,
    text: &datafusion::arrow::array::StringViewArray,
) -> ArrayRef {
    let mut bytes = BinaryViewBuilder::with_capacity(text.len());
    for row in 0..text.len() {
        if encoded.is_valid(row) {
            bytes.append_option(coerce::bytes(encoded.value(row)));
        } else if text.is_valid(row) {
            bytes.append_value(text.value(row).as_bytes());
        } else {
            bytes.append_null();
        }
    }
    Arc::new(bytes.finish())
}
