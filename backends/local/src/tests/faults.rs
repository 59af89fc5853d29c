//! Full disks, failing syncs, lost pages: whatever was done is there, whatever is refused is refused for good.

use std::{path::Path, sync::Arc};

use arrow_array::cast::AsArray;
use bytes::Bytes;
use fineo_core::{
    ErrorKind, MetricId, Outcome, Position, Result, Timestamp,
    archive::{SegmentKind, SegmentName, Stage},
    nearline::{COLUMN_EVENT_ID, Rows, ScanRequest, SystemColumns, Written},
    repo::{Compared, Keep, Subject, Version, Write},
    stream::ReadFrom,
};
use futures::{FutureExt, StreamExt};

use super::{
    fault_disk::FaultDisk,
    fixture::{entry, head, open, read_all, s0, small, tenant, texts},
};
use crate::{LocalDirectory, LocalOptions};

/// What was done so far, by what the directory answered.
#[derive(Debug, Default)]
struct Done {
    entries: Vec<(Position, String)>,
    rows: Vec<u128>,
    versions: u64,
    segments: Vec<SegmentName>,
}

fn subject() -> Subject {
    Subject::system("checkpoint", Keep::Latest).unwrap()
}

fn segment(round: u64) -> SegmentName {
    SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: Timestamp::from_micros(1_700_000_000_000_000).unwrap(),
        shard: s0(),
        first: Position::from(round),
        last: Position::from(round + 1),
    }
}

fn id(round: u64, row: u64) -> u128 {
    (u128::from(round * 100 + row) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// One round of everything; an error ends it.
async fn round(directory: &LocalDirectory, round: u64, done: &mut Done) -> Result<()> {
    let stream = directory.stream("raw", 1)?;
    let payloads: Vec<String> = (0..5).map(|number| format!("{round}-{number}-{}", "x".repeat(100))).collect();
    let entries = payloads.iter().map(|payload| entry(0, payload.clone().into_bytes())).collect();
    let mut appended = Vec::new();
    for (outcome, payload) in stream.append(entries).await.into_iter().zip(payloads) {
        appended.push((outcome.into_result()?.position, payload));
    }
    stream.sync().await.into_result()?;
    done.entries.extend(appended);

    let nearline = directory.nearline();
    let mut rows = Rows::new(s0());
    let ids: Vec<u128> = (0..40).map(|row| id(round, row)).collect();
    for (number, id) in ids.iter().enumerate() {
        rows.row(head(*id, *id, number as i64, round * 100 + number as u64 + 1), "alias");
        rows.cell("temp", &format!("{number}"));
    }
    for outcome in nearline.write(&tenant("acme"), &MetricId::numbered(1), rows).await {
        assert_eq!(outcome.into_result()?, Written::New);
    }
    nearline.sync().await.into_result()?;
    done.rows.extend(ids);

    directory.archive().write(&segment(round), Bytes::from(vec![round as u8; 3000])).await.into_result()?;
    done.segments.push(segment(round));
    checkpoint(directory, done).await
}

async fn checkpoint(directory: &LocalDirectory, done: &mut Done) -> Result<()> {
    let write = Write {
        subject: subject(),
        expected: Version(done.versions),
        body: Some(Bytes::from(format!("checkpoint {}", done.versions + 1))),
    };
    let now = Timestamp::from_micros(1).unwrap();
    let compared = directory.repo().append(vec![write], now).await.into_result()?;
    assert_eq!(compared, Compared::Written);
    done.versions += 1;
    Ok(())
}

/// Everything that was done is there, as it was.
async fn check(directory: &LocalDirectory, done: &Done) {
    let stream = directory.stream("raw", 1).unwrap();
    let found = read_all(&stream, ReadFrom::Start).await.unwrap();
    let mut left = found.iter();
    for (position, text) in &done.entries {
        let found = left.find(|delivery| delivery.position == *position).expect("an acknowledged entry is lost");
        assert_eq!(found.payload, text.as_bytes());
    }
    let positions: Vec<Position> = found.iter().map(|delivery| delivery.position).collect();
    assert!(positions.is_sorted_by(|one, other| one < other));
    let texts = texts(&found);
    assert!(texts.iter().all(|text| text.ends_with(&"x".repeat(100))), "an entry is not as it was appended");
    check_rows(directory, done).await;
    for name in &done.segments {
        let bytes = directory.archive().read(name, None).await.unwrap();
        assert_eq!(bytes.len(), 3000);
    }
    let version = directory.repo().latest(&subject()).await.unwrap().map_or(0, |latest| latest.version.0);
    assert!(version == done.versions || version == done.versions + 1, "{version} is not {}", done.versions);
}

async fn check_rows(directory: &LocalDirectory, done: &Done) {
    let system = SystemColumns { event_id: true, ..SystemColumns::default() };
    let request = ScanRequest::new(tenant("acme"), MetricId::numbered(1)).with_system(system).with_names(["temp"]);
    let mut batches = directory.nearline().scan(request);
    let mut ids = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        let column = batch[COLUMN_EVENT_ID].as_fixed_size_binary();
        ids.extend(column.iter().flatten().map(|id| u128::from_be_bytes(id.try_into().unwrap())));
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "a row came twice");
    let missing = done.rows.iter().filter(|id| ids.binary_search(id).is_err()).count();
    assert_eq!(missing, 0, "of {} rows", done.rows.len());
}

fn open_on(disk: &FaultDisk, path: &Path, options: LocalOptions) -> Result<LocalDirectory> {
    LocalDirectory::open_on(Arc::new(disk.clone()), path, options)
}

// D5
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_every_change_is_refused_until_the_directory_is_opened_again() {
    for failing in 0..25 {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultDisk::default();
        let directory = open_on(&disk, folder.path(), small().with_fsync(true)).unwrap();
        let mut done = Done::default();
        disk.fail_sync(failing);
        let mut number = 0;
        let error = loop {
            match round(&directory, number, &mut done).await {
                Ok(()) => number += 1,
                Err(error) => break error,
            }
            assert!(number < 40, "sync {failing} never came");
        };
        assert!(disk.has_failed(), "sync {failing}: {error:?}");
        let stream = directory.stream("raw", 1).unwrap();
        let refused = stream.append(vec![entry(0, "late")]).await.remove(0).into_result();
        let refused = refused.expect_err(&format!("after sync {failing} failed: {error:?}"));
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert!(!stream.sync().await.is_done());
        assert!(!directory.nearline().sync().await.is_done());
        assert!(checkpoint(&directory, &mut done).await.is_err());
        assert!(directory.archive().write(&segment(999), Bytes::new()).await.into_result().is_err());
        drop((stream, directory));
        check(&open(folder.path()), &done).await;
    }
}

// D1
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_reaches_what_could_be_read_before_its_append_was_over() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = open_on(&disk, folder.path(), small().with_fsync(true)).unwrap();
    let stream = directory.stream("raw", 2).unwrap();
    disk.hold("/s1/");
    let appending = Arc::clone(&stream);
    let append = tokio::spawn(async move { appending.append(vec![entry(0, "first"), entry(1, "second")]).await });
    let read = stream.read(&s0(), ReadFrom::Start).next().await.unwrap().unwrap();
    assert_eq!(texts(&read), ["first"]);
    let before = disk.syncs();
    let mut sync = stream.sync();
    let is_over = (&mut sync).now_or_never().is_some();
    disk.release();
    assert!(!is_over, "it has to go to the disk");
    assert!(sync.await.is_done());
    assert!(disk.syncs() > before);
    assert!(append.await.unwrap().iter().all(Outcome::is_done));
}

// D6
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_entries_are_refused_and_checkpoints_go_on() {
    for free in (0..60_000).step_by(911) {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultDisk::default();
        let options = small().with_fsync(true).with_ballast_bytes(1 << 20);
        let directory = open_on(&disk, folder.path(), options).unwrap();
        let mut done = Done::default();
        disk.set_free(free);
        let mut number = 0;
        let error = loop {
            match round(&directory, number, &mut done).await {
                Ok(()) => number += 1,
                Err(error) => break error,
            }
            assert!(number < 100, "the disk never filled");
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "with {free} bytes free: {error:?}");
        assert!(!error.may_have_applied(), "{error:?}");
        checkpoint(&directory, &mut done).await.expect("a checkpoint on a full disk");
        check(&directory, &done).await;
        // Closing may not save rows that the stream still has, but it ends in order.
        let _ = directory.close().await;
        let directory = open(folder.path());
        check(&directory, &done).await;
        round(&directory, 500, &mut done).await.expect("the directory works again");
    }
}

// D1
#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_survives_the_loss_of_power_at_any_moment() {
    for seed in 0..25_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut chance = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % bound.max(1)
        };
        let folder = tempfile::tempdir().unwrap();
        let mut done = Done::default();
        let mut number = 0;
        for _ in 0..3 {
            let disk = FaultDisk::default();
            let directory = open_on(&disk, folder.path(), small().with_fsync(true)).unwrap();
            check(&directory, &done).await;
            done.versions = directory.repo().latest(&subject()).await.unwrap().map_or(0, |latest| latest.version.0);
            for _ in 0..chance(6) {
                round(&directory, number, &mut done).await.unwrap();
                number += 1;
            }
            // Entries that are appended and not synced may be lost, whole.
            let stream = directory.stream("raw", 1).unwrap();
            for extra in 0..chance(4) {
                stream.append(vec![entry(0, format!("unsynced {extra} {}", "x".repeat(100)))]).await;
            }
            disk.crash(&mut chance);
            drop((stream, directory));
        }
        check(&open(folder.path()), &done).await;
    }
}
