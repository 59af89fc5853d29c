//! What a directory answers after it was closed, abandoned, cut short or taken by another.

use bytes::Bytes;
use fineo_core::{
    ErrorKind, Position, TenantId, Timestamp,
    archive::{Created, SegmentKind, SegmentName, SegmentQuery, Stage},
    repo::{Compared, Keep, Subject, Version, Write},
    stream::ReadFrom,
};
use futures::StreamExt;

use super::fixture::{append, open, read_all, s0, small, texts};
use crate::LocalDirectory;

// D1
#[tokio::test(flavor = "multi_thread")]
async fn synced_entries_are_there_after_the_process_died() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let stream = directory.stream("raw", 1).unwrap();
    let before = append(&stream, &["a", "b", "c"]).await;
    assert!(stream.sync().await.is_done());
    drop((stream, directory));

    let directory = open(folder.path());
    let stream = directory.stream("raw", 1).unwrap();
    assert_eq!(texts(&read_all(&stream, ReadFrom::Start).await.unwrap()), ["a", "b", "c"]);
    let after = append(&stream, &["d"]).await;
    assert!(after[0] > before[2], "positions grow across a restart");
    let rest = read_all(&stream, ReadFrom::After(before[1])).await.unwrap();
    assert_eq!(texts(&rest), ["c", "d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_is_read_through_many_files() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let stream = directory.stream("raw", 1).unwrap();
    let all: Vec<String> = (0..500).map(|number| format!("entry {number} {}", "x".repeat(number % 97))).collect();
    let mut positions = Vec::new();
    for part in all.chunks(7) {
        positions.extend(append(&stream, &part.iter().map(String::as_str).collect::<Vec<_>>()).await);
    }
    assert_eq!(texts(&read_all(&stream, ReadFrom::Start).await.unwrap()), all);
    for place in [0, 1, 77, 250, 498, 499] {
        let rest = read_all(&stream, ReadFrom::After(positions[place])).await.unwrap();
        assert_eq!(texts(&rest), all[place + 1..], "after {place}");
    }
    assert!(stream.trim(&s0(), positions[300]).await.is_done());
    let rest = read_all(&stream, ReadFrom::Start).await.unwrap();
    assert!(rest.len() < 300 && rest.len() >= 199, "{}", rest.len());
    let refused = read_all(&stream, ReadFrom::After(positions[3])).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.context().iter().any(|(name, _)| *name == "first"));
    drop((stream, directory));
    let directory = open(folder.path());
    let stream = directory.stream("raw", 1).unwrap();
    assert_eq!(texts(&read_all(&stream, ReadFrom::After(positions[300])).await.unwrap()), all[301..]);
    assert_eq!(stream.tail(&s0()).await.unwrap(), Some(positions[499]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_who_has_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let refused = LocalDirectory::open(folder.path(), small()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let holder = format!("in use by process {}", std::process::id());
    assert!(refused.to_string().contains(&holder), "{refused}");
    directory.close().await.unwrap();
    open(folder.path());
}

// N12
#[tokio::test(flavor = "multi_thread")]
async fn parts_that_are_still_held_refuse_changes_after_closing() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let stream = directory.stream("raw", 1).unwrap();
    append(&stream, &["a"]).await;
    directory.close().await.unwrap();
    let outcome = stream.append(vec![super::fixture::entry(0, "b")]).await.remove(0);
    assert_eq!(outcome.into_result().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(texts(&read_all(&stream, ReadFrom::Start).await.unwrap()), ["a"]);
}

// D1, D2
#[tokio::test(flavor = "multi_thread")]
async fn parts_that_are_still_held_harm_nothing_of_the_directory_that_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let subject = Subject::system("numbers", Keep::History).unwrap();
    let other = Subject::system("others", Keep::Latest).unwrap();
    let write = |expected: u64| Write {
        subject: subject.clone(),
        expected: Version(expected),
        body: Some(Bytes::from(vec![7; 100_000])),
    };
    let now = Timestamp::from_micros(1).unwrap();
    let mut held = Vec::new();
    for version in 0..4 {
        let directory = open(folder.path());
        let repo = directory.repo();
        assert_eq!(repo.latest(&subject).await.unwrap().map_or(0, |latest| latest.version.0), version);
        assert_eq!(repo.append(vec![write(version)], now).await.into_result().unwrap(), Compared::Written);
        // What is let go only now is of the directory as it was before.
        held.clear();
        directory.close().await.unwrap();
        let refused = repo.append(vec![write(version + 1)], now).await.into_result().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert_eq!(repo.latest(&other).await.unwrap_err().kind(), ErrorKind::Unavailable);
        held.push(repo);
    }
}

fn segment(first: u64, last: u64) -> SegmentName {
    SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: Timestamp::from_micros(1_700_000_000_000_000).unwrap(),
        shard: s0(),
        first: Position::from(first),
        last: Position::from(last),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_written_once_and_read_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let archive = directory.archive();
    let bytes = Bytes::from((0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    let write = async |bytes: &Bytes| archive.write(&segment(1, 9), bytes.clone()).await.into_result().unwrap();
    assert_eq!(write(&bytes).await, Created::New);
    assert_eq!(write(&bytes).await, Created::Same);
    assert_eq!(write(&Bytes::from_static(b"other")).await, Created::Conflict);
    assert_eq!(archive.read(&segment(1, 9), None).await.unwrap(), bytes);
    let range = archive.read(&segment(1, 9), Some((65_000, 140_001))).await.unwrap();
    assert_eq!(range, bytes.slice(65_000..140_001));
    assert_eq!(archive.read(&segment(2, 9), None).await.unwrap_err().kind(), ErrorKind::NotFound);
    let query = SegmentQuery::new(Stage::Raw, SegmentKind::Received);
    let listed: Vec<_> = archive.segments(query).map(|found| found.unwrap().name).collect().await;
    assert_eq!(listed, [segment(1, 9)]);
}

// D7
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_is_reported_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let archive = directory.archive();
    archive.write(&segment(1, 9), Bytes::from(vec![7; 200_000])).await.into_result().unwrap();
    let path = folder.path().join("archive").join(segment(1, 9).path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[150_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(archive.read(&segment(1, 9), None).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(archive.read(&segment(1, 9), Some((0, 100))).await.unwrap(), vec![7; 100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_there_after_the_process_died() {
    let folder = tempfile::tempdir().unwrap();
    let acme = TenantId::new("acme").unwrap();
    let kept = Subject::tenant(&acme, "schema", Keep::History).unwrap();
    let latest = Subject::system("checkpoint/raw", Keep::Latest).unwrap();
    let write = |subject: &Subject, expected, body: &'static str| Write {
        subject: subject.clone(),
        expected: Version(expected),
        body: Some(Bytes::from_static(body.as_bytes())),
    };
    let directory = open(folder.path());
    let now = Timestamp::from_micros(1).unwrap();
    for (version, body) in [(0, "one"), (1, "two")] {
        let writes = vec![write(&kept, version, body), write(&latest, version, body)];
        assert_eq!(directory.repo().append(writes, now).await.into_result().unwrap(), Compared::Written);
    }
    drop(directory);
    let directory = open(folder.path());
    let repo = directory.repo();
    let history = repo.history(&kept, Version(1), 10).await.unwrap();
    assert_eq!(history.iter().map(|one| &*one.body).collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(repo.latest(&latest).await.unwrap().unwrap().version, Version(2));
    assert_eq!(repo.history(&latest, Version(1), 10).await.unwrap().len(), 1);
    let lost = repo.append(vec![write(&kept, 1, "late")], now).await.into_result().unwrap();
    assert_eq!(lost, Compared::Conflict { subject: kept.clone(), current: Version(2) });
    assert_eq!(repo.tenants().await.unwrap(), std::slice::from_ref(&acme));
    assert_eq!(repo.subjects(Some(&acme), "sch").await.unwrap(), [kept]);
    assert_eq!(repo.subjects(None, "").await.unwrap(), [latest]);
}
