//! An archive that lists late: a replay passes on what is listed, and says that the rest is on its way.

use std::{collections::HashSet, sync::Arc, time::Duration};

use fineo_backend_memory::MemoryNearline;
use fineo_conformance::fault::LateArchive;
use fineo_core::{
    ErrorKind, Result, TimeRange,
    archive::{SegmentKind, SegmentName, Stage},
};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, PipelineParts, ReplayRequest};

use crate::support::{SOON, World, tenant};

/// Four events, each in a segment of its own, all of them on their way `within` this time; and no rows.
async fn four(within: Duration) -> (World, Arc<LateArchive>) {
    let world = World::new();
    let archive = Arc::new(LateArchive::new(Arc::new(world.archive.clone()), within));
    for number in 1..=4 {
        let pipeline = start(&world, &archive).await;
        let event = format!(r#"{{"metrictype":"m","timestamp":{number}}}"#);
        let receipt = pipeline.edge().ingest(&tenant("acme"), event.into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
        pipeline.stop().await.unwrap();
    }
    (World { nearline: MemoryNearline::new(), ..world }, archive)
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

// D8
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_matters_only_where_it_may_be_of_what_was_asked_for() {
    let (world, archive) = four(SOON * 100).await;
    let names = received(&archive, Stage::Raw);
    for name in &names[..2] {
        archive.deliver(name).await.unwrap();
    }
    let pipeline = start(&world, &archive).await;
    let until = |name: &SegmentName| TimeRange { from: 0, to: name.time.micros() };
    assert_eq!(replay(&pipeline, Stage::Raw, until(&names[1])).await.unwrap(), 1);
    assert_eq!(replay(&pipeline, Stage::Raw, until(&names[3])).await.unwrap_err().kind(), ErrorKind::Unavailable);
    for (place, is_listed) in [(0, true), (1, true), (2, false), (3, false)] {
        let name = &names[place];
        let pointer = HashSet::from([format!("raw/{}/{}", name.shard, name.first)]);
        let request = ReplayRequest::new(Stage::Raw, tenant("acme")).with_pointers(Some(pointer));
        let passed = pipeline.replay(request, &NoFiles).await.map(|report| report.passed).map_err(|error| error.kind());
        assert_eq!(passed, if is_listed { Ok(1) } else { Err(ErrorKind::Unavailable) }, "{place}");
    }
    pipeline.stop().await.unwrap();
}
