//! Rows as cases and models speak of them, to [`Rows`] and back from Arrow batches.

use std::sync::Arc;

use arrow_array::{Array, FixedSizeBinaryArray, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use fineo_core::{
    ContentHash, Error, EventId, MetricId, NearlineStore, Outcome, Position, Result, TenantId,
    nearline::{
        COLUMN_ALIAS, COLUMN_CONTENT, COLUMN_EVENT_ID, COLUMN_INGESTED_AT, COLUMN_POSITION, COLUMN_SHARD,
        COLUMN_TIMESTAMP, RowHead, Rows, ScanRequest, SystemColumns, Written, scan_schema,
    },
};
use futures::StreamExt;

use crate::support::{at, shard};

/// One row, all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestRow {
    pub(crate) time: i64,
    pub(crate) id: u128,
    pub(crate) content: u128,
    pub(crate) shard: String,
    pub(crate) position: Position,
    pub(crate) ingested_at: i64,
    pub(crate) alias: String,
    /// In order of names.
    pub(crate) cells: Vec<(String, String)>,
}

impl TestRow {
    /// Event `id` at `id` microseconds, from position `id` of `s0`, without cells.
    pub(crate) fn new(id: u64) -> Self {
        Self {
            time: id.cast_signed(),
            id: u128::from(id),
            content: u128::from(id),
            shard: "s0".to_owned(),
            position: Position::from(id),
            ingested_at: id.cast_signed() + 7,
            alias: "pump".to_owned(),
            cells: Vec::new(),
        }
    }

    pub(crate) fn with_time(mut self, time: i64) -> Self {
        self.time = time;
        self
    }

    pub(crate) fn with_content(mut self, content: u128) -> Self {
        self.content = content;
        self
    }

    pub(crate) fn with_position(mut self, shard: &str, position: u64) -> Self {
        self.shard = shard.to_owned();
        self.position = Position::from(position);
        self
    }

    pub(crate) fn with_cell(mut self, name: &str, text: &str) -> Self {
        self.cells.push((name.to_owned(), text.to_owned()));
        self.cells.sort();
        self
    }

    pub(crate) fn cell(&self, name: &str) -> Option<&str> {
        self.cells.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// With only the first of the cells that `request` ranks, under the first of their names.
    pub(crate) fn ranked(mut self, request: &ScanRequest) -> Self {
        for names in request.ranked.iter().map(|range| &request.names[range.clone()]) {
            let first = names.iter().find_map(|name| self.cell(name)).map(str::to_owned);
            self.cells.retain(|(name, _)| !names.iter().any(|ranked| **ranked == **name));
            if let (Some(name), Some(text)) = (names.first(), first) {
                self = self.with_cell(name, &text);
            }
        }
        self
    }

    fn add_to(&self, rows: &mut Rows) {
        let head = RowHead {
            timestamp: at(self.time),
            id: EventId(self.id.to_be_bytes()),
            content: ContentHash(self.content.to_be_bytes()),
            position: self.position,
            ingested_at: at(self.ingested_at),
        };
        rows.row(head, &self.alias);
        for (name, text) in &self.cells {
            rows.cell(name, text);
        }
    }
}

/// The rows, all of the shard of the first.
pub(crate) fn pack(test_rows: &[TestRow]) -> Rows {
    let mut rows = Rows::new(shard(test_rows.first().map_or("s0", |row| &row.shard)));
    for row in test_rows {
        row.add_to(&mut rows);
    }
    rows
}

/// A tenant's metric in a store.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) store: Arc<dyn NearlineStore>,
    pub(crate) tenant: TenantId,
    pub(crate) metric: MetricId,
}

impl Table {
    pub(crate) fn new(store: Arc<dyn NearlineStore>) -> Self {
        Self { store, tenant: crate::support::tenant("acme"), metric: MetricId::numbered(1) }
    }

    /// Writes and expects every row to be answered for.
    pub(crate) async fn write(&self, rows: &[TestRow]) -> Result<Vec<Written>> {
        let outcomes = self.store.write(&self.tenant, &self.metric, pack(rows)).await;
        assert_eq!(outcomes.len(), rows.len(), "one outcome per row");
        outcomes.into_iter().map(Outcome::into_result).collect()
    }

    /// A request for everything that a row has but its cells.
    pub(crate) fn request(&self) -> ScanRequest {
        let system = SystemColumns { event_id: true, alias: true, ingested_at: true, position: true, content: true };
        ScanRequest::new(self.tenant.clone(), self.metric.clone()).with_system(system)
    }

    /// Every row with the cells under `names`, in order of time and id.
    pub(crate) async fn read(&self, names: &[&str]) -> Result<Vec<TestRow>> {
        self.scan(self.request().with_names(names.iter().copied())).await
    }

    /// What `request` (made from [`Table::request`]) is answered, in order of time and id.
    pub(crate) async fn scan(&self, request: ScanRequest) -> Result<Vec<TestRow>> {
        let mut batches = self.store.scan(request.clone());
        let mut rows = Vec::new();
        while let Some(batch) = batches.next().await {
            rows.extend(unpack(&request, &batch?)?);
        }
        rows.sort();
        Ok(rows)
    }
}

/// The rows of a batch that answers `request`, which asks for all system columns.
pub(crate) fn unpack(request: &ScanRequest, batch: &RecordBatch) -> Result<Vec<TestRow>> {
    assert_eq!(batch.schema(), scan_schema(request), "the batch has other columns than asked for");
    assert!(batch.num_rows() <= request.batch_rows_max.max(1), "the batch has too many rows");
    let instants = |name: &str| column::<TimestampMicrosecondArray>(batch, name);
    let texts = |name: &str| column::<StringViewArray>(batch, name);
    let binaries = |name: &str| column::<FixedSizeBinaryArray>(batch, name);
    let (times, ingested) = (instants(COLUMN_TIMESTAMP)?, instants(COLUMN_INGESTED_AT)?);
    let (ids, contents, positions) =
        (binaries(COLUMN_EVENT_ID)?, binaries(COLUMN_CONTENT)?, binaries(COLUMN_POSITION)?);
    let (aliases, shards) = (texts(COLUMN_ALIAS)?, texts(COLUMN_SHARD)?);
    let first_cell = batch.num_columns() - request.names.len();
    let mut rows = Vec::new();
    for index in 0..batch.num_rows() {
        let mut cells = Vec::new();
        for (offset, name) in request.names.iter().enumerate() {
            // By place: a stored name may be that of a system column.
            let column = batch.column(first_cell + offset).as_any().downcast_ref::<StringViewArray>();
            let column = column.ok_or_else(|| wrong_type(name))?;
            if column.is_valid(index) {
                cells.push((name.to_string(), column.value(index).to_owned()));
            }
        }
        cells.sort();
        rows.push(TestRow {
            time: times.value(index),
            id: number(ids.value(index)),
            content: number(contents.value(index)),
            shard: shards.value(index).to_owned(),
            position: Position::from_bytes(positions.value(index).try_into().map_err(|_| wrong_type("position"))?),
            ingested_at: ingested.value(index),
            alias: aliases.value(index).to_owned(),
            cells,
        });
    }
    Ok(rows)
}

fn column<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A> {
    let index = batch.schema().index_of(name).map_err(|_| wrong_type(name))?;
    batch.column(index).as_any().downcast_ref().ok_or_else(|| wrong_type(name))
}

fn wrong_type(name: &str) -> Error {
    Error::internal("a column has another type than its schema says").with("column", name)
}

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}
