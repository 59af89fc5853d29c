//! One tenant's damage keeps nobody else: neither compaction nor what the archive lets go, and nothing of that tenant is lost.

use std::sync::Arc;

use bytes::Bytes;
use fineo_compact::{CompactOptions, CompactReport, Compactor, CompactorParts, Fresh, Selection};
use fineo_conformance::{
    Part,
    fault::{ColdArchive, CrashPoints, Faults, Freezer},
    sweep_part,
};
use fineo_core::{
    Archive as _, Result, SchemaRepo as _, TenantId,
    archive::{Restore, SegmentInfo, SegmentKind, SegmentQuery, Stage},
    repo::{Keep, Subject, Write},
};
use fineo_ingest::{Claim, Claimed, Lease};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    expired::{DAY, Later, keeping, world},
    interrupted::faulty,
    support::{World, acme, at_once, metric},
};

fn beta() -> TenantId {
    TenantId::new("beta").unwrap()
}

/// Two tenants, of two metrics each.
struct Two {
    world: World,
    clock: Arc<Later>,
    freezer: Freezer,
    /// How many events each sent of each metric.
    sent: usize,
    /// What was taken away.
    taken: Option<(Path, Bytes)>,
}

impl Two {
    /// Both have files of their first event.
    async fn new() -> Self {
        let (world, clock) = world();
        let mut two = Self { world, clock, freezer: Freezer::new(1), sent: 0, taken: None };
        two.send().await;
        assert!(two.compact(at_once()).await.failed.is_empty());
        two
    }

    async fn send(&mut self) {
        let number = self.sent;
        let line = |name| format!(r#"{{"metrictype":"{name}","timestamp":{number},"v":{number}}}"#);
        for tenant in [acme(), beta()] {
            self.world.send(&tenant, &["m1", "m2"].map(line).join("\n")).await;
        }
        self.sent += 1;
    }

    /// Takes away what tells which positions beta's metric n1 covers.
    async fn damage(&mut self) {
        let objects = &self.world.objects;
        let listed = objects.list(Some(&Path::from("beta/n1/_fineo/cover")));
        let listed: Vec<Path> = listed.map_ok(|meta| meta.location).try_collect().await.unwrap();
        let at = listed.into_iter().max().unwrap();
        let bytes = objects.get(&at).await.unwrap().bytes().await.unwrap();
        objects.delete(&at).await.unwrap();
        self.taken = Some((at, bytes));
    }

    async fn mend(&mut self) {
        if let Some((at, bytes)) = self.taken.take() {
            self.world.objects.put(&at, bytes.into()).await.unwrap();
        }
    }

    fn parts(&self) -> CompactorParts {
        let archive = Arc::new(ColdArchive::new(Arc::new(self.world.archive.clone()), &self.freezer));
        CompactorParts { archive, ..self.world.parts() }
    }

    async fn compact(&self, options: CompactOptions) -> CompactReport {
        Compactor::new(self.parts(), options).run(&|_| {}).await.unwrap()
    }

    async fn staged(&self) -> Vec<SegmentInfo> {
        let query = SegmentQuery::new(Stage::Staged, SegmentKind::Received);
        self.world.archive.segments(query).try_collect().await.unwrap()
    }

    /// How many rows of each metric, acme's first, are in files; none of one that is damaged.
    async fn in_files(&self) -> [Option<usize>; 4] {
        let mut counts = [None; 4];
        let metrics = [(acme(), 1), (acme(), 2), (beta(), 1), (beta(), 2)];
        for (count, (tenant, number)) in counts.iter_mut().zip(metrics) {
            if (&tenant, number, self.taken.is_some()) != (&beta(), 1, true) {
                *count = Some(self.world.in_files(&tenant, &metric(number)).await.len());
                let answer = self.world.answer(&tenant, &metric(number)).await;
                assert_eq!(answer.len(), self.sent, "{tenant} {number}");
            }
        }
        counts
    }

    fn all(&self) -> [Option<usize>; 4] {
        let all = Some(self.sent);
        [all, all, all.filter(|_| self.taken.is_none()), all]
    }
}

/// What a run says of beta, and nobody else.
fn failed(report: &CompactReport) -> (Option<&str>, &str) {
    let [failed] = &report.failed[..] else { panic!("{report:?}") };
    assert_eq!(failed.tenant, "beta");
    (failed.metric.as_deref(), &failed.error)
}

/// Replaces what is noted of how far beta is; answers what it was.
async fn replace_progress(world: &World, body: Bytes) -> Bytes {
    let subject = Subject::tenant(&beta(), "compaction/main", Keep::Latest).unwrap();
    let found = world.repo.latest(&subject).await.unwrap().unwrap();
    let write = Write { subject, expected: found.version, body: Some(body) };
    world.repo.append(vec![write], world.clock.now()).await.into_result().unwrap();
    found.body
}

/// Where it runs again and again; no record waits.
fn again() -> CompactOptions {
    at_once().with_few_records(1)
}

// T8
#[tokio::test(start_paused = true)]
async fn one_who_is_behind_for_so_long_that_segments_are_cold_stops_nobody_else() {
    let mut two = Two::new().await;
    two.damage().await;
    for _ in 0..3 {
        two.send().await;
        let report = two.compact(at_once()).await;
        assert_eq!(failed(&report).0, Some("n1"));
        assert_eq!(two.in_files().await, two.all());
    }
    let cold = two.staged().await;
    cold.iter().for_each(|info| two.freezer.freeze(&info.name, two.world.clock.now()));
    for _ in 0..2 {
        two.send().await;
        let report = two.compact(at_once()).await;
        let (of_metric, error) = failed(&report);
        assert_eq!(of_metric, Some("n1"));
        assert!(error.contains(&cold[2].name.path()), "the first that beta needs: {error}");
        assert_eq!(two.in_files().await, two.all(), "not even beta's other metric waits");
    }
    two.mend().await;
    assert_eq!(failed(&two.compact(at_once()).await).0, Some("n1"), "the segments are cold still");
    let archive = ColdArchive::new(Arc::new(two.world.archive.clone()), &two.freezer);
    for _ in 0..3 {
        for info in &cold {
            archive.availability(&info.name, Some(Restore::for_days(1).unwrap())).await.unwrap();
        }
    }
    for _ in 0..2 {
        assert!(two.compact(at_once()).await.failed.is_empty());
        assert_eq!(two.in_files().await, two.all());
    }
    assert!(two.compact(at_once()).await.is_idle());
}

// T8, U4, D8
#[tokio::test(start_paused = true)]
async fn the_archive_lets_go_of_what_one_who_is_behind_has_and_of_nothing_else() {
    let mut two = Two::new().await;
    two.damage().await;
    let old = two.staged().await;
    two.clock.pass(DAY * 20);
    two.send().await;
    let report = two.compact(keeping(10)).await;
    assert_eq!(failed(&report).0, Some("n1"));
    assert!(report.expired_segments > 0, "{report:?}");
    let needed = two.staged().await;
    assert!(needed.iter().all(|info| !old.contains(info)) && needed.len() == old.len(), "{needed:?}");
    // However old, it stays until beta has it.
    two.clock.pass(DAY * 20);
    two.send().await;
    two.compact(keeping(10)).await;
    two.clock.pass(DAY);
    two.compact(keeping(10)).await;
    assert!(two.staged().await.starts_with(&needed));
    two.mend().await;
    assert!(two.compact(keeping(10)).await.failed.is_empty());
    assert_eq!(two.in_files().await, two.all());
    two.clock.pass(DAY);
    two.compact(keeping(10)).await;
    assert!(two.staged().await.iter().all(|info| !needed.contains(info)));
    assert_eq!(two.in_files().await, two.all());
}

// U4
#[tokio::test(start_paused = true)]
async fn one_who_is_behind_and_whom_somebody_else_has_during_a_run_loses_nothing() {
    let mut two = Two::new().await;
    two.damage().await;
    // The longer the same fails, the longer it waits for its next try.
    for _ in 0..3 {
        two.send().await;
        assert_eq!(failed(&two.compact(again()).await).0, Some("n1"));
        two.clock.pass(DAY);
    }
    two.send().await;
    assert_eq!(failed(&two.compact(again()).await).0, Some("n1"));
    let subject = Subject::tenant(&beta(), "lease/main/compaction", Keep::Latest).unwrap();
    let claim = Claim { owner: "somebody else", hold_for: DAY, at_once: false };
    let claimed = Lease::claim(&two.world.repo, subject, claim, two.world.clock.now()).await.unwrap();
    let Claimed::Held(lease) = claimed else { panic!("nobody has it") };
    two.send().await;
    two.compact(again()).await;
    lease.release(&two.world.repo, two.world.clock.now()).await.unwrap();
    for _ in 0..2 {
        two.send().await;
        two.compact(again()).await;
        assert_eq!(two.in_files().await, two.all(), "what came meanwhile is filed, too");
    }
    two.mend().await;
    assert!(two.compact(at_once()).await.failed.is_empty());
    assert_eq!(two.in_files().await, two.all());
}

// T8
#[tokio::test(start_paused = true)]
async fn where_it_runs_again_and_again_older_segments_are_looked_at_less_and_less() {
    let mut two = Two::new().await;
    two.damage().await;
    for _ in 0..8 {
        two.send().await;
        two.compact(again()).await;
        two.clock.pass(DAY);
    }
    // Who looked at these would say that they are cold.
    let cold = two.staged().await;
    cold.iter().for_each(|info| two.freezer.freeze(&info.name, two.world.clock.now()));
    let words = failed(&two.compact(again()).await).1.to_owned();
    assert!(words.contains(&cold[2].name.path()), "a day passed, which is long after a week: {words}");
    two.mend().await;
    two.freezer = Freezer::new(1);
    for _ in 0..3 {
        two.clock.pass(DAY / 24);
        two.send().await;
        assert_eq!(failed(&two.compact(again()).await), (Some("n1"), &*words), "as it was said before");
        assert_eq!(two.in_files().await[3], Some(two.sent), "its other metric goes on");
    }
    // Who asks has it at once, for everybody or for beta alone.
    assert!(two.compact(at_once().with_selection(Selection::Tenant(beta()))).await.failed.is_empty());
    assert_eq!(two.in_files().await, two.all());
    two.clock.pass(DAY);
    assert!(two.compact(again()).await.failed.is_empty());
    two.send().await;
    assert!(two.compact(again()).await.failed.is_empty());
    assert_eq!(two.in_files().await, two.all());
}

// T8, N12
#[tokio::test(start_paused = true)]
async fn a_try_that_is_broken_off_is_not_tried_again_by_the_next_run() {
    let mut tried_again = Vec::new();
    for point in (4..64).step_by(6) {
        let mut two = Two::new().await;
        two.damage().await;
        for _ in 0..2 {
            two.send().await;
            two.compact(again()).await;
            two.clock.pass(DAY);
        }
        let points = CrashPoints::crash_at(point);
        let faults = Faults::none().with_points(points.clone());
        let compactor = Compactor::new(faulty(two.parts(), &faults), again().with_is_alone(true));
        assert!(points.run(compactor.run(&|_| {})).await.is_none(), "{point}");
        let cold = two.staged().await;
        cold.iter().for_each(|info| two.freezer.freeze(&info.name, two.world.clock.now()));
        two.send().await;
        let report = two.compact(again().with_is_alone(true)).await;
        tried_again.push(failed(&report).1.contains(&cold[2].name.path()));
        assert_eq!(two.in_files().await, two.all(), "{point}");
    }
    // It is noted before any segment is looked at.
    let first = tried_again.iter().position(|again| !again).unwrap();
    assert!(first < 5 && tried_again[first..].iter().all(|again| !again), "{tried_again:?}");
}

// T8
#[tokio::test(start_paused = true)]
async fn one_for_whom_nothing_works_at_all_stops_nobody_else() {
    let mut two = Two::new().await;
    let whole = replace_progress(&two.world, "{".into()).await;
    for options in [at_once(), again(), at_once()] {
        two.send().await;
        assert_eq!(failed(&two.compact(options).await).0, None);
        let all = Some(two.sent);
        assert_eq!(two.in_files().await, [all, all, Some(1), Some(1)]);
    }
    replace_progress(&two.world, whole).await;
    assert!(two.compact(again()).await.failed.is_empty());
    assert_eq!(two.in_files().await, two.all());
}

/// Sends, damages, mends, waits and compacts at random, with two compactors at once.
async fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut two = Two::new().await;
    for step in 0..16 {
        println!("seed {seed}, step {step}");
        match random.random_range(0..8) {
            0 if two.taken.is_none() => two.damage().await,
            1 => two.mend().await,
            2 => two.clock.pass(DAY * random.random_range(0..8)),
            _ => two.send().await,
        }
        let options = match random.random_range(0..8) {
            0 => at_once().with_selection(Selection::Tenant(beta())),
            1 if two.taken.is_none() => at_once().with_fresh(Fresh::All),
            2 => CompactOptions::default().with_few_records(5),
            3 | 4 => keeping(5).with_few_records(1),
            5 => keeping(3).with_is_alone(true),
            _ => again(),
        };
        let other = if random.random_range(0..3) == 0 { options.clone() } else { keeping(5).with_is_alone(true) };
        let others = usize::from(random.random_range(0..3) == 0);
        let compactors: Vec<Compactor> =
            [options, other].into_iter().take(1 + others).map(|options| Compactor::new(two.parts(), options)).collect();
        let runs = compactors.iter().map(|compactor| compactor.run(&|_| {}));
        for ran in futures::future::join_all(runs).await {
            ran.unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
        }
        two.in_files().await;
    }
    two.mend().await;
    two.compact(at_once()).await;
    let report = two.compact(at_once()).await;
    assert!(report.failed.is_empty(), "seed {seed}: {report:?}");
    assert_eq!(two.in_files().await, two.all(), "seed {seed}");
}

// U1, U4, T8
#[tokio::test(start_paused = true)]
async fn every_event_answers_once_whoever_is_behind_and_however_many_compact() {
    for seed in 0..4 {
        run(seed).await;
    }
}

/// A run that is broken off while beta is behind, or right after it was mended, when the archive lets go of what is old.
async fn interrupted(points: CrashPoints, is_mended: bool) -> Result<()> {
    let mut two = Two::new().await;
    two.damage().await;
    two.send().await;
    two.compact(at_once()).await;
    two.clock.pass(DAY);
    two.send().await;
    if is_mended {
        two.mend().await;
    }
    two.clock.pass(DAY * 20);
    let faults = Faults::none().with_points(points.clone());
    let compactor = Compactor::new(faulty(two.parts(), &faults), keeping(10).with_is_alone(true));
    points.run(compactor.run(&|_| {})).await.transpose()?;
    two.in_files().await;
    two.compact(keeping(10)).await;
    two.in_files().await;
    two.mend().await;
    for _ in 0..2 {
        two.clock.pass(DAY);
        let report = two.compact(keeping(10)).await;
        assert!(report.failed.is_empty(), "{report:?}");
    }
    assert_eq!(two.in_files().await, two.all());
    Ok(())
}

// U1, N3, N12
#[tokio::test(start_paused = true)]
async fn a_crash_beside_one_who_is_behind_loses_and_doubles_nothing() {
    for is_mended in [false, true] {
        // There are hundreds of points, and each run takes its time.
        let part = Part { points_max: Some(32), seed: u64::from(is_mended), at_once: 1 };
        let swept = sweep_part(|points| interrupted(points, is_mended), part).await.unwrap();
        println!("crash: {swept}");
        assert!(swept.interrupted > 28, "{swept}");
    }
}
