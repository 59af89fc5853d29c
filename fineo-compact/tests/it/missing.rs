//! Segments that somebody took out of the archive, or damaged: compaction stops before them, and nothing is lost by that.

use std::collections::BTreeMap;

use fineo_backend_memory::{MemoryArchive, MemoryStream};
use fineo_compact::Compactor;
use fineo_core::{
    Archive as _, ErrorKind,
    archive::{SegmentKind, SegmentQuery, Stage},
};
use futures::TryStreamExt as _;

use crate::support::{World, acme, at_once, metric, send_to};

// D8
#[tokio::test(start_paused = true)]
async fn compaction_stops_before_what_is_missing_and_goes_on_once_it_is_back() {
    let world = World::new();
    for number in 0..3 {
        world.send(&acme(), &format!(r#"{{"metrictype":"m","timestamp":{number},"v":{number}}}"#)).await;
    }
    let poorer = World { archive: MemoryArchive::new(), ..world.clone() };
    let query = SegmentQuery::new(Stage::Staged, SegmentKind::Received);
    let segments: Vec<_> = world.archive.segments(query).try_collect().await.unwrap();
    assert_eq!(segments.len(), 3);
    for (place, info) in segments.iter().enumerate() {
        if place != 1 {
            let bytes = world.archive.read(&info.name, None).await.unwrap();
            poorer.archive.write(&info.name, bytes).await.into_result().unwrap();
        }
    }
    for _ in 0..2 {
        let error = Compactor::new(poorer.parts(), at_once()).run(&|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let last = segments[1].name.last.to_string();
        assert!(error.context().iter().any(|(name, text)| *name == "last" && *text == last), "{error}");
        assert_eq!(poorer.in_files(&acme(), &metric(1)).await.len(), 1);
        assert_eq!(poorer.answer(&acme(), &metric(1)).await.len(), 3);
    }
    world.compact(at_once()).await;
    assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), 3);
    assert_eq!(world.answer(&acme(), &metric(1)).await.len(), 3);
}

// D8, T8
#[tokio::test(start_paused = true)]
async fn a_damaged_segment_stops_its_own_shard_alone_and_what_it_has_is_compacted_once_it_is_whole() {
    let world = World::new();
    let world = World { raw: MemoryStream::new("raw", 4), staged: MemoryStream::new("staged", 4), ..world };
    for round in 0..3 {
        let line = |number| format!(r#"{{"metrictype":"m","timestamp":{},"v":{number}}}"#, round * 100 + number);
        send_to(world.pipeline_parts(), &acme(), &(0..40).map(line).collect::<Vec<_>>().join("\n")).await;
    }
    let query = SegmentQuery::new(Stage::Staged, SegmentKind::Received);
    let segments: Vec<_> = world.archive.segments(query).try_collect().await.unwrap();
    let mut of_shards: BTreeMap<_, usize> = BTreeMap::new();
    segments.iter().for_each(|info| *of_shards.entry(info.name.shard.clone()).or_default() += 1);
    let shard = of_shards.iter().find(|(_, segments)| **segments > 1).map(|(shard, _)| shard.clone()).unwrap();
    assert!(of_shards.len() > 1, "{of_shards:?}");
    let damaged = segments.iter().filter(|info| info.name.shard == shard).nth(1).unwrap().name.clone();
    let broken = World { archive: MemoryArchive::new(), ..world.clone() };
    for info in &segments {
        let mut bytes = world.archive.read(&info.name, None).await.unwrap().to_vec();
        if info.name == damaged {
            bytes[..64].fill(0xff);
        }
        broken.archive.write(&info.name, bytes.into()).await.into_result().unwrap();
    }
    let mut in_files = 0;
    for _ in 0..2 {
        let error = Compactor::new(broken.parts(), at_once()).run(&|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(&damaged.path()), "{error}");
        in_files = broken.in_files(&acme(), &metric(1)).await.len();
        let cover = &broken.snapshot(&acme(), &metric(1)).await.cover;
        assert!(!cover.contains(&shard, damaged.first), "{cover:?}");
        assert!(
            of_shards.keys().filter(|other| **other != shard).all(|other| cover.last(other).is_some()),
            "{cover:?}"
        );
    }
    assert!(in_files > 40 && in_files < 120, "{in_files}");
    world.compact(at_once()).await;
    assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), 120);
}
