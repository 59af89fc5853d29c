//! Tables are kept small: rows age off, deleted values and files that nobody can read go.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use fineo_compact::CompactOptions;
use fineo_core::{
    Cover, MetricId, SchemaRepo,
    repo::{Keep, Subject},
};
use fineo_schema::{Change, RetainDays};
use futures::TryStreamExt;
use object_store::ObjectStore;

use crate::support::{World, acme, at_once, metric};

const DAY: i64 = 86_400_000;

/// Milliseconds of the day that lies `days` back.
fn days_ago(world: &World, days: i64) -> i64 {
    world.clock.now().micros() / 1000 - days * DAY
}

async fn send_days(world: &World, name: &str, days: &[i64]) {
    let line = |day: &i64| format!(r#"{{"metrictype":"{name}","timestamp":{},"v":{day}}}"#, days_ago(world, *day));
    world.send(&acme(), &days.iter().map(line).collect::<Vec<_>>().join("\n")).await;
}

fn retain(metric: Option<&str>, days: u32) -> Change {
    let days = NonZeroU32::new(days).map_or(RetainDays::Forever, RetainDays::Days);
    Change::SetRetainDays { metric: metric.map(str::to_owned), days: Some(days) }
}

async fn values(world: &World, id: &MetricId) -> Vec<String> {
    let mut values: Vec<String> = world.answer(&acme(), id).await.iter().map(|row| row["v"].clone()).collect();
    values.sort();
    values
}

/// How many objects of each kind there are.
async fn objects(world: &World) -> BTreeMap<String, usize> {
    let listed: Vec<_> = world.objects.list(None).try_collect().await.unwrap();
    let mut counts = BTreeMap::new();
    for meta in listed {
        let kind = meta.location.parts().nth(2).map(|part| part.as_ref().split('=').next().unwrap().to_owned());
        let nested = meta.location.parts().nth(3).map(|part| part.as_ref().to_owned());
        let kind = match (kind.as_deref(), nested) {
            (Some("_fineo"), Some(nested)) => nested,
            (kind, _) => kind.unwrap_or_default().to_owned(),
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn days_that_are_too_old_go_once_their_rows_are_in_files_alone() {
    // U1
    let world = World::new();
    send_days(&world, "m", &[0, 9, 10, 12, 300]).await;
    send_days(&world, "kept", &[300]).await;
    world.change(&acme(), vec![retain(None, 10), retain(Some("kept"), 0)]).await;
    // Compacted, but still nearline: nothing goes, whatever the clock says.
    let report = world.compact(CompactOptions::default()).await;
    assert_eq!(report.tenants[0].aged_rows, 0);
    assert_eq!(values(&world, &metric(1)).await, ["0", "10", "12", "300", "9"]);

    let report = world.compact(at_once()).await;
    assert_eq!((report.tenants[0].aged_rows, report.tenants[0].aged_files), (2, 2), "{report:?}");
    assert_eq!(values(&world, &metric(1)).await, ["0", "10", "9"]);
    assert_eq!(values(&world, &metric(2)).await, ["300"]);
    assert!(world.nearline(&acme(), &metric(1)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_old_event_that_comes_late_is_seen_until_it_was_compacted_and_aged_off() {
    // U5
    let world = World::new();
    world
        .change(&acme(), vec![Change::CreateMetric { name: "m".into(), aliases: Vec::new() }, retain(Some("m"), 10)])
        .await;
    send_days(&world, "m", &[1, 30]).await;
    world.compact(at_once()).await;
    assert_eq!(values(&world, &metric(1)).await, ["1"]);
    send_days(&world, "m", &[40]).await;
    assert_eq!(values(&world, &metric(1)).await, ["1", "40"]);
    world.compact(at_once()).await;
    assert_eq!(values(&world, &metric(1)).await, ["1"]);
    world.change(&acme(), vec![retain(Some("m"), 0)]).await;
    send_days(&world, "m", &[50]).await;
    world.compact(at_once()).await;
    assert_eq!(values(&world, &metric(1)).await, ["1", "50"], "the archive has the others");
}

#[tokio::test(start_paused = true)]
async fn files_that_were_replaced_are_deleted_when_no_query_can_need_them() {
    // U2
    let world = World::new();
    for round in 0..6 {
        send_days(&world, "m", &[round]).await;
        world.compact(at_once().with_small_files_max(1).with_pin_for(Duration::from_secs(3600))).await;
    }
    let kept = objects(&world).await;
    assert!(kept["cover"] >= 6, "a query may hold each: {kept:?}");
    send_days(&world, "m", &[0, 1, 2, 3, 4, 5]).await;
    let options = at_once().with_small_files_max(1);
    let report = world.compact(options.clone()).await;
    assert!(report.tenants[0].collected_bytes > 0, "{report:?}");
    // What collecting leaves goes the next time, and then nothing is left to be done.
    for _ in 0..3 {
        world.compact(options.clone()).await;
    }
    let snapshot = world.snapshot(&acme(), &metric(1)).await;
    let left = objects(&world).await;
    assert_eq!((left["day"], left["sums"], left["cover"]), (snapshot.files.len(), snapshot.files.len(), 1), "{left:?}");
    assert!(world.compact(options).await.is_idle());
    assert!(values(&world, &metric(1)).await.len() >= 6);
}

#[tokio::test(start_paused = true)]
async fn cells_of_a_deleted_field_are_collected_by_the_next_run() {
    // SC2, U1
    let world = World::new();
    let line = |number: i64| {
        format!(r#"{{"metrictype":"m","timestamp":{},"v":{number},"secret":"s{number}","rare":"r"}}"#, number * DAY)
    };
    world.send(&acme(), &(0..3).map(line).collect::<Vec<_>>().join("\n")).await;
    world.compact(at_once()).await;
    let files = |files: BTreeMap<String, bytes::Bytes>| {
        files.values().filter(|bytes| bytes.windows(6).any(|window| window == b"secret")).count()
    };
    assert_eq!(files(world.parquet().await), 3);
    let through = world.snapshot(&acme(), &metric(1)).await.cover.clone();
    world.change(&acme(), vec![Change::DeleteField { metric: "m".into(), field: "secret".into(), through }]).await;
    let report = world.compact(at_once()).await;
    assert_eq!(report.tenants[0].metrics[0].rows_rewritten, 3, "{report:?}");
    for _ in 0..2 {
        world.compact(at_once()).await;
    }
    assert_eq!(files(world.parquet().await), 0, "no byte of it is left");
    assert_eq!(values(&world, &metric(1)).await, ["0", "1", "2"]);
    assert!(world.compact(at_once()).await.is_idle());
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_deleted_metric_are_in_no_file_whenever_they_were_written() {
    let world = World::new();
    send_days(&world, "m", &[0]).await;
    world.compact(at_once()).await;
    send_days(&world, "m", &[1]).await;
    // As if both were written behind the deletion, by somebody who did not know of it yet.
    world.change(&acme(), vec![Change::DeleteMetric { metric: "m".to_owned(), through: Cover::default() }]).await;
    world.compact(at_once()).await;
    assert!(world.snapshot(&acme(), &metric(1)).await.files.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_metric_that_was_deleted_before_files_had_them_leave_the_nearline_store() {
    let world = World::new();
    send_days(&world, "m", &[0]).await;
    send_days(&world, "junk", &[1, 2]).await;
    world.change(&acme(), vec![Change::DeleteMetric { metric: "junk".to_owned(), through: Cover::default() }]).await;
    // Nothing leaves that queries or producers may need.
    world.compact(CompactOptions::default()).await;
    assert_eq!(world.nearline(&acme(), &metric(2)).await.len(), 2);
    for _ in 0..2 {
        world.compact(at_once()).await;
    }
    assert!(world.nearline(&acme(), &metric(2)).await.is_empty());
    assert_eq!(values(&world, &metric(1)).await, ["0"]);
    // And then nothing is left to be done for the tenant, whose lease is not even taken.
    let lease = Subject::tenant(&acme(), "lease/main/compaction", Keep::Latest).unwrap();
    let before = world.repo.latest(&lease).await.unwrap().map(|found| found.version);
    assert!(before.is_some() && world.compact(at_once()).await.is_idle());
    assert_eq!(world.repo.latest(&lease).await.unwrap().map(|found| found.version), before);
}
