//! Which segments a run lists: those that are new, and all where that is not certain, so that none is ever passed over.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_backend_memory::MemoryStream;
use fineo_compact::{CompactOptions, CompactReport, Compactor, CompactorParts, Fresh, Selection};
use fineo_conformance::fault::LateArchive;
use fineo_core::{
    Archive, Outcome, Result, TenantId,
    archive::{ArchiveCapabilities, Availability, Created, Restore, SegmentInfo, SegmentName, SegmentQuery},
};
use fineo_ingest::PipelineParts;
use futures::{StreamExt as _, stream::BoxStream};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    expired::{DAY, Later, world},
    support::{World, acme, at_once, metric, send_to},
};

const WITHIN: Duration = Duration::from_secs(900);
const HOUR: Duration = Duration::from_secs(3600);

/// An archive that counts what it lists.
#[derive(Debug)]
struct Counted {
    inner: Arc<dyn Archive>,
    listed: Arc<AtomicUsize>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Archive for Counted {
    fn capabilities(&self) -> ArchiveCapabilities {
        self.inner.capabilities()
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        self.inner.write(name, bytes).await
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        let listed = Arc::clone(&self.listed);
        let count = move |_: &Result<SegmentInfo>| {
            listed.fetch_add(1, Ordering::SeqCst);
        };
        self.inner.segments(query).inspect(count).boxed()
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        self.inner.read(name, range).await
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        self.inner.remove(name).await
    }

    async fn availability(&self, name: &SegmentName, restore: Option<Restore>) -> Result<Availability> {
        self.inner.availability(name, restore).await
    }
}

impl Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counted {}", self.inner)
    }
}

/// Stores over one of the archives, whose listings are counted.
struct Listed {
    world: World,
    clock: Arc<Later>,
    archive: Arc<dyn Archive>,
    late: Option<Arc<LateArchive>>,
    listed: Arc<AtomicUsize>,
    sent: BTreeSet<(TenantId, u32)>,
}

impl Listed {
    fn prompt() -> Self {
        let (world, clock) = world();
        let archive: Arc<dyn Archive> = Arc::new(world.archive.clone());
        Self { world, clock, archive, late: None, listed: Arc::default(), sent: BTreeSet::new() }
    }

    fn late() -> Self {
        let listed = Self::prompt();
        let late = Arc::new(LateArchive::new(Arc::clone(&listed.archive), WITHIN));
        Self { archive: Arc::clone(&late) as _, late: Some(late), ..listed }
    }

    /// Sends events that arrive by a clock that is so much behind.
    async fn send(&mut self, tenant: &TenantId, numbers: impl IntoIterator<Item = u32>, lag: Duration) {
        let world = World { clock: Arc::new(self.clock.behind(lag)), ..self.world.clone() };
        let parts = PipelineParts { archive: Arc::clone(&self.archive), ..world.pipeline_parts() };
        let numbers: Vec<u32> = numbers.into_iter().collect();
        let line = |number: &u32| format!(r#"{{"metrictype":"m","timestamp":{number},"v":{number}}}"#);
        send_to(parts, tenant, &numbers.iter().map(line).collect::<Vec<_>>().join("\n")).await;
        self.sent.extend(numbers.into_iter().map(|number| (tenant.clone(), number)));
    }

    /// Compacts; answers how many segments were listed for it, too.
    async fn compact(&self, options: CompactOptions) -> (CompactReport, usize) {
        let before = self.listed.load(Ordering::SeqCst);
        let archive = Arc::new(Counted { inner: Arc::clone(&self.archive), listed: Arc::clone(&self.listed) });
        let parts = CompactorParts { archive, ..self.world.parts() };
        let report = Compactor::new(parts, options).run(&|_| {}).await.unwrap();
        assert!(report.failed.is_empty() && report.busy.is_empty(), "{report:?}");
        (report, self.listed.load(Ordering::SeqCst) - before)
    }

    /// How many events are in files and in the nearline store; checks that each is in one of them.
    async fn check(&self, place: &str) -> (usize, usize) {
        let (mut events, mut in_files, mut nearline) = (BTreeSet::new(), 0, 0);
        for tenant in [acme(), beta()] {
            for (_, row) in self.world.in_files(&tenant, &metric(1)).await {
                in_files += 1;
                assert!(
                    events.insert((tenant.clone(), row["v"].parse().unwrap())),
                    "{place}: {row:?} is in files twice"
                );
            }
            for (.., row) in self.world.nearline(&tenant, &metric(1)).await {
                nearline += 1;
                events.insert((tenant.clone(), row["v"].parse().unwrap()));
            }
        }
        assert_eq!(events, self.sent, "{place}");
        (in_files, nearline)
    }
}

fn beta() -> TenantId {
    TenantId::new("beta").unwrap()
}

// U6
#[tokio::test(start_paused = true)]
async fn a_run_lists_what_is_new_however_old_the_archive_is() {
    for mut of in [Listed::prompt(), Listed::late()] {
        for run in 0..60 {
            of.send(&acme(), [run], Duration::ZERO).await;
            if let Some(late) = &of.late {
                late.deliver_all().await.unwrap();
            }
            let (_, listed) = of.compact(CompactOptions::default().with_few_records(2)).await;
            assert!(listed <= 6, "{listed} segments are listed in run {run}");
            of.clock.pass(HOUR);
        }
        assert_eq!(of.check("at the end").await.0, 60);
    }
}

// U1, U6: what is passed on late has a segment far in the past.
#[tokio::test(start_paused = true)]
async fn a_segment_of_events_that_arrived_long_ago_is_not_passed_over() {
    let mut of = Listed::prompt();
    for number in 0..40 {
        of.send(&acme(), [number], Duration::ZERO).await;
        of.compact(at_once()).await;
        of.clock.pass(HOUR);
    }
    for (number, lag) in [(40, DAY), (41, DAY * 20), (42, Duration::ZERO), (43, HOUR * 5)] {
        of.send(&acme(), [number], lag).await;
    }
    let (report, listed) = of.compact(at_once()).await;
    assert_eq!((report.total(|metric| metric.rows_in), of.check("late").await), (4, (44, 0)));
    assert!(listed >= 44, "{listed} were listed");
    of.send(&acme(), [44], Duration::ZERO).await;
    of.compact(at_once()).await;
    of.send(&acme(), [45], Duration::ZERO).await;
    let (_, listed) = of.compact(at_once()).await;
    assert_eq!(of.check("then").await, (46, 0));
    assert!(listed < 10, "{listed} were listed");
}

// U1, U6
#[tokio::test(start_paused = true)]
async fn where_an_archive_lists_late_a_segment_far_in_the_past_is_filed_once_it_had_its_time() {
    let mut of = Listed::late();
    let late = of.late.clone().unwrap();
    for number in 0..5 {
        of.send(&acme(), [number], Duration::ZERO).await;
        late.deliver_all().await.unwrap();
        of.compact(at_once()).await;
        of.clock.pass(HOUR);
    }
    of.send(&acme(), [5], DAY * 20).await;
    of.send(&acme(), [6], Duration::ZERO).await;
    late.deliver_all().await.unwrap();
    // It is not listed yet, for all that is known.
    assert_eq!(of.compact(at_once()).await.0.undelivered, 1);
    assert_eq!(of.check("before").await, (5, 2));
    of.clock.pass(WITHIN);
    assert_eq!(of.compact(at_once()).await.0.undelivered, 0);
    assert_eq!(of.check("after").await, (7, 0));
}

/// Sends what arrived at any time and compacts in any way; each event is in files or nearline after each step.
async fn run(seed: u64, mut of: Listed) {
    let mut random = StdRng::seed_from_u64(seed);
    let shards = random.random_range(1..3);
    of.world.raw = MemoryStream::new("raw", shards);
    of.world.staged = MemoryStream::new("staged", shards);
    for step in 0..20 {
        let tenant = if random.random_range(0..3) == 0 { beta() } else { acme() };
        let lag = [Duration::ZERO, Duration::ZERO, HOUR, HOUR * 5, DAY * 20][random.random_range(0..5)];
        let first = step * 4;
        of.send(&tenant, first..first + random.random_range(1..4), lag).await;
        if let Some(late) = &of.late {
            for name in late.on_their_way().iter().filter(|_| random.random_range(0..3) > 0) {
                late.deliver(name).await.unwrap();
            }
            of.clock.pass(WITHIN / 40);
        } else {
            of.clock.pass([Duration::ZERO, HOUR / 6, HOUR * 5, DAY * 3][random.random_range(0..4)]);
        }
        let options = match random.random_range(0..6) {
            0 => continue,
            1 => at_once().with_fresh(Fresh::All),
            2 => at_once().with_selection(Selection::Tenant(acme())),
            3 => CompactOptions::default().with_few_records(5),
            4 => at_once().with_few_records(3),
            _ => at_once(),
        };
        of.compact(options).await;
        of.check(&format!("seed {seed}, step {step}")).await;
    }
    if let Some(late) = &of.late {
        late.deliver_all().await.unwrap();
        // What was archived is noted once in a while.
        for wait in [WITHIN / 20, WITHIN] {
            of.compact(at_once()).await;
            of.clock.pass(wait);
        }
    }
    of.compact(at_once()).await;
    let place = format!("seed {seed}, {}, at the end", of.archive);
    assert_eq!(of.check(&place).await, (of.sent.len(), 0), "{place}");
}

// U1, U6, I4
#[tokio::test(start_paused = true)]
async fn whenever_events_arrived_and_however_runs_come_no_segment_is_passed_over() {
    for seed in 0..4 {
        println!("seed {seed}");
        run(seed, Listed::prompt()).await;
        run(seed, Listed::late()).await;
    }
}
