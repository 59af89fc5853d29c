//! Events that become larger on their way than the staged stream carries: their names stand once in them, and often in the record.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use fineo_core::{
    Error, Outcome, Position, Result, ShardId, Stream,
    archive::Stage,
    stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
};
use fineo_ingest::{BatchDriver, NoFiles, Pipeline, PipelineOptions, PipelineParts, ReplayRequest};
use futures::stream::BoxStream;

use crate::support::{SOON, World, tenant};

const ENTRY_BYTES_MAX: usize = 64 << 10;

/// A stream of smaller entries.
#[derive(Debug)]
struct Narrow(Arc<dyn Stream>);

#[async_trait]
impl Stream for Narrow {
    fn capabilities(&self) -> StreamCapabilities {
        StreamCapabilities { entry_bytes_max: ENTRY_BYTES_MAX, ..self.0.capabilities() }
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.payload.len() > ENTRY_BYTES_MAX {
                outcomes.push(Outcome::NotDone(Error::invalid("the entry is too large")));
            } else {
                outcomes.extend(self.0.append(vec![entry]).await);
            }
        }
        outcomes
    }

    async fn sync(&self) -> Outcome<()> {
        self.0.sync().await
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        self.0.shards().await
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        self.0.read(shard, from)
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        self.0.tail(shard).await
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        self.0.trim(shard, through).await
    }
}

impl fmt::Display for Narrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "narrow {}", self.0)
    }
}

fn parts(world: &World) -> PipelineParts {
    let parts = world.parts();
    PipelineParts { staged: Arc::new(Narrow(Arc::clone(&parts.staged))), ..parts }
}

/// A few kilobytes, and a hundred as a record.
fn large(number: usize) -> String {
    let keys: Vec<String> = (0..400).map(|key| format!("\"{key:03}\":1")).collect();
    let prefix = "x".repeat(250);
    format!(r#"{{"metrictype":"m","timestamp":{number},"{prefix}":{{{}}}}}"#, keys.join(","))
}

fn good(number: usize) -> String {
    format!(r#"{{"metrictype":"m","timestamp":{number}}}"#)
}

/// Thirty large ones between two of the same tenant.
fn events() -> String {
    let large = (10..40).map(large);
    [good(1)].into_iter().chain(large).chain([good(2)]).collect::<Vec<_>>().join("\n")
}

async fn check(world: &World) {
    assert_eq!(world.rows("acme", "n1", &[]).await, ["1000 m", "2000 m"]);
    assert_eq!(world.rows("beta", "n1", &[]).await, ["3000 m"]);
    let errors = world.rows("acme", "errors", &["class", "code"]).await;
    assert_eq!(errors.len(), 30);
    assert!(errors.iter().all(|row| row.ends_with("class=malformed code=record_too_large")), "{}", errors[0]);
}

#[tokio::test(start_paused = true)]
async fn events_whose_records_are_too_large_are_their_tenants_errors_and_stop_nobody() {
    // T8, N4
    let world = World::new();
    let pipeline = Pipeline::start(parts(&world), PipelineOptions::default()).await.unwrap();
    // The second time, each is the error that it was.
    for (name, body) in [("acme", events()), ("beta", good(3)), ("acme", events())] {
        let receipt = pipeline.edge().ingest(&tenant(name), body.into()).await.unwrap();
        assert!(receipt.rejected().is_empty() && receipt.failed().is_empty());
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    }
    pipeline.stop().await.unwrap();
    check(&world).await;
    // Nor do they stop a replay.
    let pipeline = Pipeline::start(parts(&world), PipelineOptions::default()).await.unwrap();
    let report = pipeline.replay(ReplayRequest::new(Stage::Raw, tenant("acme")), &NoFiles).await.unwrap();
    assert_eq!(report.rejected.get("record_too_large"), Some(&60));
    check(&world).await;
    pipeline.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nor_do_they_stop_a_function() {
    // T8, N4
    let world = World::new();
    let edge = crate::batches::edge(&world);
    for (name, body) in [("acme", events()), ("beta", good(3))] {
        let receipt = edge.ingest(&tenant(name), body.into()).await.unwrap();
        assert_eq!(receipt.accepted(), receipt.len());
    }
    for (stage, stream) in [(Stage::Raw, &world.raw), (Stage::Staged, &world.staged)] {
        let (shard, batch) = crate::batches::everything(stream).await;
        let report =
            BatchDriver::new(parts(&world), PipelineOptions::default(), stage).pass(&shard, &batch, SOON).await;
        assert!(report.failure.is_none(), "{:?}", report.failure);
        assert_eq!(report.done, batch.len());
    }
    check(&world).await;
}
