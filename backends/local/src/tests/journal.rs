//! Rows whose only durable copy is the journal, across restarts.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use fineo_core::{
    ContentHash, ErrorKind, EventId, MetricId, Position, Result, ShardId, TenantId, Timestamp,
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
    rows(&open(folder), metric).await.unwrap()
}

async fn rows(directory: &LocalDirectory, metric: u64) -> Result<usize> {
    let request = ScanRequest::new(TenantId::new("acme").unwrap(), MetricId::numbered(metric));
    let batches: Vec<_> = directory.nearline().scan(request).try_collect().await?;
    Ok(batches.iter().map(arrow_array::RecordBatch::num_rows).sum())
}

/// The files of the journal, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("nearline")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|of| of == "journal")).collect();
    files.sort_unstable();
    files
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

// D7, T8
#[tokio::test(flavor = "multi_thread")]
async fn what_a_damaged_journal_had_is_set_aside_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    let directory = open(&original);
    // Many rows of metric 2 make a segment; the journal has metric 1 alone.
    write_range(&directory, 1, 10..14, 1).await;
    write_range(&directory, 2, 14..64, 1).await;
    write_range(&directory, 1, 64..68, 1).await;
    directory.close().await.unwrap();
    let journal = files(&original).pop().unwrap();
    let len = usize::try_from(fs::metadata(&journal).unwrap().len()).unwrap();
    // The last frame is the seal, which only says that all before it is there.
    for at in (0..len - 25).step_by(len / 40) {
        let folder = folder.path().join(format!("flipped-{at}"));
        super::damage::copy(&original, &folder);
        let mut bytes = fs::read(&journal).unwrap();
        bytes[at] ^= 0x10;
        fs::write(folder.join("nearline").join(journal.file_name().unwrap()), bytes).unwrap();
        for _ in 0..2 {
            let directory = open(&folder);
            let damages = directory.nearline().damages().await.unwrap();
            let told: Vec<_> = damages.iter().map(|damage| (&damage.metric, &damage.positions)).collect();
            let positions = vec![(ShardId::new("s0").unwrap(), Position::from(65), Position::MAX)];
            assert_eq!(told, [(&MetricId::numbered(1), &positions)], "byte {at}");
            let refused = rows(&directory, 1).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt, "byte {at}");
            assert_eq!(rows(&directory, 2).await.unwrap(), 50, "byte {at}");
            directory.close().await.unwrap();
        }
        let directory = open(&folder);
        write_range(&directory, 1, 64..70, 1).await;
        let damage = directory.nearline().damages().await.unwrap().pop().unwrap();
        assert!(directory.nearline().mended(&damage).await.is_done());
        assert_eq!(rows(&directory, 1).await.unwrap(), 4 + 50 + 6, "byte {at}");
        directory.close().await.unwrap();
        assert_eq!(count(&folder, 1).await, 4 + 50 + 6, "byte {at}");
        assert!(open(&folder).nearline().damages().await.unwrap().is_empty(), "byte {at}");
    }
}

// D7, T8
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_gone_is_missed_and_set_aside_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    // Each time a file of its own.
    for first in 0..3 {
        write(&original, 1, std::slice::from_ref(&(first..first + 1)), 1).await;
    }
    assert_eq!(files(&original).len(), 3);
    for (place, gone) in files(&original).into_iter().enumerate() {
        let folder = folder.path().join(format!("without-{place}"));
        super::damage::copy(&original, &folder);
        fs::remove_file(folder.join("nearline").join(gone.file_name().unwrap())).unwrap();
        for _ in 0..2 {
            let directory = open(&folder);
            let damage = directory.nearline().damages().await.unwrap().pop().unwrap();
            let positions = vec![(ShardId::new("s0").unwrap(), Position::from(1), Position::MAX)];
            assert_eq!((&damage.metric, &damage.positions), (&MetricId::numbered(1), &positions), "{place}");
            assert_eq!(rows(&directory, 1).await.unwrap_err().kind(), ErrorKind::Corrupt, "{place}");
            directory.close().await.unwrap();
        }
        let directory = open(&folder);
        write_range(&directory, 1, 0..3, 1).await;
        let damage = directory.nearline().damages().await.unwrap().pop().unwrap();
        assert!(directory.nearline().mended(&damage).await.is_done());
        assert_eq!(rows(&directory, 1).await.unwrap(), 3, "{place}");
        drop(directory);
        assert_eq!(count(&folder, 1).await, 3, "{place}");
    }
}
