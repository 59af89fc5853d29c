//! Compaction is stopped at each of its await points: whatever was done, the next run makes it whole.

use std::sync::Arc;

use fineo_compact::{Compactor, CompactorParts};
use fineo_conformance::{
    fault::{CrashPoints, Faults, FaultyArchive, FaultyNearline, FaultyRepo},
    sweep, sweep_cancel,
};
use fineo_core::Result;
use fineo_schema::SchemaStore;

use crate::support::{World, acme, at_once, metric};

/// `parts` behind faults.
pub(crate) fn faulty(mut parts: CompactorParts, faults: &Faults) -> CompactorParts {
    parts.archive = Arc::new(FaultyArchive::new(parts.archive, faults));
    parts.nearline = Arc::new(FaultyNearline::new(parts.nearline, faults));
    parts.repo = Arc::new(FaultyRepo::new(parts.repo, faults));
    parts.schemas = SchemaStore::new(Arc::clone(&parts.repo), Arc::clone(&parts.clock));
    parts
}

fn body(from: usize) -> String {
    let line = |number: usize| {
        format!(r#"{{"metrictype":"m{}","timestamp":{},"v":{number}}}"#, number % 2, number % 3 * 86_400_000)
    };
    (from..from + 12).map(line).collect::<Vec<_>>().join("\n")
}

async fn interrupted(points: CrashPoints) -> Result<()> {
    let world = World::new();
    world.send(&acme(), &body(0)).await;
    world.compact(at_once()).await;
    world.send(&acme(), &body(6)).await;
    let faults = Faults::none().with_points(points.clone());
    let options = at_once().with_is_alone(true).with_small_files_max(1);
    let compactor = Compactor::new(faulty(world.parts(), &faults), options.clone());
    let ended = points.run(compactor.run(&|_| {})).await;
    if ended.is_some() {
        ended.transpose()?;
    }
    for metric in [metric(1), metric(2)] {
        assert_eq!(world.answer(&acme(), &metric).await.len(), 9, "before the next run");
    }
    world.compact(options.clone()).await;
    world.compact(options).await;
    for metric in [metric(1), metric(2)] {
        assert_eq!(world.answer(&acme(), &metric).await.len(), 9);
        assert_eq!(world.in_files(&acme(), &metric).await.len(), 9);
        assert!(world.nearline(&acme(), &metric).await.is_empty());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_point_loses_and_doubles_nothing() {
    // U1, N3, N12
    let swept = sweep(interrupted).await.unwrap();
    println!("crash: {swept}");
    assert!(swept.interrupted > 30, "{swept}");
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_at_any_await_point_loses_and_doubles_nothing() {
    // N10
    let swept = sweep_cancel(interrupted).await.unwrap();
    println!("cancel: {swept}");
    assert!(swept.interrupted > 30, "{swept}");
}
