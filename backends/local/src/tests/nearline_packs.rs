//! Many small tables: merges share packs and commits, and packs go with their last segment.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::cast::AsArray;
use fineo_core::{
    Cover, ErrorKind, MetricId, NearlineStore, Outcome, Position, Result,
    nearline::{COLUMN_EVENT_ID, Rows, ScanRequest, SystemColumns},
};
use futures::TryStreamExt;

use super::{
    fault_disk::FaultDisk,
    fixture::{head, s0, small, tenant},
};
use crate::LocalDirectory;

const METRICS: Range<u64> = 1..41;
/// So many flushes make a merge.
const FAN_IN: u64 = 8;

/// Memory for many rows; the second sync in a row moves all of them to segments.
fn open(disk: &FaultDisk, path: &Path) -> LocalDirectory {
    let options = small().with_memtable_bytes(64 << 20).with_journal_bytes(0);
    LocalDirectory::open_on(Arc::new(disk.clone()), path, options).unwrap()
}

fn id(metric: u64, round: u64, row: u64) -> u128 {
    u128::from(metric << 40 | round << 20 | row).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// Writes `rows` rows of `metric`, each with a text of `text_bytes`.
async fn write(store: &Arc<dyn NearlineStore>, metric: u64, round: u64, rows: u64, text_bytes: usize) {
    let mut packed = Rows::new(s0());
    for row in 0..rows {
        let id = id(metric, round, row);
        packed.row(head(id, id, row.cast_signed(), round * 1000 + row + 1), "alias");
        packed.cell("temp", &format!("{id:032x}{}", "x".repeat(text_bytes)));
    }
    let written = store.write(&tenant("acme"), &MetricId::numbered(metric), packed).await;
    assert!(written.iter().all(Outcome::is_done));
}

/// Writes two rows of each metric and moves all of them to one new pack.
async fn round(store: &Arc<dyn NearlineStore>, round: u64) -> Result<()> {
    for metric in METRICS {
        write(store, metric, round, 2, 10).await;
    }
    for _ in 0..2 {
        store.sync().await.into_result()?;
    }
    Ok(())
}

fn packs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("nearline")).unwrap().map(|entry| entry.unwrap().path());
    let mut packs: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "pack")).collect();
    packs.sort_unstable();
    packs
}

/// The ids of a metric's rows with their texts.
async fn rows(store: &Arc<dyn NearlineStore>, metric: u64) -> Result<BTreeMap<u128, String>> {
    let system = SystemColumns { event_id: true, ..SystemColumns::default() };
    let request = ScanRequest::new(tenant("acme"), MetricId::numbered(metric)).with_system(system).with_names(["temp"]);
    let mut found = BTreeMap::new();
    for batch in store.scan(request).try_collect::<Vec<_>>().await? {
        for row in 0..batch.num_rows() {
            let id = batch[COLUMN_EVENT_ID].as_fixed_size_binary().value(row);
            let id = u128::from_be_bytes(id.try_into().unwrap());
            let text = batch["temp"].as_string_view().value(row).to_owned();
            assert!(found.insert(id, text).is_none(), "a row came twice");
        }
    }
    Ok(found)
}

fn wanted(metric: u64, rounds: Range<u64>) -> BTreeMap<u128, String> {
    let ids = rounds.flat_map(|round| [id(metric, round, 0), id(metric, round, 1)]);
    ids.map(|id| (id, format!("{id:032x}{}", "x".repeat(10)))).collect()
}

async fn check(store: &Arc<dyn NearlineStore>, rounds: u64) {
    for metric in METRICS {
        assert_eq!(rows(store, metric).await.unwrap(), wanted(metric, 0..rounds), "metric {metric}");
    }
}

/// Flips a bit near the beginning of a pack.
fn damage(pack: &Path) {
    let pack = fs::OpenOptions::new().read(true).write(true).open(pack).unwrap();
    let mut byte = [0];
    pack.read_exact_at(&mut byte, 100).unwrap();
    pack.write_all_at(&[byte[0] ^ 0x10], 100).unwrap();
}

async fn remove_all(store: &Arc<dyn NearlineStore>, metric: u64) -> u64 {
    let cover: Cover = [(s0(), Position::from(u64::MAX))].into_iter().collect();
    store.remove(&tenant("acme"), &MetricId::numbered(metric), &cover).await.into_result().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merges_of_many_tables_are_one_pack_and_one_commit() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    let mut syncs = 0;
    for number in 0..FAN_IN {
        let before = disk.syncs();
        round(&store, number).await.unwrap();
        if number + 1 < FAN_IN {
            syncs = disk.syncs() - before;
            assert_eq!(packs(folder.path()).len() as u64, number + 1);
        } else {
            // The pack, its name, and the commit.
            let more = disk.syncs() - before - syncs;
            assert!((3..=4).contains(&more), "{more} syncs for the merges of {METRICS:?}");
            assert_eq!(packs(folder.path()).len(), 1);
        }
    }
    check(&store, FAN_IN).await;

    drop((store, directory));
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    check(&store, FAN_IN).await;
    assert_eq!(store.metrics(&tenant("acme")).await.unwrap().len(), 40);
    assert!(store.metrics(&tenant("acm")).await.unwrap().is_empty());
    // A pack goes with the last of its segments.
    for metric in METRICS {
        assert_eq!(packs(folder.path()).len(), 1, "metric {metric}");
        assert_eq!(remove_all(&store, metric).await, 2 * FAN_IN);
    }
    assert!(packs(folder.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_merge_has_a_pack_of_its_own_that_goes_with_it() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    let large = 100;
    for number in 0..FAN_IN {
        write(&store, large, number, 200, 1000).await;
        round(&store, number).await.unwrap();
    }
    assert_eq!(packs(folder.path()).len(), 2);
    check(&store, FAN_IN).await;
    assert_eq!(rows(&store, large).await.unwrap().len() as u64, 200 * FAN_IN);
    assert_eq!(remove_all(&store, large).await, 200 * FAN_IN);
    assert_eq!(packs(folder.path()).len(), 1);
    check(&store, FAN_IN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_large_rows_are_few_and_each_row_is_written_a_few_times() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    let before = disk.written();
    for number in 0..3 * FAN_IN {
        // Each is more than a megabyte, which makes a segment.
        write(&store, 1, number, 16, 64 << 10).await;
        store.sync().await.into_result().unwrap();
    }
    assert_eq!(packs(folder.path()).len(), 3);
    let stored: u64 = packs(folder.path()).iter().map(|pack| pack.metadata().unwrap().len()).sum();
    let written = disk.written() - before;
    assert!(written <= stored * 21 / 10, "{written} bytes written of {stored}");
    assert_eq!(rows(&store, 1).await.unwrap().len() as u64, 16 * 3 * FAN_IN);
}

// D7
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_table_does_not_stop_the_merges_of_others() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    round(&store, 0).await.unwrap();
    // A pack begins with the segment of the first table.
    damage(&packs(folder.path()).remove(0));
    for number in 1..FAN_IN {
        round(&store, number).await.unwrap();
    }
    for _ in 0..2 {
        let damages = store.damages().await.unwrap();
        let damaged: Vec<_> = damages.iter().map(|damage| damage.metric.clone()).collect();
        assert_eq!(damaged.len(), 1, "{damaged:?}");
        // The packs stay in which the eight segments of the damaged table are.
        assert_eq!(packs(folder.path()).len(), 9);
        for metric in METRICS {
            let found = rows(&store, metric).await;
            if MetricId::numbered(metric) == damaged[0] {
                assert_eq!(found.unwrap_err().kind(), ErrorKind::Corrupt);
            } else {
                assert_eq!(found.unwrap(), wanted(metric, 0..FAN_IN), "metric {metric}");
            }
        }
    }
    let damage = store.damages().await.unwrap().remove(0);
    store.mended(&damage).await.into_result().unwrap();
    assert_eq!(packs(folder.path()).len(), 8);
    let metric = METRICS.into_iter().find(|metric| MetricId::numbered(*metric) == damage.metric).unwrap();
    assert_eq!(rows(&store, metric).await.unwrap(), wanted(metric, 1..FAN_IN));
    round(&store, FAN_IN).await.unwrap();
    assert_eq!(rows(&store, metric).await.unwrap(), wanted(metric, 1..FAN_IN + 1));
    // Two merged ones, and the last flush of the others.
    assert_eq!(packs(folder.path()).len(), 3);
}

// D7
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_meets_damage_leaves_no_pack_behind_however_often_it_is_tried() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open(&disk, folder.path());
    let store = directory.nearline();
    // Two segments whose positions overlap: what is to go is a part of each.
    for positions in [[1, 100], [2, 101]] {
        let mut packed = Rows::new(s0());
        for position in positions {
            packed.row(head(u128::from(position), u128::from(position), 0, position), "alias");
            packed.cell("temp", &"x".repeat(1_000));
        }
        let written = store.write(&tenant("acme"), &MetricId::numbered(1), packed).await;
        assert!(written.iter().all(Outcome::is_done));
        for _ in 0..2 {
            store.sync().await.into_result().unwrap();
        }
    }
    let before = packs(folder.path());
    assert_eq!(before.len(), 2);
    damage(&before[1]);
    let cover: Cover = [(s0(), Position::from(50))].into_iter().collect();
    for _ in 0..3 {
        let removed = store.remove(&tenant("acme"), &MetricId::numbered(1), &cover).await.into_result();
        assert_eq!(removed.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(packs(folder.path()), before);
    }
}

// D1, D5
#[tokio::test(flavor = "multi_thread")]
async fn whichever_sync_of_a_merge_fails_all_rows_are_there_again() {
    for failing in 0.. {
        let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
        let directory = open(&disk, folder.path());
        let store = directory.nearline();
        for number in 0..FAN_IN - 1 {
            round(&store, number).await.unwrap();
        }
        disk.fail_sync(failing);
        let done = round(&store, FAN_IN - 1).await;
        assert_eq!(done.is_err(), disk.has_failed(), "sync {failing}");
        if done.is_ok() {
            assert!(failing > 6, "{failing} syncs");
            break;
        }
        // What is in memory answers whatever the disk has.
        check(&store, FAN_IN).await;
        let mut state = failing + 1;
        disk.crash(|bound| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) % bound.max(1)
        });
        drop((store, directory));
        let disk = FaultDisk::default();
        let directory = open(&disk, folder.path());
        let store = directory.nearline();
        for metric in METRICS {
            let mut found = rows(&store, metric).await.unwrap();
            let last = wanted(metric, FAN_IN - 1..FAN_IN);
            found.retain(|id, text| last.get(id) != Some(text));
            assert_eq!(found, wanted(metric, 0..FAN_IN - 1), "metric {metric} after sync {failing}");
        }
        round(&store, FAN_IN - 1).await.unwrap();
        check(&store, FAN_IN).await;
    }
}

// D6
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_merges_wait_and_nothing_is_lost() {
    for free in (0..900_000).step_by(50_021) {
        let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
        let directory = open(&disk, folder.path());
        let store = directory.nearline();
        for number in 0..FAN_IN - 1 {
            round(&store, number).await.unwrap();
        }
        let before = packs(folder.path()).len();
        disk.set_free(free);
        let done = round(&store, FAN_IN - 1).await;
        check(&store, FAN_IN).await;
        match done {
            Ok(()) => assert_eq!(packs(folder.path()).len(), 1, "{free} bytes free"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{free} bytes free: {error:?}");
                // A pack that could not be written is gone, and takes no room.
                assert!(packs(folder.path()).len() <= before + 1, "{free} bytes free");
            }
        }
        // The next sync moves what this one left, although nothing is written to any table.
        disk.set_free(1 << 40);
        store.sync().await.into_result().unwrap();
        drop((store, directory));
        let directory = open(&disk, folder.path());
        let store = directory.nearline();
        check(&store, FAN_IN).await;
        for _ in 0..2 {
            round(&store, FAN_IN).await.unwrap();
        }
        check(&store, FAN_IN + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_one_row_are_moved_to_disk_when_they_take_the_memory() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let options = small().with_memtable_bytes(1 << 20).with_journal_bytes(64 << 20);
    let directory = LocalDirectory::open_on(Arc::new(disk), folder.path(), options).unwrap();
    let store = directory.nearline();
    // A table with a row of one cell takes two kilobytes, whatever the cell takes.
    for metric in 0..600 {
        write(&store, metric, 0, 1, 0).await;
    }
    assert!(!packs(folder.path()).is_empty());
    for metric in 0..600 {
        assert_eq!(rows(&store, metric).await.unwrap().len(), 1, "metric {metric}");
    }
}

/// Removing all rows, the memory that rows take is counted down to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn memory_of_rows_that_were_moved_or_removed_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let options = small().with_memtable_bytes(1 << 20).with_journal_bytes(64 << 20);
    let directory = LocalDirectory::open(folder.path(), options).unwrap();
    let store = directory.nearline();
    for number in 0..20 {
        // Half of the rows go through segments, and half are removed in memory; more than the memory there is in all.
        for metric in METRICS {
            write(&store, metric, number, 20, 200).await;
        }
        let cover: Cover = [(s0(), Position::from(number * 1000 + 10))].into_iter().collect();
        for metric in METRICS {
            store.remove(&tenant("acme"), &MetricId::numbered(metric), &cover).await.into_result().unwrap();
        }
        for metric in METRICS {
            assert_eq!(rows(&store, metric).await.unwrap().len(), 10, "metric {metric}");
        }
    }
    for metric in METRICS {
        assert_eq!(remove_all(&store, metric).await, 10);
    }
    assert!(packs(folder.path()).is_empty());
    write(&store, 1, 20, 2, 10).await;
    store.sync().await.into_result().unwrap();
    // Few rows in an empty store stay in memory and the journal: nobody takes it for full.
    write(&store, 1, 21, 2, 10).await;
    store.sync().await.into_result().unwrap();
    assert!(packs(folder.path()).is_empty());
}
