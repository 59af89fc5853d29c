//! Both stages on a backend's stores, under a client that sends until it is answered: whatever happens on the way,
//! nothing is lost and nothing is doubled.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use fineo_core::{
    Error, MetricId, Result, TimeRange,
    archive::{SegmentKind, SegmentQuery, Stage},
};
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts, SegmentReader};
use fineo_schema::{Discovery, SchemaStore};
use futures::StreamExt;

use crate::{
    fault::{CrashPoints, Faults, FaultyArchive, FaultyNearline, FaultyRepo, FaultyStream, Interruption},
    rows::Table,
    support::tenant,
};

const ACME: &str = r#"{"metrictype":"m","timestamp":1,"a":1,"b":23}
{"metrictype":"m","timestamp":1,"a":12,"b":3}
{"b":23,"a":1,"timestamp":1,"metrictype":"m"}
{"metrictype":"n","timestamp":2,"x":{"y":"z"}}
{"metrictype":"m","timestamp":"soon"}
{"metrictype":"m","timestamp":3"#;
const BETA: &str = r#"[{"metrictype":"m","timestamp":1,"a":1,"b":23},{"metrictype":"m","timestamp":2,"a":1,"a":2}]"#;
/// A run that needs longer hangs.
const WITHIN: Duration = Duration::from_secs(1_000);

/// The stores of a pipeline, which outlive its processes.
#[async_trait]
pub trait Stores: Send + Sync {
    /// Handles on them for a new process.
    ///
    /// # Errors
    ///
    /// Whatever keeps them from being opened.
    async fn parts(&self) -> Result<PipelineParts>;

    /// Loses what was not synced, as a loss of power does; those that keep what they answered for do nothing.
    fn crash(&self);
}

/// `parts` behind faults.
pub fn faulty(mut parts: PipelineParts, faults: &Faults) -> PipelineParts {
    parts.raw = Arc::new(FaultyStream::new(parts.raw, faults));
    parts.staged = Arc::new(FaultyStream::new(parts.staged, faults));
    parts.archive = Arc::new(FaultyArchive::new(parts.archive, faults));
    parts.nearline = Arc::new(FaultyNearline::new(parts.nearline, faults));
    parts.repo = Arc::new(FaultyRepo::new(parts.repo, faults));
    parts.schemas = SchemaStore::new(Arc::clone(&parts.repo), Arc::clone(&parts.clock));
    parts.discovery = Discovery::new(Arc::clone(&parts.repo), Arc::clone(&parts.clock));
    parts
}

/// Two tenants' client: it sends events of every fate, each body until it is acknowledged.
#[derive(Debug, Default)]
pub struct Client {
    acknowledged: Mutex<BTreeSet<&'static str>>,
}

impl Client {
    /// Sends what is not acknowledged yet through a process of its own, waits until it can be queried, and ends it.
    ///
    /// # Errors
    ///
    /// When something was not taken, or a failure of a store.
    pub async fn send(&self, parts: PipelineParts, options: &PipelineOptions) -> Result<()> {
        let pipeline = Pipeline::start(parts, options.clone()).await?;
        for (name, body) in [("acme", ACME), ("beta", BETA)] {
            if self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
                continue;
            }
            let receipt = pipeline.edge().ingest(&tenant(name), body.into()).await?;
            if !receipt.failed().is_empty() {
                return Err(Error::unavailable("some events were not taken, send again"));
            }
            self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
            pipeline.wait_until_queryable(receipt.token(), WITHIN).await?;
        }
        pipeline.stop().await
    }
}

/// Checks that every event of a [`Client`] that is done is a row or an error, once, and archived by both stages.
///
/// # Errors
///
/// A failure of a store. What is wrong with the events panics.
pub async fn check(parts: &PipelineParts) -> Result<()> {
    assert_eq!(rows(parts, "acme", "m").await?, ["1000 m a=1 b=23", "1000 m a=12 b=3"]);
    assert_eq!(rows(parts, "acme", "n").await?, ["2000 n x.y=z"]);
    assert_eq!(rows(parts, "beta", "m").await?, ["1000 m a=1 b=23"]);
    // A body that was sent again has its bad events again: those go by their arrival.
    let acme = codes(parts, "acme").await?;
    let expected = ["json_unreadable", "timestamp_unreadable"];
    let mut distinct = acme.clone();
    distinct.dedup();
    assert_eq!(distinct, expected);
    assert!(acme.len() <= 2 * expected.len(), "{acme:?}");
    let beta = codes(parts, "beta").await?;
    assert!(!beta.is_empty() && beta.len() <= 2 && beta.iter().all(|code| code == "duplicate_key"), "{beta:?}");
    let (raw, staged) = (archived(parts, Stage::Raw).await?, archived(parts, Stage::Staged).await?);
    assert!(raw >= 6 && staged >= 4, "archived {raw} events and {staged} records");
    Ok(())
}

/// The rows of the metric that is called `name`.
async fn rows(parts: &PipelineParts, of: &str, name: &str) -> Result<Vec<String>> {
    let schema = parts.schemas.snapshot(&tenant(of)).await?;
    let metric = schema.metric_named(name).ok_or_else(|| Error::not_found("nobody knows the metric"))?.id().clone();
    let rows = table(parts, of, metric).read(&["a", "b", "x.y"]).await?;
    let line = |row: crate::rows::TestRow| {
        let cells = row.cells.iter().map(|(name, text)| format!(" {name}={text}"));
        format!("{} {}{}", row.time, row.alias, cells.collect::<String>())
    };
    let mut lines: Vec<String> = rows.into_iter().map(line).collect();
    lines.sort();
    Ok(lines)
}

/// The codes of a tenant's error rows, in order.
async fn codes(parts: &PipelineParts, of: &str) -> Result<Vec<String>> {
    let errors = table(parts, of, MetricId::new("errors")?).read(&["code"]).await?;
    let mut codes: Vec<String> = errors.iter().filter_map(|row| row.cell("code").map(str::to_owned)).collect();
    codes.sort();
    Ok(codes)
}

fn table(parts: &PipelineParts, of: &str, metric: MetricId) -> Table {
    Table { store: Arc::clone(&parts.nearline), tenant: tenant(of), metric }
}

/// How many deliveries of the first tenant the archive holds of what `stage` received.
async fn archived(parts: &PipelineParts, stage: Stage) -> Result<usize> {
    let mut positions = BTreeSet::new();
    let mut segments = parts.archive.segments(SegmentQuery::new(stage, SegmentKind::Received));
    while let Some(info) = segments.next().await {
        let info = info?;
        let reader = SegmentReader::open(&*parts.archive, &info).await?;
        for record in reader.read(&*parts.archive, &tenant("acme"), TimeRange::ALL).await? {
            positions.insert((info.name.shard.clone(), record.delivery.position));
        }
    }
    Ok(positions.len())
}

/// One run of a sweep: a process that is interrupted at one of `points`, another that takes over, and a [`check`].
///
/// # Errors
///
/// What keeps either process from its work. What is wrong with the events panics.
pub async fn interrupted(stores: &dyn Stores, options: &PipelineOptions, points: CrashPoints) -> Result<()> {
    let client = Client::default();
    let faults = Faults::none().with_points(points.clone());
    let parts = faulty(stores.parts().await?, &faults);
    match points.run(client.send(parts, options)).await {
        Some(ended) => ended?,
        None => {
            if points.interruption() == Interruption::Crash {
                stores.crash();
            }
            client.send(stores.parts().await?, options).await?;
        }
    }
    check(&stores.parts().await?).await
}
