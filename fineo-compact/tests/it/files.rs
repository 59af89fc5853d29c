//! Files: the same bytes again, whoever writes them and however little memory he has.

use fineo_compact::{CompactOptions, Selection};
use fineo_core::{NearlineStore, TenantId};

use crate::support::{World, acme, at_once, metric};

fn body(events: usize) -> String {
    let line = |number: usize| {
        let (device, hour) = (number % 7, number % 48);
        format!(
            r#"{{"metrictype":"m","timestamp":{},"device":"dev-{device}","temp":{}.25,"x{}":"a"}}"#,
            hour * 3_600_000 + number,
            number % 90,
            number % 150
        )
    };
    (0..events).map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_makes_the_same_bytes_with_other_threads_and_cuts() {
    // R1
    let world = World::new();
    let body = body(900);
    let lines: Vec<&str> = body.lines().collect();
    for part in lines.chunks(250) {
        world.send(&acme(), &part.join("\n")).await;
    }
    world.compact(CompactOptions::default()).await;
    let first = world.parquet().await;
    assert_eq!(first.len(), 2, "one file for each day");
    let second = world.with_fresh_tables();
    second.forget_progress().await;
    second.compact(CompactOptions::default().with_jobs(5)).await;
    assert!(first == second.parquet().await, "{:?}", second.parquet().await.keys());
}

#[tokio::test(start_paused = true)]
async fn the_report_counts_what_was_done_and_names_what_is_new() {
    let world = World::new();
    world.send(&acme(), &body(300)).await;
    world.send(&acme(), &body(10)).await;
    let report = world.compact(CompactOptions::default()).await;
    let of_metric = &report.tenants[0].metrics[0];
    assert_eq!((of_metric.rows_in, of_metric.rows_out, of_metric.duplicates), (310, 300, 10));
    assert_eq!((of_metric.files_added, of_metric.files_removed), (2, 0));
    assert!(of_metric.bytes_in > 0 && of_metric.bytes_out > 0);
    let device = &of_metric.new_names[0];
    assert_eq!((&*device.name, &*device.value_type, device.records), ("device", "string", 310));
    assert!(serde_json::to_string(&report).unwrap().contains("\"type\":\"double\""));
    // What was met once is no news; a run without new records does nothing.
    assert!(world.compact(CompactOptions::default()).await.is_idle());
    world.send(&acme(), r#"{"metrictype":"m","timestamp":1,"device":"d","brand_new":1}"#).await;
    let again = world.compact(CompactOptions::default()).await;
    let names: Vec<&str> = again.tenants[0].metrics[0].new_names.iter().map(|name| &*name.name).collect();
    assert_eq!(names, ["brand_new"]);
}

#[tokio::test(start_paused = true)]
async fn small_files_of_a_day_become_one() {
    let world = World::new();
    for number in 0..9 {
        world.send(&acme(), &format!(r#"{{"metrictype":"m","timestamp":{number},"v":{number}}}"#)).await;
        world.compact(at_once().with_small_files_max(3)).await;
        let files = world.snapshot(&acme(), &metric(1)).await.files.len();
        assert!((1..=3).contains(&files), "{files} files");
    }
    assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn rows_leave_the_nearline_store_after_the_floor_was_raised() {
    let world = World::new();
    world.send(&acme(), &body(20)).await;
    world.compact(at_once()).await;
    // What is committed at the very moment may leave with the next run at the latest.
    world.compact(at_once()).await;
    assert!(world.nearline(&acme(), &metric(1)).await.is_empty());
    let tables = world.parts().tables;
    let floor = tables.floor(&acme(), &metric(1)).await.unwrap();
    assert!(!floor.is_empty() && world.snapshot(&acme(), &metric(1)).await.cover.includes(&floor));
    assert_eq!(world.answer(&acme(), &metric(1)).await.len(), 20);
    // Kept rows stay.
    let kept = World::new();
    kept.send(&acme(), &body(20)).await;
    kept.compact(CompactOptions::default()).await;
    kept.compact(CompactOptions::default()).await;
    assert_eq!(kept.nearline(&acme(), &metric(1)).await.len(), 20);
    assert!(!kept.nearline.metrics(&acme()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn tenants_are_compacted_apart() {
    // T1
    let world = World::new();
    let beta = TenantId::new("beta").unwrap();
    world.send(&acme(), &body(10)).await;
    world.send(&beta, &body(5)).await;
    let one = world.compact(CompactOptions::default().with_selection(Selection::Tenant(beta.clone()))).await;
    assert_eq!(one.tenants.iter().map(|tenant| &*tenant.tenant).collect::<Vec<_>>(), ["beta"]);
    assert!(world.in_files(&acme(), &metric(1)).await.is_empty());
    let all = world.compact(CompactOptions::default()).await;
    assert_eq!(all.tenants.iter().map(|tenant| &*tenant.tenant).collect::<Vec<_>>(), ["acme"]);
    assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), 10);
    assert_eq!(world.in_files(&beta, &metric(1)).await.len(), 5);
}
