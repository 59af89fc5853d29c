//! Segments in a cold storage class: compaction stops before them, nothing is lost by that, and the old ones go all the same.

use std::sync::Arc;

use fineo_compact::{CompactOptions, CompactReport, Compactor, CompactorParts, Fresh};
use fineo_conformance::fault::{ColdArchive, Freezer};
use fineo_core::{
    Archive as _, ErrorKind, Result,
    archive::{Restore, SegmentInfo, SegmentKind, SegmentQuery, Stage},
};
use futures::TryStreamExt as _;

use crate::{
    expired::{DAY, keeping, segments, send, values, world},
    support::{World, acme, at_once, metric},
};

async fn compact(world: &World, freezer: &Freezer, options: CompactOptions) -> Result<CompactReport> {
    let archive = Arc::new(ColdArchive::new(Arc::new(world.archive.clone()), freezer));
    Compactor::new(CompactorParts { archive, ..world.parts() }, options).run(&|_| {}).await
}

async fn received(world: &World, stage: Stage) -> Vec<SegmentInfo> {
    let query = SegmentQuery::new(stage, SegmentKind::Received);
    world.archive.segments(query).try_collect().await.unwrap()
}

// D8
#[tokio::test(start_paused = true)]
async fn compaction_stops_with_an_error_of_its_own_and_goes_on_once_the_segment_is_back() {
    let (world, _) = world();
    for value in ["1", "2", "3"] {
        send(&world, value).await;
    }
    let freezer = Freezer::new(1);
    let cold = received(&world, Stage::Staged).await.remove(1).name;
    freezer.freeze(&cold, world.clock.now());
    for options in [at_once(), at_once().with_fresh(Fresh::All)] {
        let error = compact(&world, &freezer, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cold, "{error}");
        assert!(error.to_string().contains(&cold.path()), "{error}");
        assert!(world.in_files(&acme(), &metric(1)).await.is_empty());
        assert_eq!(values(&world).await, ["1", "2", "3"]);
    }
    let archive = ColdArchive::new(Arc::new(world.archive.clone()), &freezer);
    for _ in 0..3 {
        archive.availability(&cold, Some(Restore::for_days(1).unwrap())).await.unwrap();
    }
    assert!(compact(&world, &freezer, at_once()).await.unwrap().failed.is_empty());
    assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), 3);
    assert_eq!(values(&world).await, ["1", "2", "3"]);
}

// U4, D8
#[tokio::test(start_paused = true)]
async fn what_is_old_enough_to_go_goes_without_a_restore_by_when_it_was_written() {
    let (world, clock) = world();
    let freezer = Freezer::new(1);
    for value in ["1", "2", "3"] {
        send(&world, value).await;
        clock.pass(DAY * 20);
    }
    compact(&world, &freezer, at_once()).await.unwrap();
    // The first two are cold, and the second was written late.
    for stage in Stage::ALL {
        let there = received(&world, stage).await;
        for (info, written_at) in there.iter().zip([there[0].name.time, there[2].name.time]) {
            freezer.freeze(&info.name, written_at);
        }
    }
    assert_eq!(compact(&world, &freezer, keeping(30)).await.unwrap().expired_segments, 2);
    assert_eq!(segments(&world).await, [2, 2]);
    clock.pass(DAY * 20);
    assert_eq!(compact(&world, &freezer, keeping(30)).await.unwrap().expired_segments, 4);
    assert_eq!((segments(&world).await, freezer.restores()), ([0, 0], 0));
    assert_eq!(values(&world).await, ["1", "2", "3"]);
}
