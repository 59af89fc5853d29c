//! A fresh generation out of the archive takes the place of the former at once, or not at all.

use std::{num::NonZeroU32, sync::Arc};

use fineo_compact::{CompactOptions, Compactor, Fresh};
use fineo_conformance::fault::{CancelAt, Fault, FaultPlan, Faults, FaultyObjects, Operation, When};
use fineo_core::{
    Archive as _, Clock as _, ErrorKind,
    archive::{SegmentKind, SegmentQuery, Stage},
};
use fineo_schema::{Change, RetainDays};
use fineo_table::{Objects, Tables};
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt;

use crate::{
    expired::{DAY, world},
    support::{World, acme, at_once, metric},
};

fn body(from: usize) -> String {
    let line = |number: usize| {
        let (name, day) = (number % 2, number % 3 * 86_400_000);
        format!(r#"{{"metrictype":"m{name}","timestamp":{day},"v":"{number}.0","w":"x"}}"#)
    };
    (from..from + 12).map(line).collect::<Vec<_>>().join("\n")
}

async fn furnished() -> World {
    let world = World::new();
    world.send(&acme(), &body(0)).await;
    world.compact(at_once()).await;
    world.send(&acme(), &body(6)).await;
    world.compact(CompactOptions::default()).await;
    world
}

fn fresh() -> CompactOptions {
    CompactOptions::default().with_fresh(Fresh::All).with_is_alone(true)
}

// R1
#[tokio::test(start_paused = true)]
async fn a_table_that_is_made_anew_has_the_same_rows_in_one_more_generation() {
    let world = furnished().await;
    let before = (world.answer(&acme(), &metric(1)).await, world.answer(&acme(), &metric(2)).await);
    let only = CompactOptions::default().with_fresh(Fresh::Metrics(vec![metric(1)]));
    let report = world.compact(only).await;
    assert_eq!(report.tenants[0].metrics.len(), 1, "{report:?}");
    let generations = async || {
        let (one, other) = (world.snapshot(&acme(), &metric(1)).await, world.snapshot(&acme(), &metric(2)).await);
        (one.generation, other.generation)
    };
    assert_eq!(generations().await, (1, 0));
    world.compact(fresh()).await;
    assert_eq!(generations().await, (2, 1));
    // Of one archive and one schema the same bytes come, under other names.
    let files = |world: &World| {
        let world = world.clone();
        async move {
            let live = world.snapshot(&acme(), &metric(1)).await.files.clone();
            let all = world.parquet().await;
            let mut bytes: Vec<_> = live.iter().map(|file| all[&format!("acme/n1/{}", file.path)].clone()).collect();
            bytes.sort();
            bytes
        }
    };
    let former = files(&world).await;
    world.compact(fresh()).await;
    assert_eq!(files(&world).await, former);
    assert_eq!((world.answer(&acme(), &metric(1)).await, world.answer(&acme(), &metric(2)).await), before);
}

// D7, D8
#[tokio::test(start_paused = true)]
async fn damaged_and_missing_files_come_back_out_of_the_archive() {
    let world = furnished().await;
    let before = world.answer(&acme(), &metric(1)).await;
    let snapshot = world.snapshot(&acme(), &metric(1)).await;
    let tables = world.parts().tables;
    for (number, file) in snapshot.files.iter().enumerate() {
        let at = tables.object_path(&acme(), &metric(1), &file.path);
        match number % 2 {
            0 => world.objects.delete(&at).await.unwrap(),
            _ => drop(world.objects.put(&at, vec![0; 10].into()).await.unwrap()),
        }
    }
    world.compact(fresh()).await;
    assert_eq!(world.answer(&acme(), &metric(1)).await, before);
}

// R4, D8: what comes before the gap is more than the table has, for rows aged off, and yet it is not all of it.
#[tokio::test(start_paused = true)]
async fn a_table_is_not_made_anew_out_of_an_archive_that_lacks_what_its_files_have() {
    let (world, clock) = world();
    let days = |from: i64, to: i64| {
        let line = |day| format!(r#"{{"metrictype":"m","timestamp":{},"v":{day}}}"#, day * 86_400_000);
        (from..to).map(line).collect::<Vec<_>>().join("\n")
    };
    let today = clock.now().micros() / 86_400_000_000;
    world.send(&acme(), &days(today - 40, today - 30)).await;
    world.compact(at_once()).await;
    let retain = RetainDays::Days(NonZeroU32::new(20).unwrap());
    world.change(&acme(), vec![Change::SetRetainDays { metric: None, days: Some(retain) }]).await;
    for from in [today - 3, today - 1] {
        world.send(&acme(), &days(from, from + 2)).await;
        clock.pass(DAY / 2);
        world.compact(at_once()).await;
    }
    let before = world.answer(&acme(), &metric(1)).await;
    assert_eq!((before.len(), world.in_files(&acme(), &metric(1)).await.len()), (4, 4));
    let query = SegmentQuery::new(Stage::Staged, SegmentKind::Received);
    let segments: Vec<_> = world.archive.segments(query).try_collect().await.unwrap();
    world.archive.remove(&segments[2].name).await.into_result().unwrap();
    for _ in 0..2 {
        // The error of the tenant's table comes first, then that of the archive.
        let error = Compactor::new(world.parts(), fresh()).run(&|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(world.answer(&acme(), &metric(1)).await, before);
        assert_eq!(world.snapshot(&acme(), &metric(1)).await.generation, 0);
    }
}

// U1
#[tokio::test(start_paused = true)]
async fn rows_that_aged_off_are_not_back_when_a_table_was_made_anew() {
    let (world, clock) = world();
    let today = clock.now().micros() / 86_400_000_000;
    let line = |day: i64| format!(r#"{{"metrictype":"m","timestamp":{},"v":{day}}}"#, day * 86_400_000);
    world.send(&acme(), &format!("{}\n{}", line(today - 40), line(today))).await;
    let retain = RetainDays::Days(NonZeroU32::new(20).unwrap());
    world.change(&acme(), vec![Change::SetRetainDays { metric: None, days: Some(retain) }]).await;
    world.compact(at_once()).await;
    let before = world.answer(&acme(), &metric(1)).await;
    assert_eq!(before.len(), 1);

    clock.pass(DAY / 288);
    let report = world.compact(fresh()).await;
    assert_eq!((report.tenants[0].metrics[0].rows_out, report.tenants[0].aged_rows), (2, 1), "{report:?}");
    assert_eq!(world.answer(&acme(), &metric(1)).await, before);
}

/// Makes the table anew, and stops when that was polled so often; whether it was done by then.
async fn interrupted(polls: u64) -> bool {
    let world = World::new();
    world.send(&acme(), r#"{"metrictype":"m0","timestamp":1,"v":1}"#).await;
    world.compact(CompactOptions::default()).await;
    let before = world.answer(&acme(), &metric(1)).await;
    // Every call of the object store waits, so that there is a poll before its effect.
    let plan = FaultPlan::new(1);
    let plan =
        Operation::OBJECTS.into_iter().fold(plan, |plan, call| plan.with_rule(call, When::Always, Fault::Late(1)));
    let faults = Faults::new(plan);
    let mut parts = world.parts();
    let store = Arc::new(FaultyObjects::new(Arc::clone(&world.objects), &faults));
    let objects = Objects { store, ..parts.tables.objects().clone() };
    parts.tables = Tables::new(objects, Arc::clone(&parts.repo), Arc::clone(&parts.clock), Arc::clone(&parts.entropy));
    let compactor = Compactor::new(parts, fresh());
    let ended = CancelAt::new(async { compactor.run(&|_| {}).await.unwrap() }, polls).await;
    let after = world.snapshot(&acme(), &metric(1)).await;
    let is_whole = after.generation == 1 || (after.generation == 0 && ended.is_none());
    assert!(is_whole, "{polls} polls");
    assert_eq!(world.answer(&acme(), &metric(1)).await, before, "{polls} polls, generation {}", after.generation);
    ended.is_some()
}

// R4, N10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_at_any_moment_leaves_a_whole_generation() {
    let mut polls = 0;
    while !interrupted(polls).await {
        polls += if polls < 24 { 1 } else { 4 };
    }
    println!("stopped after up to {polls} polls");
    assert!(polls > 10, "{polls}");
}
