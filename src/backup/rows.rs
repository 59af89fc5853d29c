//! Rows that no archive holds as they are: errors, and which of them were repaired.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::TimestampMicrosecondType,
};
use bytes::Bytes;
use fineo_core::{
    ContentHash, Error, EventId, MetricId, NearlineStore, Position, Result, ShardId, TenantId, Timestamp,
    nearline::{
        COLUMN_ALIAS, COLUMN_CONTENT, COLUMN_EVENT_ID, COLUMN_INGESTED_AT, COLUMN_POSITION, COLUMN_SHARD,
        COLUMN_TIMESTAMP, RowHead, Rows, ScanRequest, SystemColumns,
    },
};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

/// The cells that such rows may have.
const NAMES: [&str; 12] = [
    "stage",
    "class",
    "code",
    "message",
    "raw",
    "raw_bytes",
    "metric",
    "handled_at",
    "build",
    "replay_pointer",
    "error",
    "repaired_at",
];
/// How many rows are written at once.
const ROWS_AT_ONCE: usize = 1_024;

#[derive(Debug, Serialize, Deserialize)]
struct SavedRow {
    shard: String,
    position: String,
    timestamp: i64,
    ingested_at: i64,
    id: String,
    content: String,
    alias: String,
    cells: BTreeMap<String, String>,
}

/// Whose rows are saved as they are.
pub(super) fn metrics() -> [MetricId; 2] {
    [MetricId::errors(), fineo_ingest::repairs()]
}

/// Where the rows of a tenant's `metric` are, relative to their folder.
pub(super) fn path(tenant: &TenantId, metric: &MetricId) -> String {
    format!("{tenant}/{metric}.ndjson")
}

/// Whose rows are at `path`.
pub(super) fn owner(path: &str) -> Result<(TenantId, MetricId)> {
    let damaged = || Error::corrupt("the list of a backup names rows of nobody").with("path", path);
    let (tenant, metric) = path.strip_suffix(".ndjson").and_then(|path| path.split_once('/')).ok_or_else(damaged)?;
    Ok((TenantId::new(tenant)?, MetricId::new(metric)?))
}

/// The rows of `metric` as lines of JSON, and how many they are.
pub(super) async fn read(nearline: &dyn NearlineStore, tenant: &TenantId, metric: &MetricId) -> Result<(Bytes, u64)> {
    let system = SystemColumns { event_id: true, alias: true, ingested_at: true, position: true, content: true };
    let request = ScanRequest::new(tenant.clone(), metric.clone()).with_names(NAMES).with_system(system);
    let mut batches = nearline.scan(request);
    let (mut out, mut count) = (Vec::new(), 0);
    while let Some(batch) = batches.try_next().await? {
        for row in 0..batch.num_rows() {
            let saved = saved(&batch, row).ok_or_else(|| Error::internal("a scan answers what it was asked for"))?;
            serde_json::to_writer(&mut out, &saved)
                .map_err(|source| Error::internal("a row cannot be written").with_source(source))?;
            out.push(b'\n');
            count += 1;
        }
    }
    Ok((out.into(), count))
}

fn saved(batch: &RecordBatch, row: usize) -> Option<SavedRow> {
    let instant = |name: &str| {
        let column = batch.column_by_name(name)?;
        Some(column.as_primitive_opt::<TimestampMicrosecondType>()?.value(row))
    };
    let bytes = |name: &str| Some(batch.column_by_name(name)?.as_fixed_size_binary_opt()?.value(row));
    let text = |name: &str| {
        let texts = batch.column_by_name(name)?.as_string_view_opt()?;
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let id = |name: &str| Some(EventId(bytes(name)?.try_into().ok()?).to_string());
    Some(SavedRow {
        shard: text(COLUMN_SHARD)?,
        position: Position::from_bytes(bytes(COLUMN_POSITION)?.try_into().ok()?).to_string(),
        timestamp: instant(COLUMN_TIMESTAMP)?,
        ingested_at: instant(COLUMN_INGESTED_AT)?,
        id: id(COLUMN_EVENT_ID)?,
        content: id(COLUMN_CONTENT)?,
        alias: text(COLUMN_ALIAS)?,
        cells: NAMES.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect(),
    })
}

/// Writes what [`read`] made; answers how many rows there were.
pub(super) async fn restore(
    nearline: &dyn NearlineStore,
    tenant: &TenantId,
    metric: &MetricId,
    bytes: &[u8],
) -> Result<u64> {
    let mut by_shard: BTreeMap<String, Vec<SavedRow>> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let row: SavedRow = serde_json::from_slice(line)
            .map_err(|source| Error::corrupt("a row of the backup cannot be read").with_source(source))?;
        by_shard.entry(row.shard.clone()).or_default().push(row);
    }
    let mut count = 0;
    for (shard, saved) in by_shard {
        let shard = ShardId::new(&shard)?;
        for some in saved.chunks(ROWS_AT_ONCE) {
            let mut rows = Rows::new(shard.clone());
            for row in some {
                let (id, content) = (row.id.parse::<EventId>()?, row.content.parse::<EventId>()?);
                let head = RowHead {
                    timestamp: Timestamp::from_micros(row.timestamp)?,
                    id,
                    content: ContentHash(content.0),
                    position: row.position.parse()?,
                    ingested_at: Timestamp::from_micros(row.ingested_at)?,
                };
                rows.row(head, &row.alias);
                row.cells.iter().for_each(|(name, text)| rows.cell(name, text));
            }
            for written in nearline.write(tenant, metric, rows).await {
                written.into_result()?;
                count += 1;
            }
        }
    }
    Ok(count)
}
