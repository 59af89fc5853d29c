//! Directories, entries and rows for tests.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use fineo_core::{
    ContentHash, EventId, Position, Result, ShardId, Stream, TenantId, Timestamp,
    nearline::RowHead,
    stream::{Delivery, Entry, ReadFrom},
};
use futures::StreamExt;

use crate::{LocalDirectory, LocalOptions};

/// Small everything, so that little data meets every path.
pub(super) fn small() -> LocalOptions {
    LocalOptions::default()
        .with_fsync(false)
        .with_ballast_bytes(0)
        .with_log_segment_bytes(4096)
        .with_log_cache_bytes(2048)
        .with_memtable_bytes(16 << 10)
        .with_journal_bytes(8 << 10)
        .with_cache_bytes(64 << 10)
}

/// Opens `path` with small everything.
pub(super) fn open(path: &Path) -> LocalDirectory {
    // Work in the background of an instance let go before may hold the directory a moment longer; it needs another thread
    // to end on, so tests that open twice run on several.
    for _ in 0..500 {
        match LocalDirectory::open(path, small()) {
            Err(error) if error.is_retryable() => std::thread::park_timeout(std::time::Duration::from_millis(10)),
            opened => return opened.expect("the directory opens"),
        }
    }
    LocalDirectory::open(path, small()).expect("the directory opens")
}

pub(super) fn tenant(text: &str) -> TenantId {
    TenantId::new(text).unwrap()
}

pub(super) fn entry(key: u64, payload: impl Into<Bytes>) -> Entry {
    Entry { tenant: tenant("acme"), key, payload: payload.into() }
}

pub(super) fn s0() -> ShardId {
    ShardId::new("s0").unwrap()
}

/// Appends payloads and answers their positions.
pub(super) async fn append(stream: &Arc<dyn Stream>, payloads: &[&str]) -> Vec<Position> {
    let entries = payloads.iter().map(|payload| entry(0, payload.as_bytes().to_vec())).collect();
    let outcomes = stream.append(entries).await;
    outcomes.into_iter().map(|outcome| outcome.into_result().unwrap().position).collect()
}

/// Reads until the tail.
pub(super) async fn read_all(stream: &Arc<dyn Stream>, from: ReadFrom) -> Result<Vec<Delivery>> {
    let shard = s0();
    let Some(tail) = stream.tail(&shard).await? else { return Ok(Vec::new()) };
    let mut deliveries = Vec::new();
    let mut reading = stream.read(&shard, from);
    if matches!(from, ReadFrom::After(position) if position >= tail) {
        return Ok(deliveries);
    }
    while let Some(batch) = reading.next().await {
        deliveries.extend(batch?);
        if deliveries.last().is_some_and(|last: &Delivery| last.position >= tail) {
            break;
        }
    }
    Ok(deliveries)
}

pub(super) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| String::from_utf8_lossy(&delivery.payload).into_owned()).collect()
}

/// A head with the id `id`, said at `micros`, standing at `position`.
pub(super) fn head(id: u128, content: u128, micros: i64, position: u64) -> RowHead {
    RowHead {
        timestamp: Timestamp::from_micros(micros).unwrap(),
        id: EventId(id.to_be_bytes()),
        content: ContentHash(content.to_be_bytes()),
        position: Position::from(position),
        ingested_at: Timestamp::from_micros(micros + 5).unwrap(),
    }
}
