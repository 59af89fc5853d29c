//! The archive is kept for ever, or for as long as it was told to, and says so when something is gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use fineo_compact::{CompactOptions, Compactor, Fresh};
use fineo_core::{
    Archive, Clock, ErrorKind, SystemClock, TimeRange, Timestamp,
    archive::{SegmentKind, SegmentQuery, Stage},
};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, ReplayRequest};
use futures::{TryStreamExt, future::BoxFuture};

use crate::support::{World, acme, at_once, metric};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The machine's clock, so much later.
#[derive(Debug, Default)]
pub(crate) struct Later(AtomicI64);

impl Later {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// A clock that is so much behind this one.
    pub(crate) fn behind(&self, lag: Duration) -> Self {
        Self(AtomicI64::new(self.0.load(Ordering::SeqCst) - i64::try_from(lag.as_micros()).unwrap()))
    }
}

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_micros(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(wait)
    }
}

pub(crate) fn world() -> (World, Arc<Later>) {
    let clock = Arc::new(Later::default());
    (World { clock: Arc::clone(&clock) as _, ..World::new() }, clock)
}

pub(crate) fn keeping(days: u32) -> CompactOptions {
    at_once().with_archive_retain(Some(DAY * days))
}

pub(crate) async fn send(world: &World, value: &str) {
    world.send(&acme(), &format!(r#"{{"metrictype":"m","timestamp":1700000000000,"v":"{value}"}}"#)).await;
}

pub(crate) async fn values(world: &World) -> Vec<String> {
    world.answer(&acme(), &metric(1)).await.iter().map(|row| row["v"].clone()).collect()
}

/// How many segments of what each stage received there are.
pub(crate) async fn segments(world: &World) -> [usize; 2] {
    let mut counts = [0; 2];
    for (stage, count) in Stage::ALL.into_iter().zip(&mut counts) {
        let listed = world.archive.segments(SegmentQuery::new(stage, SegmentKind::Received));
        *count = listed.try_collect::<Vec<_>>().await.unwrap().len();
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn segments_go_when_they_are_old_and_their_rows_are_in_files_alone() {
    // U4, D8
    let (world, clock) = world();
    send(&world, "old").await;
    clock.pass(DAY * 20);
    send(&world, "young").await;
    assert_eq!(segments(&world).await, [2, 2]);

    // Not compacted: what stage staged received stays, whatever the clock says.
    let still_nearline = keeping(10).with_pin_for(DAY).with_retain_for(DAY);
    let report = world.compact(still_nearline).await;
    assert_eq!((report.expired_segments, segments(&world).await), (1, [1, 2]));

    clock.pass(DAY);
    let report = world.compact(keeping(10)).await;
    assert_eq!((report.expired_segments, segments(&world).await), (1, [1, 1]));
    assert!(report.expired_bytes > 0);
    assert_eq!(values(&world).await, ["old", "young"]);

    // Looked for once an hour, and for ever kept where nobody said otherwise.
    clock.pass(DAY * 100);
    assert_eq!(world.compact(at_once()).await.expired_segments, 0);
    assert_eq!(world.compact(keeping(10)).await.expired_segments, 2);
    assert_eq!(world.compact(keeping(1)).await.expired_segments, 0);
    assert_eq!(values(&world).await, ["old", "young"]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_passes_what_is_left_and_says_until_when_the_archive_is_gone() {
    // D8, R1
    let (world, clock) = world();
    send(&world, "old").await;
    let gone_until = world.clock.now();
    clock.pass(DAY * 20);
    send(&world, "young").await;
    world.compact(keeping(10)).await;
    assert_eq!(segments(&world).await, [1, 1]);

    let pipeline = Pipeline::start(world.pipeline_parts(), PipelineOptions::default()).await.unwrap();
    for stage in [Stage::Staged, Stage::Raw] {
        let report = pipeline.replay(ReplayRequest::new(stage, acme()), &NoFiles).await.unwrap();
        assert_eq!(report.passed, 1, "{stage}");
        let until = report.expired_until.expect("it says so");
        assert!(until <= gone_until && until.micros() > 0, "{until}");
    }
    // Who asks for nothing of what is gone need not hear of it.
    let since = TimeRange { from: gone_until.micros() + 1, to: i64::MAX };
    let report = pipeline.replay(ReplayRequest::new(Stage::Raw, acme()).with_time(since), &NoFiles).await.unwrap();
    assert_eq!((report.passed, report.expired_until), (1, None));
    pipeline.stop().await.unwrap();
    assert_eq!(values(&world).await, ["old", "young"]);
}

#[tokio::test(start_paused = true)]
async fn tables_are_not_made_anew_out_of_an_archive_that_lacks_their_events() {
    // R4
    let (world, clock) = world();
    send(&world, "old").await;
    clock.pass(DAY * 20);
    send(&world, "young").await;
    world.compact(keeping(10)).await;
    let report = Compactor::new(world.parts(), keeping(10).with_fresh(Fresh::All)).run(&|_| {}).await.unwrap();
    assert!(report.failed[0].error.contains("cannot be made anew"), "{report:?}");
    assert_eq!(values(&world).await, ["old", "young"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_took_away_is_still_missed() {
    // D8
    let (world, clock) = world();
    for value in ["1", "2", "3"] {
        send(&world, value).await;
        clock.pass(DAY * 5);
    }
    world.compact(keeping(12)).await;
    assert_eq!(segments(&world).await, [2, 2], "the first went");
    let query = SegmentQuery::new(Stage::Raw, SegmentKind::Received);
    let left: Vec<_> = world.archive.segments(query).try_collect().await.unwrap();
    world.archive.remove(&left[0].name).await.into_result().unwrap();
    let pipeline = Pipeline::start(world.pipeline_parts(), PipelineOptions::default()).await.unwrap();
    let error = pipeline.replay(ReplayRequest::new(Stage::Raw, acme()), &NoFiles).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    pipeline.stop().await.unwrap();
    // Nothing goes behind a gap.
    clock.pass(DAY * 50);
    world.compact(keeping(12)).await;
    assert_eq!(segments(&world).await, [1, 0]);
}

/// More segments of each stage than go at once, all of them old.
async fn many() -> World {
    let (world, clock) = world();
    let options = PipelineOptions::default().with_cut_bytes(1);
    let pipeline = Pipeline::start(world.pipeline_parts(), options).await.unwrap();
    for number in 0..1_100 {
        let event = format!(r#"{{"metrictype":"m","timestamp":{number},"v":{number}}}"#);
        let receipt = pipeline.edge().ingest(&acme(), event.into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), DAY).await.unwrap();
    }
    pipeline.stop().await.unwrap();
    assert!(segments(&world).await.iter().all(|segments| *segments > 1_050), "{:?}", segments(&world).await);
    clock.pass(DAY * 20);
    world
}

#[tokio::test(start_paused = true)]
async fn what_is_more_than_goes_at_once_goes_with_the_next_run_and_not_an_hour_later() {
    // U4
    let world = many().await;
    let again_and_again = keeping(10).with_few_records(1);
    let mut expired = world.compact(again_and_again.clone()).await.expired_segments;
    assert_eq!(expired, 2_000);
    expired += world.compact(again_and_again.clone()).await.expired_segments;
    assert_eq!((segments(&world).await, expired > 2_000), ([0, 0], true));
    // Then all is done, and it is looked for once an hour again.
    send(&world, "new").await;
    assert_eq!(world.compact(again_and_again).await.expired_segments, 0);
}

#[tokio::test(start_paused = true)]
async fn who_runs_once_lets_go_of_all_that_is_old_enough() {
    // U4
    let world = many().await;
    assert!(world.compact(keeping(10)).await.expired_segments > 2_000);
    assert_eq!(segments(&world).await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_cannot_be_looked_at_stays_and_holds_nothing_up() {
    // D7
    let (world, clock) = world();
    send(&world, "old").await;
    clock.pass(DAY * 20);
    let query = SegmentQuery::new(Stage::Raw, SegmentKind::Received);
    let there: Vec<_> = world.archive.segments(query).try_collect().await.unwrap();
    world.archive.remove(&there[0].name).await.into_result().unwrap();
    world.archive.write(&there[0].name, "no segment".into()).await.into_result().unwrap();
    let report = world.compact(keeping(10)).await;
    assert_eq!((report.expired_segments, segments(&world).await), (0, [1, 1]));
    assert!(world.compact(at_once()).await.is_idle(), "what was compacted is noted");
    assert_eq!(values(&world).await, ["old"]);
}
