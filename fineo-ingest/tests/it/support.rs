//! A pipeline over in-memory stores that outlive it.
use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arrow_array::{Array, cast::AsArray, types::TimestampMicrosecondType};
use async_trait::async_trait;
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{
    Archive, Clock, Error, MetricId, NearlineStore, Outcome, Result, SchemaRepo, SeededEntropy, ShardId, Stores,
    SystemClock, TenantId, TimeRange, Timestamp,
    archive::{SegmentKind, SegmentQuery, Stage},
    nearline::{ScanRequest, SystemColumns},
    repo::{Compared, RepoCapabilities, Subject, Version, Versioned, Write},
    stream::Delivery,
};
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts, SegmentReader};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};

pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) fn tenant(text: &str) -> TenantId {
    TenantId::new(text).unwrap()
}

/// The stores.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) raw: MemoryStream,
    pub(crate) staged: MemoryStream,
    pub(crate) archive: MemoryArchive,
    pub(crate) nearline: MemoryNearline,
    pub(crate) repo: MemoryRepo,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_shards(1, 1)
    }

    pub(crate) fn with_shards(raw: usize, staged: usize) -> Self {
        Self {
            raw: MemoryStream::new("raw", raw),
            staged: MemoryStream::new("staged", staged),
            archive: MemoryArchive::new(),
            nearline: MemoryNearline::new(),
            repo: MemoryRepo::new(),
        }
    }

    pub(crate) fn parts(&self) -> PipelineParts {
        let stores = Stores {
            raw: Arc::new(self.raw.clone()),
            staged: Arc::new(self.staged.clone()),
            archive: Arc::new(self.archive.clone()),
            nearline: Arc::new(self.nearline.clone()),
            repo: Arc::new(self.repo.clone()),
        };
        PipelineParts::new(stores, Arc::new(SystemClock), Arc::new(SeededEntropy::new(7)))
    }

    pub(crate) async fn start(&self) -> Pipeline {
        Pipeline::start(self.parts(), PipelineOptions::default()).await.unwrap()
    }

    /// The rows of a metric, in order of time and text.
    pub(crate) async fn rows(&self, of: &str, metric: &str, names: &[&str]) -> Vec<String> {
        rows(&self.nearline, of, metric, names).await
    }

    /// The ids of the rows of a metric, in order.
    pub(crate) async fn ids(&self, of: &str, metric: &str) -> Vec<String> {
        let request = ScanRequest::new(tenant(of), MetricId::new(metric).unwrap())
            .with_system(SystemColumns { event_id: true, ..SystemColumns::default() });
        let batches: Vec<_> = self.nearline.scan(request).try_collect().await.unwrap();
        let ids = batches.iter().flat_map(|batch| batch.column(1).as_fixed_size_binary().iter().flatten());
        let mut ids: Vec<String> =
            ids.map(|id| format!("{:032x}", u128::from_be_bytes(id.try_into().unwrap()))).collect();
        ids.sort();
        ids
    }

    /// How many deliveries the archive holds of each stage.
    pub(crate) async fn archived(&self, of: &str) -> (usize, usize) {
        (self.archived_by(of, Stage::Raw).await, self.archived_by(of, Stage::Staged).await)
    }

    /// What the archive holds of what the edge stored: envelopes with the events as they were sent.
    pub(crate) async fn archived_bytes(&self, of: &str) -> Vec<bytes::Bytes> {
        let deliveries = self.deliveries(of, Stage::Raw).await;
        deliveries.into_iter().map(|(_, delivery)| delivery.payload).collect()
    }

    async fn archived_by(&self, of: &str, stage: Stage) -> usize {
        let deliveries = self.deliveries(of, stage).await;
        let positions: BTreeSet<_> =
            deliveries.into_iter().map(|(shard, delivery)| (shard, delivery.position)).collect();
        positions.len()
    }

    async fn deliveries(&self, of: &str, stage: Stage) -> Vec<(ShardId, Delivery)> {
        let mut deliveries = Vec::new();
        let mut segments = self.archive.segments(SegmentQuery::new(stage, SegmentKind::Received));
        while let Some(info) = segments.next().await {
            let info = info.unwrap();
            let reader = SegmentReader::open(&self.archive, &info).await.unwrap();
            for record in reader.read(&self.archive, &tenant(of), TimeRange::ALL).await.unwrap() {
                deliveries.push((info.name.shard.clone(), record.delivery));
            }
        }
        deliveries
    }
}

/// The rows of a metric, in order of time and text.
pub(crate) async fn rows(nearline: &dyn NearlineStore, of: &str, metric: &str, names: &[&str]) -> Vec<String> {
    let request = ScanRequest::new(tenant(of), MetricId::new(metric).unwrap())
        .with_names(names.iter().copied())
        .with_system(SystemColumns { alias: true, ..SystemColumns::default() });
    let batches: Vec<_> = nearline.scan(request).try_collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in batches {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let mut line = format!("{} {}", times.value(row), batch.column(1).as_string_view().value(row));
            for (index, name) in names.iter().enumerate() {
                let cells = batch.column(2 + index).as_string_view();
                if cells.is_valid(row) {
                    line.push_str(&format!(" {name}={}", cells.value(row)));
                }
            }
            rows.push(line);
        }
    }
    rows.sort();
    rows
}

/// The paused clock of a test's runtime: it moves when everybody waits.
#[derive(Debug)]
pub(crate) struct PausedClock(tokio::time::Instant);

impl PausedClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the runtime's time enters")]
    pub(crate) fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.0.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(1_700_000_000_000_000 + micros).unwrap()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(wait)
    }
}

/// A repository that can be reached or not.
#[derive(Debug)]
pub(crate) struct Outage {
    inner: MemoryRepo,
    is_down: AtomicBool,
    asked: AtomicU64,
    listed: AtomicU64,
}

impl Outage {
    pub(crate) fn new(inner: MemoryRepo) -> Self {
        Self { inner, is_down: AtomicBool::new(false), asked: AtomicU64::new(0), listed: AtomicU64::new(0) }
    }

    pub(crate) fn begin(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// How often it was asked which checkpoints there are, or which other subjects.
    pub(crate) fn listed(&self) -> u64 {
        self.listed.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) { Err(Error::unavailable("the repository is down")) } else { Ok(()) }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl SchemaRepo for Outage {
    fn capabilities(&self) -> RepoCapabilities {
        self.inner.capabilities()
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        self.check()?;
        self.inner.latest(subject).await
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        self.check()?;
        self.inner.history(subject, first, count_max).await
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        match self.check() {
            Ok(()) => self.inner.append(writes, now).await,
            Err(error) => Outcome::NotDone(error),
        }
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        self.check()?;
        self.listed.fetch_add(1, Ordering::SeqCst);
        self.inner.subjects(owner, prefix).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.check()?;
        self.inner.tenants().await
    }
}
