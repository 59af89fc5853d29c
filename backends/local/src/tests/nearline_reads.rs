//! How often the nearline store goes to the disk.

use std::{path::Path, sync::Arc};

use fineo_core::{
    MetricId, NearlineStore, Outcome, TimeRange,
    nearline::{Rows, ScanRequest, Written},
};
use futures::{FutureExt, TryStreamExt};

use super::{
    fault_disk::FaultDisk,
    fixture::{head, s0, small, tenant},
};
use crate::LocalDirectory;

const ROWS: u64 = 200;

fn open(disk: &FaultDisk, path: &Path) -> LocalDirectory {
    let options = small().with_journal_bytes(1 << 20).with_cache_bytes(256 << 10);
    LocalDirectory::open_on(Arc::new(disk.clone()), path, options).unwrap()
}

/// Rows that make a segment, each with its own one of as many names and with `more` of them.
fn rows(metric: u64, number: u64, more: u64) -> Rows {
    let mut rows = Rows::new(s0());
    for row in 0..ROWS {
        let id = u128::from((metric << 32) | (number * ROWS + row));
        rows.row(head(id, id, row.cast_signed(), number * ROWS + row + 1), "alias");
        rows.cell("temp", "a text that is longer than twelve bytes");
        for name in row..=row + more {
            rows.cell(&format!("x{name}"), "1");
        }
    }
    rows
}

/// Writes a segment of them.
async fn write(store: &Arc<dyn NearlineStore>, metric: u64, number: u64, more: u64) {
    let rows = rows(metric, number, more);
    let written = store.write(&tenant("acme"), &MetricId::numbered(metric), rows).await;
    assert!(written.iter().all(Outcome::is_done));
    store.sync().await.into_result().unwrap();
}

/// How often one goes to the disk to look up the rows of a hundred instants.
async fn reads_of_a_look_up(disk: &FaultDisk, store: &Arc<dyn NearlineStore>, metric: u64) -> u64 {
    let before = disk.reads();
    let request = ScanRequest::new(tenant("acme"), MetricId::numbered(metric)).with_names(["temp", "x7"]);
    let request = request.with_time(TimeRange { from: 50, to: 150 });
    let batches: Vec<_> = store.scan(request).try_collect().await.unwrap();
    assert!(batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>() >= 100);
    disk.reads() - before
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_looked_up_are_looked_up_again_in_memory() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    write(&store, 1, 0, 0).await;
    assert!(reads_of_a_look_up(&disk, &store, 1).await > 0, "the rows are on the disk");
    assert_eq!(reads_of_a_look_up(&disk, &store, 1).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_of_thousands_of_rare_names_reads_little_and_leaves_look_ups_what_they_kept() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    write(&store, 1, 0, 0).await;
    reads_of_a_look_up(&disk, &store, 1).await;
    let mut packs = 0;
    for number in 0.. {
        let before = disk.reads();
        write(&store, 2, number, 5).await;
        let files = std::fs::read_dir(folder.path().join("nearline")).unwrap();
        let now = files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|it| it == "pack")).count();
        if now > packs {
            packs = now;
            continue;
        }
        let reads = disk.reads() - before;
        assert!(reads < 100, "{reads} reads for a merge of {number} segments of {ROWS} names");
        break;
    }
    assert_eq!(reads_of_a_look_up(&disk, &store, 1).await, 0);
}

#[tokio::test]
async fn rows_that_are_sent_again_are_looked_up_in_a_thread_that_may_wait_for_the_disk() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    write(&store, 1, 0, 0).await;
    let (before, here) = (disk.reads(), disk.reads_here());
    let written = store.write(&tenant("acme"), &MetricId::numbered(1), rows(1, 0, 0)).await;
    assert!(written.iter().all(|outcome| matches!(outcome, Outcome::Done(Written::Duplicate))));
    assert!(disk.reads() >= before + ROWS, "each is looked up");
    assert_eq!(disk.reads_here(), here);
}

#[tokio::test]
async fn rows_that_are_written_while_others_of_them_are_looked_up_are_not_written_twice() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    write(&store, 1, 0, 0).await;
    let (tenant, metric) = (tenant("acme"), MetricId::numbered(1));
    let mut both = rows(1, 0, 0);
    for row in rows(1, 1, 0).iter() {
        both.row(*row.head(), row.alias());
    }
    disk.hold(".pack");
    let mut writing = store.write(&tenant, &metric, both);
    assert!((&mut writing).now_or_never().is_none(), "the first of them are looked up");
    disk.release();
    // To a segment that nobody asked.
    write(&store, 1, 1, 0).await;
    let written = writing.await;
    assert_eq!(written.len() as u64, 2 * ROWS);
    assert!(written.iter().all(|outcome| matches!(outcome, Outcome::Done(Written::Duplicate))));
}
