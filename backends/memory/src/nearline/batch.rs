//! Rows to Arrow batches, column by column.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    builder::{FixedSizeBinaryBuilder, StringViewBuilder},
};
use arrow_schema::SchemaRef;
use fineo_core::{
    Error, Position, Result, Timestamp,
    nearline::{ScanRequest, scan_schema},
};

use super::table::StoredRow;

// Of the texts of one batch; a single row may exceed it.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// The batches that answer a request from a snapshot of rows.
pub(super) struct Batches {
    request: ScanRequest,
    schema: SchemaRef,
    rows: std::vec::IntoIter<Arc<StoredRow>>,
}

impl Batches {
    pub(super) fn new(request: ScanRequest, mut rows: Vec<Arc<StoredRow>>) -> Self {
        if request.latest.is_some() {
            rows.reverse();
        }
        let schema = scan_schema(&request);
        Self { request, schema, rows: rows.into_iter() }
    }

    fn next_rows(&mut self) -> Vec<Arc<StoredRow>> {
        let mut wanted = Vec::new();
        let mut bytes = 0;
        for row in self.rows.by_ref() {
            let request = &self.request;
            let is_hidden = request.beyond.contains(&row.shard, row.head.position);
            let is_old = request.latest.as_ref().is_some_and(|latest| row.is_old(latest));
            if is_hidden || is_old || !request.predicates.iter().all(|predicate| row.satisfies(predicate)) {
                continue;
            }
            let cells = self.request.names.iter().filter_map(|name| row.cell(name));
            bytes += cells.map(str::len).sum::<usize>();
            wanted.push(row);
            if wanted.len() >= self.request.batch_rows_max || bytes >= BATCH_BYTES_MAX {
                break;
            }
        }
        wanted
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.next_rows();
        (!rows.is_empty()).then(|| batch(&self.request, &self.schema, &rows))
    }
}

fn batch(request: &ScanRequest, schema: &SchemaRef, rows: &[Arc<StoredRow>]) -> Result<RecordBatch> {
    let system = request.system;
    let mut columns: Vec<ArrayRef> = vec![instants(rows, |row| row.head.timestamp)];
    if system.event_id {
        columns.push(binaries(rows, |row| row.head.id.0));
    }
    if system.alias {
        columns.push(Arc::new(texts(rows, |row| Some(&row.alias))));
    }
    if system.ingested_at {
        columns.push(instants(rows, |row| row.head.ingested_at));
    }
    if system.position {
        columns.push(Arc::new(texts(rows, |row| Some(row.shard.as_str()))));
        columns.push(binaries::<{ Position::LEN }>(rows, |row| row.head.position.to_bytes()));
    }
    if system.content {
        columns.push(binaries(rows, |row| row.head.content.0));
    }
    for name in &request.names {
        columns.push(Arc::new(texts(rows, |row| row.cell(name))));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|source| Error::internal("columns that do not make a batch").with_source(source))
}

fn instants(rows: &[Arc<StoredRow>], value: impl Fn(&StoredRow) -> Timestamp) -> ArrayRef {
    let micros = rows.iter().map(|row| value(row).micros());
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

fn binaries<const LEN: usize>(rows: &[Arc<StoredRow>], value: impl Fn(&StoredRow) -> [u8; LEN]) -> ArrayRef {
    let width = i32::try_from(LEN).expect("ids and positions are short");
    let mut builder = FixedSizeBinaryBuilder::with_capacity(rows.len(), width);
    for row in rows {
        builder.append_value(value(row)).expect("the array is as wide as the values");
    }
    let array: FixedSizeBinaryArray = builder.finish();
    Arc::new(array)
}

fn texts<'a>(rows: &'a [Arc<StoredRow>], value: impl Fn(&'a StoredRow) -> Option<&'a str>) -> StringViewArray {
    let mut builder = StringViewBuilder::with_capacity(rows.len());
    for row in rows {
        builder.append_option(value(row));
    }
    builder.finish()
}
