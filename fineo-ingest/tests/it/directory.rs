//! A directory that is opened with another number of shards each time.

use std::{path::Path, sync::Arc};

use fineo_backend_local::{LocalDirectory, LocalOptions};
use fineo_core::{NearlineStore, SeededEntropy, Stores, SystemClock, archive::Stage};
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts};
use fineo_schema::{Change, ChangeId, ChangeRequest, SchemaStore};

use crate::support::{SOON, rows, tenant};

/// A process over a directory.
struct Process {
    pipeline: Pipeline,
    schemas: SchemaStore,
    nearline: Arc<dyn NearlineStore>,
    _directory: LocalDirectory,
}

impl Process {
    async fn over(path: &Path, raw: u32, staged: u32, seed: u64) -> Self {
        Self::with(path, (raw, staged), seed, PipelineOptions::default()).await
    }

    async fn with(path: &Path, (raw, staged): (u32, u32), seed: u64, options: PipelineOptions) -> Self {
        let directory = loop {
            match LocalDirectory::open(path, LocalOptions::default()) {
                Ok(directory) => break directory,
                // The process that died before has it for a moment.
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            tokio::task::yield_now().await;
        };
        let stores = Stores {
            raw: directory.stream("raw", raw).unwrap(),
            staged: directory.stream("staged", staged).unwrap(),
            archive: directory.archive(),
            nearline: directory.nearline(),
            repo: directory.repo(),
        };
        let parts = PipelineParts::new(stores, Arc::new(SystemClock), Arc::new(SeededEntropy::new(seed)));
        let (schemas, nearline) = (parts.schemas.clone(), Arc::clone(&parts.nearline));
        let pipeline = Pipeline::start(parts, options).await.unwrap();
        Self { pipeline, schemas, nearline, _directory: directory }
    }

    async fn send(&self, number: usize) {
        let event = format!(r#"{{"metrictype":"m","kind":"k","timestamp":1,"v":{number}}}"#);
        let receipt = self.pipeline.edge().ingest(&tenant("acme"), event.into()).await.unwrap();
        self.pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    }

    async fn name_metrics_by(&self, key: &str, change: usize) {
        let id = ChangeId::of_bytes([u8::try_from(change).unwrap(); 16]);
        let change = Change::SetMetricKeys { keys: vec![key.to_owned()] };
        self.schemas.apply(&tenant("acme"), ChangeRequest::new(id, vec![change])).await.unwrap();
    }
}

#[tokio::test]
async fn each_event_is_one_row_with_whatever_number_of_shards_a_directory_is_opened_again() {
    const EVENTS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let numbers = [(1, 1), (1, 3), (3, 2), (1, 1), (2, 4), (4, 1), (1, 5), (3, 3)];
    for (round, (raw, staged)) in numbers.into_iter().enumerate() {
        let process = Process::over(folder.path(), raw, staged, round as u64).await;
        for number in round * EVENTS..(round + 1) * EVENTS {
            process.send(number).await;
        }
        // Half of the rounds end in good order, the others before anything of them was cut.
        if round % 4 < 2 {
            process.name_metrics_by(if round % 4 == 0 { "kind" } else { "metrictype" }, round + 1).await;
        } else {
            process.pipeline.stop().await.unwrap();
        }
    }
    let process = Process::over(folder.path(), 4, 4, 99).await;
    process.pipeline.drain(SOON).await.unwrap();
    let mut found = Vec::new();
    for metric in ["n1", "n2"] {
        found.extend(rows(&*process.nearline, "acme", metric, &["v"]).await);
    }
    let mut values: Vec<usize> = found.iter().map(|row| row.rsplit_once("v=").unwrap().1.parse().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, (0..numbers.len() * EVENTS).collect::<Vec<_>>(), "{found:?}");
    process.pipeline.stop().await.unwrap();
}

// F2
#[tokio::test]
async fn what_waits_for_a_stage_is_told_by_the_entry_however_often_the_directory_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::over(folder.path(), 1, 1, 0).await;
    for number in 0..5 {
        process.send(number).await;
    }
    process.pipeline.stop().await.unwrap();
    drop((process.schemas, process.nearline, process._directory));
    for (seed, expected) in [(1, [1, 2]), (2, [3, 4])] {
        let stuck = PipelineOptions::default().with_runs_stages(false);
        let process = Process::with(folder.path(), (1, 1), seed, stuck).await;
        for waiting in expected {
            let event = format!(r#"{{"metrictype":"m","timestamp":1,"n":{waiting}}}"#);
            let receipt = process.pipeline.edge().ingest(&tenant("acme"), event.into()).await.unwrap();
            assert_eq!(receipt.accepted(), 1);
            let shards = process.pipeline.status().await.unwrap().shards;
            let told: Vec<_> = shards.iter().map(|shard| (shard.stage, shard.waiting)).collect();
            assert_eq!(told, [(Stage::Raw, Some(waiting)), (Stage::Staged, Some(0))]);
        }
    }
}
