//! Rows whose only durable copy is the journal, across restarts.

use std::{ops::Range, path::Path};

use fineo_core::{
    ContentHash, EventId, MetricId, Position, ShardId, TenantId, Timestamp,
    nearline::{RowHead, Rows, ScanRequest},
};
use futures::TryStreamExt;

use super::fixture::open;
use crate::LocalDirectory;

/// Opens the directory, writes rows of these numbers to each metric, range by range, syncs `syncs` times after each, and
/// lets go.
async fn write(folder: &Path, metrics: u64, ranges: &[Range<u64>], syncs: usize) {
    let directory = open(folder);
    for range in ranges {
        write_range(&directory, metrics, range.clone(), syncs).await;
    }
}

async fn write_range(directory: &LocalDirectory, metrics: u64, range: Range<u64>, syncs: usize) {
    let store = directory.nearline();
    for metric in 1..=metrics {
        let mut rows = Rows::new(ShardId::new("s0").unwrap());
        for number in range.clone() {
            let id = (u128::from(metric) << 64 | u128::from(number)).to_be_bytes();
            let instant = Timestamp::from_micros(i64::try_from(number).unwrap()).unwrap();
            let position = Position::from(number + 1);
            rows.row(
                RowHead {
                    timestamp: instant,
                    id: EventId(id),
                    content: ContentHash(id),
                    position,
                    ingested_at: instant,
                },
                "m",
            );
            rows.cell("v", &format!("{number} {}", "x".repeat(80)));
        }
        let outcomes = store.write(&TenantId::new("acme").unwrap(), &MetricId::numbered(metric), rows).await;
        assert!(outcomes.iter().all(fineo_core::Outcome::is_done));
    }
    for _ in 0..syncs {
        assert!(store.sync().await.is_done());
    }
}

async fn count(folder: &Path, metric: u64) -> usize {
    let directory = open(folder);
    let request = ScanRequest::new(TenantId::new("acme").unwrap(), MetricId::numbered(metric));
    let batches: Vec<_> = directory.nearline().scan(request).try_collect().await.unwrap();
    batches.iter().map(arrow_array::RecordBatch::num_rows).sum()
}

// D1
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_many_small_syncs_are_there_after_every_restart() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 3, &[0..34, 34..68, 68..102, 102..136], 2).await;
    for (round, first) in (1..=3).zip((136..).step_by(5)) {
        write(folder.path(), 3, std::slice::from_ref(&(first..first + 5)), 1).await;
        for metric in 1..=3 {
            assert_eq!(count(folder.path(), metric).await, 136 + 5 * round, "metric {metric} after {round} restarts");
        }
    }
}
