//! Found rows to Arrow batches, column by column.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    builder::{FixedSizeBinaryBuilder, StringViewBuilder},
};
use fineo_core::{
    Error, Position, Result, Timestamp,
    nearline::{ScanRequest, scan_schema},
};

use super::cells::FoundRow;

/// The batch that `rows` make for `request`.
pub(super) fn batch(request: &ScanRequest, rows: &[FoundRow]) -> Result<RecordBatch> {
    let system = request.system;
    let mut columns: Vec<ArrayRef> = vec![instants(rows, |row| row.head.timestamp)];
    if system.event_id {
        columns.push(binaries(rows, |row| row.head.id.0));
    }
    if system.alias {
        columns.push(texts(rows, |row| Some(&row.alias)));
    }
    if system.ingested_at {
        columns.push(instants(rows, |row| row.head.ingested_at));
    }
    if system.position {
        columns.push(texts(rows, |row| Some(&row.shard)));
        columns.push(binaries::<{ Position::LEN }>(rows, |row| row.head.position.to_bytes()));
    }
    if system.content {
        columns.push(binaries(rows, |row| row.head.content.0));
    }
    for name in &request.names {
        columns.push(texts(rows, |row| row.cell(name)));
    }
    RecordBatch::try_new(scan_schema(request), columns)
        .map_err(|source| Error::internal("columns that do not make a batch").with_source(source))
}

fn instants(rows: &[FoundRow], value: impl Fn(&FoundRow) -> Timestamp) -> ArrayRef {
    let micros = rows.iter().map(|row| value(row).micros());
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

fn binaries<const LEN: usize>(rows: &[FoundRow], value: impl Fn(&FoundRow) -> [u8; LEN]) -> ArrayRef {
    let width = i32::try_from(LEN).expect("ids and positions are short");
    let mut builder = FixedSizeBinaryBuilder::with_capacity(rows.len(), width);
    for row in rows {
        builder.append_value(value(row)).expect("the array is as wide as the values");
    }
    Arc::new(builder.finish())
}

fn texts<'a>(rows: &'a [FoundRow], value: impl Fn(&'a FoundRow) -> Option<&'a str>) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(rows.len());
    for row in rows {
        builder.append_option(value(row));
    }
    let array: StringViewArray = builder.finish();
    Arc::new(array)
}
