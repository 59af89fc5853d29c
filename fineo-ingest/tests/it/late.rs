//! An archive that lists late: a replay passes on what is listed, and says that the rest is on its way.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_backend_memory::{MemoryNearline, MemoryRepo};
use fineo_conformance::fault::LateArchive;
use fineo_core::{
    Clock, Cover, Error, ErrorKind, MetricId, NearlineStore, Outcome, Position, Result, SchemaRepo, SeededEntropy,
    ShardId, SystemClock, TenantId, TimeRange, Timestamp,
    archive::{SegmentKind, SegmentName, Stage},
    nearline::{Damage, NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
    repo::{Compared, RepoCapabilities, Subject, Version, Versioned, Write},
};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, PipelineParts, ReplayRequest};
use futures::{future::BoxFuture, stream::BoxStream};

use crate::support::{SOON, World, tenant};

/// Four events, each in a segment of its own, all of them on their way `within` this time; and no rows.
async fn four(within: Duration) -> (World, Arc<LateArchive>) {
    four_each(within, Duration::ZERO).await
}

/// As [`four`], sent so long after one another.
async fn four_each(within: Duration, apart: Duration) -> (World, Arc<LateArchive>) {
    let (world, clock) = (World::new(), Arc::new(Later::default()));
    let archive = Arc::new(LateArchive::new(Arc::new(world.archive.clone()), within));
    for number in 1..=4 {
        send_at(&world, &archive, Arc::clone(&clock) as _, number).await;
        clock.0.fetch_add(i64::try_from(apart.as_micros()).unwrap(), Ordering::SeqCst);
    }
    (World { nearline: MemoryNearline::new(), ..world }, archive)
}

/// Sends an event and returns when it is archived.
async fn send(world: &World, archive: &Arc<LateArchive>, number: u32) {
    send_at(world, archive, Arc::new(SystemClock), number).await;
}

async fn send_at(world: &World, archive: &Arc<LateArchive>, clock: Arc<dyn Clock>, number: u32) {
    let parts = PipelineParts { archive: Arc::clone(archive) as _, clock, ..world.parts() };
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    let event = format!(r#"{{"metrictype":"m","timestamp":{number}}}"#);
    let receipt = pipeline.edge().ingest(&tenant("acme"), event.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    pipeline.stop().await.unwrap();
}

async fn start(world: &World, archive: &Arc<LateArchive>) -> Pipeline {
    let parts = PipelineParts { archive: Arc::clone(archive) as _, ..world.parts() };
    Pipeline::start(parts, PipelineOptions::default()).await.unwrap()
}

/// What is on its way of what a stage received, in order.
fn received(archive: &LateArchive, stage: Stage) -> Vec<SegmentName> {
    let mut names = archive.on_their_way();
    names.retain(|name| name.stage == stage && name.kind == SegmentKind::Received);
    names
}

async fn replay(pipeline: &Pipeline, stage: Stage, time: TimeRange) -> Result<u64> {
    let request = ReplayRequest::new(stage, tenant("acme")).with_time(time);
    Ok(pipeline.replay(request, &NoFiles).await?.passed)
}

// D8
#[tokio::test(start_paused = true)]
async fn a_replay_passes_on_what_is_listed_and_says_that_the_rest_is_on_its_way() {
    let cases = [vec![], vec![0], vec![3], vec![0, 2], vec![1, 3], vec![2, 1, 0]];
    for (stage, delivered) in Stage::ALL.into_iter().flat_map(|stage| cases.iter().map(move |case| (stage, case))) {
        let (world, archive) = four(SOON * 100).await;
        let names = received(&archive, stage);
        assert_eq!(names.len(), 4, "{stage}");
        for place in delivered {
            archive.deliver(&names[*place]).await.unwrap();
        }
        let pipeline = start(&world, &archive).await;
        for _ in 0..2 {
            let error = replay(&pipeline, stage, TimeRange::ALL).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{stage} {delivered:?}: {error}");
            assert!(error.is_retryable() && error.to_string().contains("still on their way"), "{error}");
            let first_gap = (0..4).find(|place| !delivered.contains(place)).unwrap();
            let after = first_gap.checked_sub(1).map_or("the beginning".to_owned(), |at| names[at].last.to_string());
            assert!(error.context().iter().any(|(name, text)| *name == "after" && *text == after), "{error}");
            assert_eq!(world.rows("acme", "n1", &[]).await.len(), delivered.len(), "{stage} {delivered:?}");
        }
        archive.deliver_all().await.unwrap();
        assert_eq!(replay(&pipeline, stage, TimeRange::ALL).await.unwrap(), 4, "{stage} {delivered:?}");
        assert_eq!(world.rows("acme", "n1", &[]).await.len(), 4, "{stage} {delivered:?}");
        pipeline.stop().await.unwrap();
    }
}

// D8
#[tokio::test(start_paused = true)]
async fn what_was_not_listed_in_its_time_is_missing() {
    let (world, archive) = four(Duration::ZERO).await;
    let names = received(&archive, Stage::Raw);
    for place in [0, 2, 3] {
        archive.deliver(&names[place]).await.unwrap();
    }
    let pipeline = start(&world, &archive).await;
    let error = replay(&pipeline, Stage::Raw, TimeRange::ALL).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    pipeline.stop().await.unwrap();
}

// D8: neither when events arrived tells that, nor whether anything is listed behind them.
#[tokio::test(start_paused = true)]
async fn what_did_not_come_in_its_time_since_somebody_looked_is_missing() {
    let within = Duration::from_secs(3_600);
    for (stage, delivered) in Stage::ALL.into_iter().flat_map(|stage| [(stage, vec![0]), (stage, vec![0, 2, 3])]) {
        let (world, archive) = four(within).await;
        let names = received(&archive, stage);
        for place in &delivered {
            archive.deliver(&names[*place]).await.unwrap();
        }
        let clock = Arc::new(Later::default());
        let pass = |minutes: i64| clock.0.fetch_add(minutes * 60_000_000, Ordering::SeqCst);
        pass(60 * 24 * 30);
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let parts = PipelineParts { archive: Arc::clone(&archive) as _, clock, ..world.parts() };
        let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
        for (minutes, kind) in [(0, ErrorKind::Unavailable), (59, ErrorKind::Unavailable), (2, ErrorKind::Corrupt)] {
            pass(minutes);
            let error = replay(&pipeline, stage, TimeRange::ALL).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{stage} {delivered:?} {minutes}: {error}");
        }
        archive.deliver_all().await.unwrap();
        assert_eq!(replay(&pipeline, stage, TimeRange::ALL).await.unwrap(), 4, "{stage} {delivered:?}");
        pipeline.stop().await.unwrap();
    }
}

// D8
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_matters_only_where_it_may_be_of_what_was_asked_for() {
    let hour = Duration::from_secs(3_600);
    let (world, archive) = four_each(SOON * 100_000, hour * 3).await;
    let names = received(&archive, Stage::Raw);
    for name in names[..2].iter().chain(&received(&archive, Stage::Staged)[..2]) {
        archive.deliver(name).await.unwrap();
    }
    let pipeline = start(&world, &archive).await;
    // Of stage raw what arrived more than an hour before the last that is listed is not on its way; of stage staged, where
    // replays pass on what arrived at any time, anything may be.
    let hours = |count: i64| names[1].time.micros() + count * 3_600_000_000;
    for (stage, from, to, passed) in [
        (Stage::Raw, 0, hours(-2), Ok(1)),
        (Stage::Raw, 0, hours(1), Err(ErrorKind::Unavailable)),
        (Stage::Raw, hours(2), i64::MAX, Err(ErrorKind::Unavailable)),
        (Stage::Staged, 0, hours(-2), Err(ErrorKind::Unavailable)),
        (Stage::Staged, hours(2), i64::MAX, Err(ErrorKind::Unavailable)),
    ] {
        let found = replay(&pipeline, stage, TimeRange { from, to }).await.map_err(|error| error.kind());
        assert_eq!(found, passed, "{stage} {from} {to}");
    }
    for (place, is_listed) in [(0, true), (1, true), (2, false), (3, false)] {
        let name = &names[place];
        let pointer = HashSet::from([format!("raw/{}/{}", name.shard, name.first)]);
        let request = ReplayRequest::new(Stage::Raw, tenant("acme")).with_pointers(Some(pointer));
        let passed = pipeline.replay(request, &NoFiles).await.map(|report| report.passed).map_err(|error| error.kind());
        assert_eq!(passed, if is_listed { Ok(1) } else { Err(ErrorKind::Unavailable) }, "{place}");
    }
    pipeline.stop().await.unwrap();
}

/// The machine's clock, so many microseconds later.
#[derive(Debug, Default)]
struct Later(AtomicI64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_micros(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(wait)
    }
}

/// A nearline store that lost the rows of a damaged unit, and tells so until that is mended.
#[derive(Debug)]
struct Damaged {
    inner: MemoryNearline,
    damage: Mutex<Option<Damage>>,
    looks: AtomicUsize,
}

impl Damaged {
    /// Waits until somebody has looked for damage, and done what he does about it.
    async fn looked_at(&self) {
        let looks = self.looks.load(Ordering::SeqCst);
        while self.looks.load(Ordering::SeqCst) < looks + 2 {
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
    }

    fn is_mended(&self) -> bool {
        self.damage.lock().unwrap().is_none()
    }
}

#[async_trait]
impl NearlineStore for Damaged {
    fn capabilities(&self) -> NearlineCapabilities {
        self.inner.capabilities()
    }

    fn pushdown(&self, predicate: &Predicate) -> Pushdown {
        self.inner.pushdown(predicate)
    }

    async fn write(&self, tenant: &TenantId, metric: &MetricId, rows: Rows) -> Vec<Outcome<Written>> {
        self.inner.write(tenant, metric, rows).await
    }

    async fn sync(&self) -> Outcome<()> {
        self.inner.sync().await
    }

    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        self.inner.scan(request)
    }

    async fn remove(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64> {
        self.inner.remove(tenant, metric, cover).await
    }

    async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        self.inner.metrics(tenant).await
    }

    async fn damages(&self) -> Result<Vec<Damage>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(self.damage.lock().unwrap().clone().into_iter().collect())
    }

    async fn mended(&self, _: &Damage) -> Outcome<()> {
        *self.damage.lock().unwrap() = None;
        Outcome::Done(())
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damaged {}", self.inner)
    }
}

// D7
#[tokio::test(start_paused = true)]
async fn damaged_rows_of_errors_are_mended_once_all_their_segments_are_sure_to_be_listed() {
    let within = Duration::from_secs(3_600);
    let world = World::new();
    let archive = Arc::new(LateArchive::new(Arc::new(world.archive.clone()), within));
    for seed in 0..2 {
        // Errors go by their arrival, whose id is chance.
        let (archive, entropy) = (Arc::clone(&archive) as _, Arc::new(SeededEntropy::new(seed)) as _);
        let parts = PipelineParts { archive, entropy, ..world.parts() };
        let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
        let receipt = pipeline.edge().ingest(&tenant("acme"), r#"{"metrictype":"m","v":1}"#.into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
        pipeline.stop().await.unwrap();
    }
    assert_eq!(world.rows("acme", "errors", &[]).await.len(), 2);
    let mut malformed = archive.on_their_way();
    malformed.retain(|name| name.kind == SegmentKind::Malformed);
    assert_eq!(malformed.len(), 2);

    let world = World { nearline: MemoryNearline::new(), ..world };
    let shard = ShardId::new(&format!("raw.{}", malformed[0].shard)).unwrap();
    let damage = Damage {
        tenant: tenant("acme"),
        metric: MetricId::errors(),
        unit: 1,
        rows: 0,
        positions: vec![(shard, malformed[0].first, Position::MAX)],
        error: Error::corrupt("a flipped bit"),
    };
    let (damage, looks) = (Mutex::new(Some(damage)), AtomicUsize::new(0));
    let nearline = Arc::new(Damaged { inner: world.nearline.clone(), damage, looks });
    let clock = Arc::new(Later::default());
    let parts = PipelineParts {
        archive: Arc::clone(&archive) as _,
        nearline: Arc::clone(&nearline) as _,
        clock: Arc::clone(&clock) as _,
        ..world.parts()
    };
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    for (delivered, rows) in [(None, 0), (Some(1), 1), (Some(0), 2)] {
        if let Some(place) = delivered {
            archive.deliver(&malformed[place]).await.unwrap();
        }
        nearline.looked_at().await;
        assert_eq!((world.rows("acme", "errors", &[]).await.len(), nearline.is_mended()), (rows, false));
    }
    clock.0.fetch_add(i64::try_from(within.as_micros()).unwrap(), Ordering::SeqCst);
    nearline.looked_at().await;
    assert!(nearline.is_mended());
    assert_eq!(world.rows("acme", "errors", &[]).await.len(), 2);
    pipeline.stop().await.unwrap();
}

/// A repository with which somebody archives an event right after the first look at the checkpoint of stage staged.
#[derive(Debug)]
struct Overtaken {
    inner: MemoryRepo,
    by: World,
    archive: Arc<LateArchive>,
    is_due: AtomicBool,
}

#[async_trait]
impl SchemaRepo for Overtaken {
    fn capabilities(&self) -> RepoCapabilities {
        self.inner.capabilities()
    }

    async fn latest(&self, subject: &Subject) -> Result<Option<Versioned>> {
        let found = self.inner.latest(subject).await;
        let is_checkpoint = subject.name().starts_with("checkpoint/") && subject.name().contains("/staged/");
        if is_checkpoint && self.is_due.swap(false, Ordering::SeqCst) {
            send(&self.by, &self.archive, 9).await;
        }
        found
    }

    async fn history(&self, subject: &Subject, first: Version, count_max: usize) -> Result<Vec<Versioned>> {
        self.inner.history(subject, first, count_max).await
    }

    async fn append(&self, writes: Vec<Write>, now: Timestamp) -> Outcome<Compared> {
        self.inner.append(writes, now).await
    }

    async fn subjects(&self, owner: Option<&TenantId>, prefix: &str) -> Result<Vec<Subject>> {
        self.inner.subjects(owner, prefix).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.inner.tenants().await
    }
}

impl fmt::Display for Overtaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "overtaken {}", self.inner)
    }
}

// D8
#[tokio::test(start_paused = true)]
async fn what_is_archived_while_a_replay_begins_is_passed_on_or_told_to_be_on_its_way() {
    let (world, archive) = four(SOON * 100).await;
    archive.deliver_all().await.unwrap();
    let (inner, by, is_due) = (world.repo.clone(), world.clone(), AtomicBool::new(false));
    let repo = Arc::new(Overtaken { inner, by, archive: Arc::clone(&archive), is_due });
    let parts = PipelineParts { archive: Arc::clone(&archive) as _, repo: Arc::clone(&repo) as _, ..world.parts() };
    let mut options = PipelineOptions::default();
    options.runs_stages = false;
    let pipeline = Pipeline::start(parts, options).await.unwrap();
    repo.is_due.store(true, Ordering::SeqCst);
    let found = replay(&pipeline, Stage::Staged, TimeRange::ALL).await.map_err(|error| error.kind());
    assert_eq!((found, repo.is_due.load(Ordering::SeqCst)), (Err(ErrorKind::Unavailable), false));
    archive.deliver_all().await.unwrap();
    assert_eq!(replay(&pipeline, Stage::Staged, TimeRange::ALL).await.unwrap(), 5);
    pipeline.stop().await.unwrap();
}
