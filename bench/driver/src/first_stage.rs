//! Loads JSON lines up to the staged stream: validated, under the schema, encoded, archived, durable. Nobody reads the
//! staged stream, so that no row is written.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use fineo::{
    Clock, Cover, Stream,
    core::{
        Outcome, Position, ShardId, SystemClock, SystemEntropy,
        stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
    },
    ingest::{ImportOptions, ImportSource, NoFiles, Pipeline, PipelineOptions, PipelineParts, Routing},
    local::{LocalDirectory, LocalOptions},
    schema::{Discovery, SchemaStore},
};
use futures::stream::BoxStream;
use serde_json::{Value, json};

use crate::Result;
use crate::options::Options;

/// How often to look whether the stage is through.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A stream that shows no reader a shard.
#[derive(Debug)]
struct Unread(Arc<dyn Stream>);

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, not read", self.0)
    }
}

#[async_trait]
impl Stream for Unread {
    fn capabilities(&self) -> StreamCapabilities {
        self.0.capabilities()
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        self.0.append(entries).await
    }

    async fn sync(&self) -> Outcome<()> {
        self.0.sync().await
    }

    async fn shards(&self) -> fineo::Result<Vec<Shard>> {
        Ok(Vec::new())
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, fineo::Result<Vec<Delivery>>> {
        self.0.read(shard, from)
    }

    async fn tail(&self, shard: &ShardId) -> fineo::Result<Option<Position>> {
        self.0.tail(shard).await
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        self.0.trim(shard, through).await
    }
}

/// Loads the file and returns when all of it is in the staged stream and archived.
pub(crate) async fn run(options: &Options) -> Result<Value> {
    let directory = LocalDirectory::open(options.text("data-dir")?, LocalOptions::default())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let repo = directory.repo();
    let parts = PipelineParts {
        raw: directory.stream("raw", 1)?,
        staged: Arc::new(Unread(directory.stream("staged", 1)?)),
        archive: directory.archive(),
        nearline: directory.nearline(),
        files: Arc::new(NoFiles),
        schemas: SchemaStore::new(Arc::clone(&repo), Arc::clone(&clock)),
        discovery: Discovery::new(Arc::clone(&repo), Arc::clone(&clock)),
        repo,
        clock: Arc::clone(&clock),
        entropy: Arc::new(SystemEntropy::new()),
    };
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await?;
    let import = ImportOptions::new(Routing::Field(options.text("tenant-field")?.to_owned()));
    let report = pipeline.edge().import(ImportSource::Path(options.file()?.into()), import, |_| {}).await?;
    while !is_through(&pipeline, &report.token) {
        clock.sleep(LOOK_EVERY).await;
    }
    pipeline.stop().await?;
    directory.close().await?;
    Ok(json!({ "accepted": report.accepted, "rejected": report.rejected.values().sum::<u64>() }))
}

fn is_through(pipeline: &Pipeline, token: &Cover) -> bool {
    pipeline.applied().0.includes(token)
}
