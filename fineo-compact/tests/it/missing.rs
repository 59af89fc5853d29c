//! Segments that somebody took out of the archive: compaction stops before them, and nothing is lost by that.

use fineo_backend_memory::MemoryArchive;
use fineo_compact::Compactor;
use fineo_core::{
    Archive as _, ErrorKind,
    archive::{SegmentKind, SegmentQuery, Stage},
};
use futures::TryStreamExt as _;

use crate::support::{World, acme, at_once, metric};

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
