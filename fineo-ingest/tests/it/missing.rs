//! Segments that somebody took out of the archive are missed by a replay (D8).

use fineo_backend_memory::MemoryArchive;
use fineo_core::{
    Archive as _, ErrorKind, TimeRange,
    archive::{SegmentInfo, SegmentKind, SegmentQuery, Stage},
};
use fineo_ingest::{NoFiles, Pipeline, ReplayRequest, SegmentReader};
use futures::TryStreamExt as _;

use crate::support::{SOON, World, tenant};

/// Four events, each in a segment of its own, that arrived in this order.
pub(crate) async fn four() -> World {
    let world = World::new();
    for number in 1..=4 {
        let pipeline = world.start().await;
        let event = format!(r#"{{"metrictype":"m","timestamp":{number}}}"#);
        let receipt = pipeline.edge().ingest(&tenant("acme"), event.into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
        pipeline.stop().await.unwrap();
    }
    world
}

pub(crate) async fn segments(world: &World, stage: Stage) -> Vec<SegmentInfo> {
    let query = SegmentQuery::new(stage, SegmentKind::Received);
    world.archive.segments(query).try_collect().await.unwrap()
}

/// As `world`, with an archive of all stages' segments but those that `is_gone` names among the stage's, and no rows.
async fn without(world: &World, stage: Stage, is_gone: &[usize]) -> World {
    let archive = MemoryArchive::new();
    for of in Stage::ALL {
        for (place, info) in segments(world, of).await.into_iter().enumerate() {
            if of != stage || !is_gone.contains(&place) {
                let bytes = world.archive.read(&info.name, None).await.unwrap();
                archive.write(&info.name, bytes).await.into_result().unwrap();
            }
        }
    }
    World { archive, nearline: fineo_backend_memory::MemoryNearline::new(), ..world.clone() }
}

async fn replay(pipeline: &Pipeline, stage: Stage, time: TimeRange) -> fineo_core::Result<u64> {
    let request = ReplayRequest::new(stage, tenant("acme")).with_time(time);
    Ok(pipeline.replay(request, &NoFiles).await?.passed)
}

// D8, S22
#[tokio::test(start_paused = true)]
async fn a_replay_passes_on_what_is_there_and_names_what_is_missing() {
    for stage in Stage::ALL {
        for is_gone in [vec![0], vec![1], vec![1, 2], vec![3], vec![0, 1, 2, 3], vec![0, 2]] {
            let world = four().await;
            let names: Vec<_> = segments(&world, stage).await.into_iter().map(|info| info.name).collect();
            assert_eq!(names.len(), 4, "{stage}");
            let poorer = without(&world, stage, &is_gone).await;
            let pipeline = poorer.start().await;
            let error = replay(&pipeline, stage, TimeRange::ALL).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{is_gone:?}: {error}");
            let context: Vec<_> = error.context().iter().map(|(name, text)| (*name, text.as_str())).collect();
            let after = match is_gone[0] {
                0 => "the beginning".to_owned(),
                place => names[place - 1].last.to_string(),
            };
            let consecutive = is_gone.iter().enumerate().take_while(|(step, place)| **place == is_gone[0] + step);
            let last = names[is_gone[0] + consecutive.count() - 1].last.to_string();
            assert!(context.contains(&("shard", names[0].shard.as_str())), "{is_gone:?}: {error}");
            assert!(context.contains(&("after", &after)) && context.contains(&("last", &last)), "{is_gone:?}: {error}");
            assert_eq!(context.iter().any(|(name, _)| *name == "gaps"), is_gone == [0, 2], "{is_gone:?}: {error}");
            assert_eq!(poorer.rows("acme", "n1", &[]).await.len(), 4 - is_gone.len(), "{stage} {is_gone:?}");
            pipeline.stop().await.unwrap();
        }
        let whole = without(&four().await, stage, &[]).await;
        let pipeline = whole.start().await;
        assert_eq!(replay(&pipeline, stage, TimeRange::ALL).await.unwrap(), 4, "{stage}");
        pipeline.stop().await.unwrap();
    }
}

// D8
#[tokio::test]
async fn what_is_missing_matters_only_where_it_may_be_of_the_time_asked_for() {
    let world = four().await;
    let mut arrived = Vec::new();
    for info in segments(&world, Stage::Raw).await {
        let reader = SegmentReader::open(&world.archive, &info).await.unwrap();
        let read = reader.read(&world.archive, &tenant("acme"), TimeRange::ALL).await.unwrap();
        arrived.push(read[0].arrived_at.micros());
    }
    assert!(arrived.is_sorted_by(|one, other| one < other), "{arrived:?}");
    let poorer = without(&world, Stage::Raw, &[1]).await;
    let pipeline = poorer.start().await;
    let last_two = TimeRange { from: arrived[2] + 1, to: i64::MAX };
    assert_eq!(replay(&pipeline, Stage::Raw, last_two).await.unwrap(), 1);
    assert_eq!(replay(&pipeline, Stage::Raw, TimeRange { from: 0, to: arrived[0] }).await.unwrap(), 0);
    assert!(replay(&pipeline, Stage::Raw, TimeRange { from: arrived[1], to: arrived[1] + 1 }).await.is_err());
    pipeline.stop().await.unwrap();
}
