//! What is damaged on disk is set aside and written again from the archive, while everybody else goes on (T8, D7).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow_array::{Array, cast::AsArray};
use fineo_backend_local::{LocalDirectory, LocalOptions};
use fineo_core::{
    Clock as _, ErrorKind, MetricId, NearlineStore, Result, SeededEntropy, SystemClock, SystemEntropy,
    nearline::{ScanRequest, SystemColumns},
};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, PipelineParts};
use fineo_schema::{Discovery, SchemaStore};
use futures::TryStreamExt as _;

use crate::support::{SOON, tenant};

const TENANTS: [&str; 2] = ["acme", "beta"];
const EVENTS: usize = 300;

fn open(folder: &Path) -> LocalDirectory {
    let options = LocalOptions::default()
        .with_fsync(false)
        .with_ballast_bytes(0)
        .with_log_cache_bytes(4 << 10)
        .with_memtable_bytes(32 << 10)
        .with_journal_bytes(16 << 10)
        .with_cache_bytes(64 << 10);
    LocalDirectory::open(folder, options).unwrap()
}

async fn start(directory: &LocalDirectory) -> Pipeline {
    let (repo, clock): (_, Arc<dyn fineo_core::Clock>) = (directory.repo(), Arc::new(SystemClock));
    let parts = PipelineParts {
        raw: directory.stream("raw", 1).unwrap(),
        staged: directory.stream("staged", 1).unwrap(),
        archive: directory.archive(),
        nearline: directory.nearline(),
        files: Arc::new(NoFiles),
        schemas: SchemaStore::new(Arc::clone(&repo), Arc::clone(&clock)),
        discovery: Discovery::new(Arc::clone(&repo), Arc::clone(&clock)),
        repo,
        clock,
        entropy: Arc::new(SystemEntropy::new()),
    };
    let mut options = PipelineOptions::default();
    options.shards_every = Duration::from_millis(20);
    Pipeline::start(parts, options).await.unwrap()
}

/// Good events, and as many without a time.
fn body(from: usize, count: usize) -> String {
    let event = |number: usize| {
        let text = format!("a text of some length {number}");
        format!(
            r#"{{"metrictype":"m","timestamp":{number},"v":"{text}"}}{{"metrictype":"m","number":{number},"w":"{text}"}}"#
        )
    };
    (from..from + count).map(event).collect()
}

async fn send(pipeline: &Pipeline, from: usize, count: usize) {
    for name in TENANTS {
        let receipt = pipeline.edge().ingest(&tenant(name), body(from, count).into()).await.unwrap();
        assert_eq!(receipt.accepted(), 2 * count);
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    }
}

/// The rows of a tenant's metric and its errors, without when they were handled.
async fn rows(nearline: &Arc<dyn NearlineStore>, of: &str, metric: MetricId) -> Result<Vec<String>> {
    let system = SystemColumns { event_id: true, ..SystemColumns::default() };
    let names = ["v", "code", "message", "raw", "metric", "replay_pointer"];
    let request = ScanRequest::new(tenant(of), metric).with_names(names).with_system(system);
    let mut rows = Vec::new();
    let mut batches = nearline.scan(request);
    while let Some(batch) = batches.try_next().await? {
        let ids = batch.column(1).as_fixed_size_binary();
        for row in 0..batch.num_rows() {
            let cells = (0..names.len()).map(|column| batch.column(2 + column).as_string_view());
            let cells: Vec<&str> = cells.map(|cells| if cells.is_valid(row) { cells.value(row) } else { "" }).collect();
            rows.push(format!("{:?} {}", ids.value(row), cells.join("|")));
        }
    }
    rows.sort_unstable();
    Ok(rows)
}

fn metrics() -> [MetricId; 2] {
    [MetricId::numbered(1), MetricId::errors()]
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() { copy(&path, &to.join(name)) } else { fs::copy(&path, to.join(name)).map(drop).unwrap() }
    }
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|of| of == ending) {
            found.push(path);
        }
    }
    found.sort_unstable();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Waits until nothing is damaged any more.
async fn mended(nearline: &Arc<dyn NearlineStore>) {
    let wait = async {
        while !nearline.damages().await.unwrap().is_empty() {
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap();
}

// D7, T8
#[tokio::test(flavor = "multi_thread")]
async fn damaged_rows_are_told_and_written_again_while_everything_else_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    let directory = open(&original);
    // Many rows go to segments, a few to the journal.
    for (from, count) in [(0, EVENTS - 20), (EVENTS - 20, 20)] {
        let pipeline = start(&directory).await;
        send(&pipeline, from, count).await;
        pipeline.stop().await.unwrap();
    }
    let mut expected = Vec::new();
    for name in TENANTS {
        for metric in metrics() {
            expected.push(rows(&directory.nearline(), name, metric).await.unwrap());
            assert_eq!(expected.last().map(Vec::len), Some(EVENTS), "{name}");
        }
    }
    directory.close().await.unwrap();

    let (mut damaged, mut whole) = (0, 0);
    let mut stored = files(&original.join("nearline"), "pack");
    let journals = files(&original.join("nearline"), "journal");
    assert!(!stored.is_empty() && !journals.is_empty(), "rows are in segments and in the journal");
    stored.extend(journals);
    for pack in stored {
        let len = usize::try_from(fs::metadata(&pack).unwrap().len()).unwrap();
        for at in (100..len).step_by(len / 8) {
            let place = format!("byte {at} of {}", pack.display());
            let flipped = folder.path().join("flipped");
            copy(&original, &flipped);
            flip(&flipped.join(pack.strip_prefix(&original).unwrap()), at);
            let directory = open(&flipped);
            let nearline = directory.nearline();
            let pipeline = start(&directory).await;
            for (number, name) in TENANTS.iter().enumerate() {
                for (metric, expected) in metrics().into_iter().zip(&expected[2 * number..]) {
                    match rows(&nearline, name, metric).await {
                        Ok(found) => {
                            assert_eq!(found, *expected, "{place}");
                            whole += 1;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Corrupt, "{place}: {error:?}");
                            damaged += 1;
                        }
                    }
                }
            }
            // Re-sends and new events of everybody are taken meanwhile.
            send(&pipeline, EVENTS - 5, 10).await;
            mended(&nearline).await;
            for (number, name) in TENANTS.iter().enumerate() {
                let found = rows(&nearline, name, metrics()[0].clone()).await.unwrap();
                assert_eq!(found.len(), EVENTS + 5, "{place}");
                assert!(expected[2 * number].iter().all(|row| found.contains(row)), "{place}");
                // Errors go by their arrival: what was sent again is another.
                let found = rows(&nearline, name, metrics()[1].clone()).await.unwrap();
                assert_eq!(found.len(), EVENTS + 10, "{place}");
                assert!(expected[2 * number + 1].iter().all(|row| found.contains(row)), "{place}");
            }
            pipeline.stop().await.unwrap();
            directory.close().await.unwrap();
            fs::remove_dir_all(&flipped).unwrap();
        }
    }
    assert!(damaged > 4 && whole > damaged, "{damaged} of {whole}");
}

// D7, D8, T8
#[tokio::test(flavor = "multi_thread")]
async fn damaged_entries_of_a_stream_are_a_loss_and_what_lies_behind_them_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let raw = directory.stream("raw", 1).unwrap();
    let edge = fineo_ingest::Edge::new(
        raw,
        Arc::new(SystemClock),
        Arc::new(SeededEntropy::new(1)),
        fineo_ingest::Limits::default(),
        Arc::default(),
    );
    for number in 1..=3 {
        let event = format!(r#"{{"metrictype":"m","timestamp":{number},"v":"{number}"}}"#);
        let receipt = edge.ingest(&tenant(TENANTS[number % 2]), event.into()).await.unwrap();
        assert_eq!(receipt.accepted(), 1);
    }
    drop(edge);
    directory.close().await.unwrap();
    let log = files(folder.path(), "log").into_iter().find(|path| path.to_string_lossy().contains("raw")).unwrap();
    let bytes = fs::read(&log).unwrap();
    let second = bytes.windows(10).position(|window| window == br#""v":"2"}"# || window.starts_with(br#""v":"2""#));
    flip(&log, second.unwrap());

    for losses in [1, 0] {
        let directory = open(folder.path());
        let pipeline = start(&directory).await;
        pipeline.drain(SOON).await.unwrap();
        let status = pipeline.status().await.unwrap();
        assert_eq!(status.losses, losses);
        assert!(status.shards.iter().all(|shard| shard.failure.is_none()), "{status:?}");
        let acme = rows(&directory.nearline(), TENANTS[0], metrics()[0].clone()).await.unwrap();
        let beta = rows(&directory.nearline(), TENANTS[1], metrics()[0].clone()).await.unwrap();
        assert_eq!((acme.len(), beta.len()), (0, 2), "the second event was damaged");
        pipeline.stop().await.unwrap();
        directory.close().await.unwrap();
    }
}
