//! Segments in a cold storage class: a replay asks for them, waits and goes on; it never takes them for lost (D8).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_backend_memory::{MemoryArchive, MemoryNearline};
use fineo_conformance::fault::{ColdArchive, Freezer};
use fineo_core::{
    Archive, Error, ErrorKind, Outcome, Result, TimeRange, Timestamp,
    archive::{ArchiveCapabilities, Created, Restore, SegmentInfo, SegmentName, SegmentQuery, Stage},
};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, PipelineParts, ReplayRequest, RestoreProgress};
use futures::{FutureExt, stream::BoxStream};

use crate::{
    missing::{four, segments},
    support::{World, tenant},
};

const LONG_AGO: Timestamp = Timestamp::MIN;

/// Four events without rows, each in a segment of its own; of `stage` the segments with these numbers are cold.
async fn frozen(stage: Stage, cold: &[usize]) -> (World, Freezer) {
    let (world, freezer) = (four().await, Freezer::new(3));
    let names: Vec<SegmentName> = segments(&world, stage).await.into_iter().map(|info| info.name).collect();
    cold.iter().for_each(|number| freezer.freeze(&names[*number], LONG_AGO));
    (World { nearline: MemoryNearline::new(), ..world }, freezer)
}

async fn start(world: &World, archive: impl Archive) -> Pipeline {
    let parts = PipelineParts { archive: Arc::new(archive), ..world.parts() };
    Pipeline::start(parts, PipelineOptions::default()).await.unwrap()
}

async fn start_cold(world: &World, freezer: &Freezer) -> Pipeline {
    start(world, ColdArchive::new(Arc::new(world.archive.clone()), freezer)).await
}

fn all(stage: Stage) -> ReplayRequest {
    ReplayRequest::new(stage, tenant("acme"))
}

fn said(error: &Error, name: &str) -> String {
    error.context().iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_replay_over_cold_segments_passes_nothing_on_and_says_what_to_do() {
    for stage in Stage::ALL {
        let (world, freezer) = frozen(stage, &[1, 2]).await;
        let pipeline = start_cold(&world, &freezer).await;
        let infos = segments(&world, stage).await;
        let cold = pipeline.cold_segments(&all(stage)).await.unwrap();
        assert_eq!((cold.segments, cold.restoring, cold.bytes), (2, 0, infos[1].bytes + infos[2].bytes));
        for _ in 0..2 {
            let error = pipeline.replay(all(stage), &NoFiles).await.unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Cold, false), "{error}");
            assert_eq!([said(&error, "segments"), said(&error, "first")], ["2".to_owned(), infos[1].name.path()]);
            assert!(said(&error, "hint").contains("--restore DAYS"), "{error}");
        }
        let sent = pipeline.send_archived(&all(stage), &world.raw, fineo_ingest::Speed::Fastest).await;
        assert_eq!(sent.is_err(), stage == Stage::Raw, "what is sent is what stage raw received");
        assert!(world.rows("acme", "n1", &[]).await.is_empty());
        assert_eq!(freezer.restores(), 0);
        pipeline.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_is_asked_for_once_told_of_and_followed_by_a_whole_replay() {
    for stage in Stage::ALL {
        let (world, freezer) = frozen(stage, &[0, 2, 3]).await;
        let pipeline = start_cold(&world, &freezer).await;
        let told: Mutex<Vec<(u64, u64)>> = Mutex::default();
        let tell = |progress: &RestoreProgress| told.lock().unwrap().push((progress.back, progress.segments));
        let done = pipeline.restore_cold(&all(stage), Restore::for_days(1).unwrap(), &tell).await.unwrap();
        assert_eq!((done.back, done.segments, freezer.restores()), (3, 3, 3));
        let told = told.into_inner().unwrap();
        assert_eq!((told.first(), told.last()), (Some(&(0, 3)), Some(&(3, 3))), "{told:?}");
        let report = pipeline.replay(all(stage), &NoFiles).await.unwrap();
        assert_eq!(report.passed, 4);
        assert_eq!(world.rows("acme", "n1", &[]).await.len(), 4);
        assert_eq!(pipeline.replay(all(stage), &NoFiles).await.unwrap().rows, 0, "nothing is doubled");
        assert_eq!(
            pipeline.restore_cold(&all(stage), Restore::for_days(1).unwrap(), &|_| {}).await.unwrap().segments,
            0
        );
        pipeline.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_is_broken_off_goes_on_where_it_was() {
    let (world, freezer) = frozen(Stage::Staged, &[0, 1, 2, 3]).await;
    let restore = Restore::for_days(1).unwrap();
    // It is dropped at its first wait.
    let pipeline = start_cold(&world, &freezer).await;
    assert!(pipeline.restore_cold(&all(Stage::Staged), restore, &|_| {}).now_or_never().is_none());
    pipeline.stop().await.unwrap();

    let pipeline = start_cold(&world, &freezer).await;
    let cold = pipeline.cold_segments(&all(Stage::Staged)).await.unwrap();
    assert_eq!((cold.segments, cold.restoring), (4, 4));
    let error = pipeline.replay(all(Stage::Staged), &NoFiles).await.unwrap_err();
    assert_eq!((error.kind(), said(&error, "restoring")), (ErrorKind::Cold, "4".to_owned()));
    pipeline.restore_cold(&all(Stage::Staged), restore, &|_| {}).await.unwrap();
    assert_eq!(freezer.restores(), 4, "what was asked for is not asked for again");
    assert_eq!(pipeline.replay(all(Stage::Staged), &NoFiles).await.unwrap().passed, 4);
    assert_eq!(world.rows("acme", "n1", &[]).await.len(), 4);
    pipeline.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cold_segments_from_before_the_wanted_time_stay_where_they_are() {
    for stage in Stage::ALL {
        for (cold, passed) in [(vec![0, 1], 2), (vec![0, 1, 2, 3], 0)] {
            let (world, freezer) = frozen(stage, &cold).await;
            let pipeline = start_cold(&world, &freezer).await;
            let later = TimeRange { from: 0, to: i64::MAX };
            assert_eq!(
                pipeline.replay(all(stage).with_time(later), &NoFiles).await.unwrap().passed,
                passed,
                "{stage} {cold:?}"
            );
            pipeline.stop().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_events_that_are_pointed_to_only_their_segments_and_the_next_ones_are_restored() {
    for stage in Stage::ALL {
        // The number of the event, the cold segments, and whether the replay has to wait for one.
        for (event, cold, waits) in [
            (3, vec![0, 1, 2], false),
            (0, vec![2, 3], false),
            (1, vec![0, 3], false),
            (1, vec![1], true),
            (1, vec![2], true),
        ] {
            let (world, freezer) = frozen(stage, &cold).await;
            let pipeline = start_cold(&world, &freezer).await;
            let name = segments(&world, stage).await.remove(event).name;
            let pointer = format!("{stage}/{}/{}", name.shard, name.first);
            let request = all(stage).with_pointers(Some([pointer].into()));
            let passed = pipeline.replay(request, &NoFiles).await.map(|report| report.passed);
            let expected = if waits { Err(ErrorKind::Cold) } else { Ok(1) };
            assert_eq!(passed.map_err(|error| error.kind()), expected, "{stage} {event} {cold:?}");
            pipeline.stop().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_behind_a_cold_segment_that_stays_is_still_missed() {
    for stage in Stage::ALL {
        let (world, freezer) = frozen(stage, &[0, 1]).await;
        let infos = segments(&world, stage).await;
        world.archive.remove(&infos[2].name).await.into_result().unwrap();
        let pipeline = start_cold(&world, &freezer).await;
        let later = TimeRange { from: 0, to: i64::MAX };
        let error = pipeline.replay(all(stage).with_time(later), &NoFiles).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!([said(&error, "after"), said(&error, "last")], [1, 2].map(|at| infos[at].name.last.to_string()));
        assert_eq!(world.rows("acme", "n1", &[]).await.len(), 1, "{stage}");
        pipeline.stop().await.unwrap();
    }
}

/// An archive whose restored copies went after a replay had begun.
#[derive(Debug)]
struct Faded(MemoryArchive);

#[async_trait]
impl Archive for Faded {
    fn capabilities(&self) -> ArchiveCapabilities {
        self.0.capabilities()
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        self.0.write(name, bytes).await
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        self.0.segments(query)
    }

    async fn read(&self, _name: &SegmentName, _range: Option<(u64, u64)>) -> Result<Bytes> {
        Err(Error::new(ErrorKind::Cold, "the copy went"))
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        self.0.remove(name).await
    }
}

impl std::fmt::Display for Faded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "faded {}", self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_is_cold_again_ends_the_replay_and_is_not_passed_over() {
    for stage in Stage::ALL {
        let world = World { nearline: MemoryNearline::new(), ..four().await };
        let pipeline = start(&world, Faded(world.archive.clone())).await;
        let error = pipeline.replay(all(stage), &NoFiles).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Cold, "the copy went"));
        pipeline.stop().await.unwrap();
    }
}
