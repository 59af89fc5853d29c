//! Torn ends and flipped bytes: what is read is what was written, or the damage is reported.

use std::{
    fs,
    path::{Path, PathBuf},
};

use arrow_array::cast::AsArray;
use bytes::Bytes;
use fineo_core::{
    ErrorKind, MetricId, Position, Result, Timestamp,
    archive::{SegmentKind, SegmentName, Stage},
    nearline::{COLUMN_EVENT_ID, Rows, ScanRequest, SystemColumns},
    stream::ReadFrom,
};
use futures::StreamExt;

use super::fixture::{append, head, open, read_all, s0, small, tenant, texts};
use crate::LocalDirectory;

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort_unstable();
}

// D1
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_is_cut_off_wherever_it_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    let directory = open(&original);
    let stream = directory.stream("raw", 1).unwrap();
    append(&stream, &["first", "second"]).await;
    let log_path = original.join("log/raw/s0");
    let log = fs::read_dir(&log_path).unwrap().next().unwrap().unwrap().path();
    let whole = fs::metadata(&log).unwrap().len();
    append(&stream, &["third"]).await;
    let all = fs::metadata(&log).unwrap().len();
    drop((stream, directory));
    for len in whole..=all {
        let torn = folder.path().join(format!("torn-{len}"));
        copy(&original, &torn);
        let file =
            fs::OpenOptions::new().write(true).open(torn.join("log/raw/s0").join(log.file_name().unwrap())).unwrap();
        file.set_len(len).unwrap();
        let directory = open(&torn);
        let stream = directory.stream("raw", 1).unwrap();
        let mut wanted = vec!["first", "second"];
        if len == all {
            wanted.push("third");
        }
        assert_eq!(texts(&read_all(&stream, ReadFrom::Start).await.unwrap()), wanted, "torn at {len}");
        append(&stream, &["fourth"]).await;
        wanted.push("fourth");
        assert_eq!(texts(&read_all(&stream, ReadFrom::Start).await.unwrap()), wanted, "torn at {len}");
        drop((stream, directory));
        fs::remove_dir_all(&torn).unwrap();
    }
}

fn segment() -> SegmentName {
    SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: Timestamp::from_micros(0).unwrap(),
        shard: s0(),
        first: Position::from(1),
        last: Position::from(2),
    }
}

async fn fill(directory: &LocalDirectory) {
    let stream = directory.stream("raw", 1).unwrap();
    append(&stream, &["first", "second"]).await;
    append(&stream, &["third"]).await;
    for (metric, count) in [(1, 60), (2, 3)] {
        let mut rows = Rows::new(s0());
        for row in 0..count {
            rows.row(head(row + 1, row + 1, row as i64, row as u64 + 1), "alias");
            rows.cell("temp", &format!("{row} and a text beyond twelve bytes"));
        }
        let outcomes = directory.nearline().write(&tenant("acme"), &MetricId::numbered(metric), rows).await;
        assert!(outcomes.iter().all(fineo_core::Outcome::is_done));
    }
    directory.nearline().sync().await.into_result().unwrap();
    directory.archive().write(&segment(), Bytes::from_static(b"a segment")).await.into_result().unwrap();
}

/// Everything that there is to read.
async fn contents(directory: &LocalDirectory) -> Result<Vec<String>> {
    let stream = directory.stream("raw", 1)?;
    let mut contents = texts(&read_all(&stream, ReadFrom::Start).await?);
    contents.push(String::from_utf8_lossy(&directory.archive().read(&segment(), None).await?).into_owned());
    for metric in [1, 2] {
        let system = SystemColumns { event_id: true, ..SystemColumns::default() };
        let request = ScanRequest::new(tenant("acme"), MetricId::numbered(metric));
        let mut batches = directory.nearline().scan(request.with_system(system).with_names(["temp"]));
        let mut rows = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                let id = batch[COLUMN_EVENT_ID].as_fixed_size_binary().value(row).to_vec();
                rows.push(format!("{id:?} {}", batch["temp"].as_string_view().value(row)));
            }
        }
        rows.sort_unstable();
        contents.extend(rows);
    }
    Ok(contents)
}

// D7
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_harmless_or_reported() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    let directory = open(&original);
    fill(&directory).await;
    directory.close().await.unwrap();
    let directory = open(&original);
    let wanted = contents(&directory).await.unwrap();
    directory.close().await.unwrap();
    let mut all = Vec::new();
    files(&original, &mut all);
    let (mut harmless, mut reported) = (0, 0);
    for file in all.iter().filter(|file| !file.ends_with("lock")) {
        let relative = file.strip_prefix(&original).unwrap();
        let len = fs::metadata(file).unwrap().len() as usize;
        let is_database = file.ends_with("repo.redb");
        for at in (0..len).step_by(if is_database { len / 25 } else { (len / 60).max(1) }) {
            let flipped = folder.path().join("flipped");
            copy(&original, &flipped);
            let mut bytes = fs::read(file).unwrap();
            bytes[at] ^= 0x10;
            fs::write(flipped.join(relative), bytes).unwrap();
            let opened = LocalDirectory::open(&flipped, small());
            match opened {
                Ok(directory) => match contents(&directory).await {
                    Ok(found) => {
                        assert_eq!(found, wanted, "byte {at} of {}", relative.display());
                        harmless += 1;
                    }
                    Err(_) => reported += 1,
                },
                Err(_) => reported += 1,
            }
            fs::remove_dir_all(&flipped).unwrap();
        }
    }
    assert!(harmless > 0 && reported > 0, "{harmless} harmless, {reported} reported");
}

// D7
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_whose_repository_is_gone_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("there");
    let directory = open(&path);
    fill(&directory).await;
    directory.close().await.unwrap();
    let (repository, kept) = (path.join("repo.redb"), folder.path().join("kept"));
    fs::rename(&repository, &kept).unwrap();
    // What is made of nothing by the first try is none either.
    for _ in 0..2 {
        let error = LocalDirectory::open(&path, small()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("put the file back"), "{error}");
    }
    fs::rename(&kept, &repository).unwrap();
    open(&path).close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_just_begun_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("begun");
    fs::create_dir(&path).unwrap();
    for begun in [vec![], vec![0; 5], vec![0; 1 << 16]] {
        fs::write(path.join("repo.redb"), &begun).unwrap();
        let error = LocalDirectory::open(&path, small().with_creates_missing(false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{} bytes", begun.len());
        open(&path).close().await.unwrap();
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
    }
    for other in ["another file", "junk"] {
        fs::write(path.join("repo.redb"), other).unwrap();
        assert_eq!(LocalDirectory::open(&path, small()).unwrap_err().kind(), ErrorKind::Corrupt, "{other}");
        assert_eq!(fs::read_to_string(path.join("repo.redb")).unwrap(), other);
    }
}
