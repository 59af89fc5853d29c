//! An archive that lists late, in any order: compaction never passes over what is not listed, so nothing is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use fineo_backend_memory::MemoryStream;
use fineo_compact::{CompactOptions, CompactReport, Compactor, CompactorParts, Fresh};
use fineo_conformance::{
    fault::{ColdArchive, CrashPoints, Faults, Freezer, LateArchive},
    sweep,
};
use fineo_core::{
    Archive as _, ErrorKind, Result,
    archive::{Restore, SegmentKind, SegmentName, Stage},
};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, PipelineParts, ReplayRequest};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::sync::watch;

use crate::{
    expired::{DAY, Later, keeping, segments, world},
    interrupted::faulty,
    support::{World, acme, at_once, metric, send_to},
};

const WITHIN: Duration = Duration::from_secs(900);

/// Stores whose archive lists late.
struct Late {
    world: World,
    clock: Arc<Later>,
    archive: Arc<LateArchive>,
}

impl Late {
    fn new() -> Self {
        Self::over(&Freezer::default(), [1, 1])
    }

    /// So many shards of each stream, and an archive in which `freezer` has the cold ones.
    fn over(freezer: &Freezer, shards: [usize; 2]) -> Self {
        let (world, clock) = world();
        let [raw, staged] = shards;
        let world = World { raw: MemoryStream::new("raw", raw), staged: MemoryStream::new("staged", staged), ..world };
        let cold = ColdArchive::new(Arc::new(world.archive.clone()), freezer);
        let archive = Arc::new(LateArchive::new(Arc::new(cold), WITHIN));
        Self { world, clock, archive }
    }

    /// Sends events, one of each number, and returns when they are archived, in segments of their own.
    async fn send(&self, numbers: impl IntoIterator<Item = u32>) {
        let line = |number| format!(r#"{{"metrictype":"m","timestamp":{number},"v":{number}}}"#);
        let lines: Vec<String> = numbers.into_iter().map(line).collect();
        let parts = PipelineParts { archive: Arc::clone(&self.archive) as _, ..self.world.pipeline_parts() };
        send_to(parts, &acme(), &lines.join("\n")).await;
    }

    /// What is on its way of what a stage received, in order.
    fn on_their_way(&self, stage: Stage) -> Vec<SegmentName> {
        let mut names = self.archive.on_their_way();
        names.retain(|name| name.stage == stage && name.kind == SegmentKind::Received);
        names
    }

    fn parts(&self) -> CompactorParts {
        CompactorParts { archive: Arc::clone(&self.archive) as _, ..self.world.parts() }
    }

    async fn compact(&self, options: CompactOptions) -> Result<CompactReport> {
        let report = Compactor::new(self.parts(), options).run(&|_| {}).await?;
        assert!(report.failed.is_empty(), "{report:?}");
        Ok(report)
    }

    /// How many rows are in files, and what a query sees.
    async fn rows(&self) -> (usize, Vec<String>) {
        let answer = self.world.answer(&acme(), &metric(1)).await;
        let in_files = self.world.in_files(&acme(), &metric(1)).await.len();
        (in_files, answer.iter().map(|row| row["v"].clone()).collect())
    }
}

// U1, U6
#[tokio::test(start_paused = true)]
async fn what_comes_before_an_unlisted_segment_is_compacted_and_the_rest_once_it_is_there() {
    let late = Late::new();
    for number in 1..=4 {
        late.send([number]).await;
    }
    let all = ["1", "2", "3", "4"].map(str::to_owned).to_vec();
    let report = late.compact(at_once()).await.unwrap();
    assert_eq!((report.undelivered, report.is_idle(), late.rows().await), (1, true, (0, all.clone())));
    let names = late.on_their_way(Stage::Staged);
    assert_eq!(names.len(), 4);
    // The last one first, and the one before it last.
    for (place, in_files, undelivered) in [(3, 0, 1), (0, 1, 1), (1, 2, 1), (2, 4, 0)] {
        late.archive.deliver(&names[place]).await.unwrap();
        let report = late.compact(at_once()).await.unwrap();
        assert_eq!((report.undelivered, late.rows().await), (undelivered, (in_files, all.clone())), "{place}");
        assert_eq!(late.compact(at_once()).await.unwrap().total(|metric| metric.rows_in), 0, "{place}");
        let nearline = late.world.nearline(&acme(), &metric(1)).await.len();
        assert_eq!(nearline, 4 - in_files, "what is in files has left, and nothing else: {place}");
    }
}

// D8
#[tokio::test(start_paused = true)]
async fn what_is_not_listed_in_its_time_is_told_as_missing_whatever_lies_behind_it() {
    for delivered in [vec![], vec![0], vec![0, 2], vec![2]] {
        let late = Late::new();
        for number in 1..=3 {
            late.send([number]).await;
        }
        let names = late.on_their_way(Stage::Staged);
        for place in &delivered {
            late.archive.deliver(&names[*place]).await.unwrap();
        }
        // How long ago events arrived says nothing: they may have been passed on just now.
        late.clock.pass(DAY * 30);
        for _ in 0..2 {
            assert_eq!(late.compact(at_once()).await.unwrap().undelivered, 1, "{delivered:?}");
            late.clock.pass(WITHIN / 3);
        }
        late.clock.pass(WITHIN);
        for _ in 0..2 {
            let error = late.compact(at_once()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{delivered:?}: {error}");
            let (in_files, answer) = late.rows().await;
            assert_eq!((in_files, answer.len()), (usize::from(delivered.contains(&0)), 3), "{delivered:?}");
        }
        late.archive.deliver_all().await.unwrap();
        assert_eq!(late.compact(at_once()).await.unwrap().undelivered, 0);
        assert_eq!(late.rows().await.0, 3, "{delivered:?}");
    }
}

// D8
#[tokio::test(start_paused = true)]
async fn every_gap_has_its_time_of_its_own() {
    let late = Late::new();
    for number in 1..=4 {
        late.send([number]).await;
        assert_eq!(late.compact(at_once()).await.unwrap().undelivered, 1, "{number}");
        late.clock.pass(WITHIN * 2 / 3);
        for name in late.on_their_way(Stage::Staged) {
            late.archive.deliver(&name).await.unwrap();
        }
    }
    late.send([5]).await;
    assert_eq!(late.compact(at_once()).await.unwrap().undelivered, 1);
    assert_eq!(late.rows().await.0, 4);
}

// U4, D8
#[tokio::test(start_paused = true)]
async fn nothing_of_the_archive_goes_that_lies_behind_an_unlisted_segment() {
    let late = Late::new();
    for number in 1..=3 {
        late.send([number]).await;
    }
    let names = late.on_their_way(Stage::Raw);
    for name in late.archive.on_their_way().iter().filter(|name| **name != names[1]) {
        late.archive.deliver(name).await.unwrap();
    }
    late.clock.pass(DAY * 20);
    late.compact(at_once()).await.unwrap();
    late.compact(keeping(10)).await.unwrap();
    assert_eq!(segments(&late.world).await, [1, 0], "of stage raw the first went, and the third stays");
    late.archive.deliver(&names[1]).await.unwrap();
    late.clock.pass(DAY);
    late.compact(keeping(10)).await.unwrap();
    assert_eq!(segments(&late.world).await, [0, 0]);
    assert_eq!(late.rows().await.1.len(), 3);
}

// D8
#[tokio::test(start_paused = true)]
async fn a_gap_stops_its_shard_alone_and_what_is_cold_behind_it_stays_cold() {
    let freezer = Freezer::default();
    let late = Late::over(&freezer, [8, 2]);
    for number in 0..24 {
        late.send([number]).await;
    }
    let names = late.on_their_way(Stage::Staged);
    let (one, other): (Vec<_>, Vec<_>) = names.iter().cloned().partition(|name| name.shard == names[0].shard);
    assert!(one.len() > 4 && !other.is_empty(), "{names:?}");
    for name in names.iter().filter(|name| **name != one[1]) {
        late.archive.deliver(name).await.unwrap();
    }
    let in_files = 1 + other.len();
    one[3..].iter().for_each(|name| freezer.freeze(name, name.time));
    assert_eq!(late.compact(at_once()).await.unwrap().undelivered, 1);
    assert_eq!(late.rows().await.0, in_files);

    // After weeks the one right behind the gap is cold, too: it is known to be there.
    freezer.freeze(&one[2], one[2].time);
    late.clock.pass(DAY * 30);
    for number in 24..40 {
        late.send([number]).await;
    }
    for name in late.on_their_way(Stage::Staged).iter().filter(|name| **name != one[1]) {
        late.archive.deliver(name).await.unwrap();
    }
    let error = late.compact(at_once()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let (in_files_now, answer) = late.rows().await;
    assert!(in_files_now > in_files && answer.len() == 40, "{in_files_now} {in_files} {answer:?}");
    // Without a gap it has to be restored.
    late.archive.deliver(&one[1]).await.unwrap();
    let error = late.compact(at_once()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cold, "{error}");
    assert_eq!(late.rows().await.1.len(), 40);
}

// D8
#[tokio::test(start_paused = true)]
async fn what_a_replay_knew_to_be_archived_a_run_knows_too() {
    let late = Late::new();
    late.send([1]).await;
    let parts = PipelineParts { archive: Arc::clone(&late.archive) as _, ..late.world.pipeline_parts() };
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    let replay = async || {
        let replayed = pipeline.replay(ReplayRequest::new(Stage::Staged, acme()), &NoFiles).await;
        replayed.unwrap_err().kind()
    };
    assert_eq!(replay().await, ErrorKind::Unavailable);
    late.clock.pass(WITHIN);
    assert_eq!(late.compact(at_once()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(replay().await, ErrorKind::Corrupt);
    pipeline.stop().await.unwrap();
}

// D8
#[tokio::test(start_paused = true)]
async fn a_gap_is_noted_although_a_segment_of_another_shard_is_cold() {
    let freezer = Freezer::new(1);
    let late = Late::over(&freezer, [8, 2]);
    for number in 0..24 {
        late.send([number]).await;
    }
    let names = late.on_their_way(Stage::Staged);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        names.iter().cloned().partition(|name| name.shard == names[0].shard);
    if second[0].shard < first[0].shard {
        std::mem::swap(&mut first, &mut second);
    }
    // Of the second shard one is not listed, and the first shard is looked at before it.
    let unlisted = second[second.len() - 2].clone();
    for name in names.iter().filter(|name| **name != unlisted) {
        late.archive.deliver(name).await.unwrap();
    }
    let cold = first[0].clone();
    freezer.freeze(&cold, cold.time);
    assert_eq!(late.compact(at_once()).await.unwrap_err().kind(), ErrorKind::Cold);
    // Later what lies behind the gap is cold as well, and the first shard's is back.
    let last = &second[second.len() - 1];
    freezer.freeze(last, last.time);
    let archive = ColdArchive::new(Arc::new(late.world.archive.clone()), &freezer);
    for _ in 0..3 {
        archive.availability(&cold, Some(Restore::for_days(1).unwrap())).await.unwrap();
    }
    assert_eq!(late.compact(at_once()).await.unwrap().undelivered, 1);
    assert_eq!(late.rows().await.0, names.len() - 2);
}

// D8
#[tokio::test(start_paused = true)]
async fn who_watches_hears_once_that_segments_are_on_their_way_and_once_that_none_is() {
    let late = Late::new();
    late.send([1]).await;
    let heard = Mutex::new(Vec::new());
    let hear = |ran: &Result<CompactReport>| heard.lock().unwrap().push(ran.as_ref().unwrap().undelivered);
    let compactor = Compactor::new(late.parts(), at_once());
    let (_stop, stopped) = watch::channel(false);
    let mut watching = Box::pin(compactor.watch(WITHIN / 9, stopped, &hear));
    tokio::time::timeout(WITHIN / 3, &mut watching).await.unwrap_err();
    assert_eq!(*heard.lock().unwrap(), [1]);
    late.archive.deliver_all().await.unwrap();
    tokio::time::timeout(WITHIN / 3, &mut watching).await.unwrap_err();
    assert_eq!(*heard.lock().unwrap(), [1, 0]);
}

// D8
#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_know_that_the_archive_lists_late_forgets_no_gap() {
    let late = Late::new();
    late.send([1]).await;
    assert_eq!(late.compact(at_once()).await.unwrap().undelivered, 1);
    late.clock.pass(WITHIN);
    let error = Compactor::new(late.world.parts(), at_once()).run(&|_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let error = late.compact(at_once()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "it has stood for long: {error}");
}

/// Sends, delivers and compacts at random; after each step the answer is what was sent.
async fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let late = Late::new();
    let mut sent = BTreeSet::new();
    let mut unlisted = 0;
    for step in 0..16 {
        // Some were sent before, of any age.
        let numbers: BTreeSet<u32> = (0..random.random_range(1..8)).map(|_| random.random_range(0..60)).collect();
        late.send(numbers.iter().copied()).await;
        sent.extend(numbers);
        let mut names = late.archive.on_their_way();
        names.shuffle(&mut random);
        let percent = random.random_range(0..100);
        names.retain(|_| random.random_range(0..100) < percent);
        names.extend(late.archive.delivered().into_iter().filter(|_| random.random_range(0..8) == 0));
        for name in &names {
            late.archive.deliver(name).await.unwrap();
        }
        late.clock.pass(WITHIN / 20);
        let options = match random.random_range(0..4) {
            0 => continue,
            1 => at_once().with_fresh(Fresh::All),
            2 => CompactOptions::default().with_few_records(5),
            _ => at_once().with_small_files_max(2),
        };
        unlisted += late.compact(options).await.unwrap_or_else(|error| panic!("seed {seed}: {error}")).undelivered;
        check(&late, &sent, &format!("seed {seed}, step {step}")).await;
    }
    assert!(unlisted > 0, "seed {seed}");
    late.archive.deliver_all().await.unwrap();
    assert_eq!(late.compact(at_once()).await.unwrap().undelivered, 0, "seed {seed}");
    check(&late, &sent, &format!("seed {seed}, at the end")).await;
    assert_eq!(late.rows().await.0, sent.len(), "seed {seed}");
}

async fn check(late: &Late, sent: &BTreeSet<u32>, place: &str) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    late.rows().await.1.into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
    let expected: BTreeMap<String, usize> = sent.iter().map(|number| (number.to_string(), 1)).collect();
    assert_eq!(counts, expected, "{place}");
}

// U1, U5, U6, I4
#[tokio::test(start_paused = true)]
async fn every_event_answers_once_in_whatever_order_segments_are_delivered_and_however_often() {
    for seed in 0..6 {
        println!("seed {seed}");
        run(seed).await;
    }
}

async fn interrupted(points: CrashPoints) -> Result<()> {
    let late = Late::new();
    for numbers in [0..4, 2..6, 4..9] {
        late.send(numbers).await;
    }
    let names = late.on_their_way(Stage::Staged);
    for name in [&names[0], &names[2]] {
        late.archive.deliver(name).await?;
    }
    let options = at_once().with_is_alone(true);
    let faults = Faults::none().with_points(points.clone());
    let compactor = Compactor::new(faulty(late.parts(), &faults), options.clone());
    points.run(compactor.run(&|_| {})).await.transpose()?;
    let all = (0..9).collect();
    check(&late, &all, "before the next run").await;
    late.archive.deliver_all().await?;
    for _ in 0..2 {
        late.compact(options.clone()).await?;
    }
    check(&late, &all, "at the end").await;
    assert_eq!(late.rows().await.0, 9);
    Ok(())
}

// U1, N3
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_point_beside_a_gap_loses_and_doubles_nothing() {
    let swept = sweep(interrupted).await.unwrap();
    println!("crash: {swept}");
    assert!(swept.interrupted > 20, "{swept}");
}
