//! Files: the same bytes again, whoever writes them and however little memory he has.

use std::collections::BTreeSet;

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

/// Many runs, each with a few rows of one day, and some late ones of the day before; answers how often a row was written, and how many
/// files of the day there were at most.
async fn many_runs(options: CompactOptions, runs: usize) -> (u64, usize) {
    const ROWS: usize = 30;
    let world = World::new();
    let (mut written, mut most, mut sent) = (0, 0, 0);
    for run in 0..runs {
        let line = |number: usize| {
            let millis = 86_400_000 + run * 300_000 + number * 10_000;
            format!(r#"{{"metrictype":"m","timestamp":{millis},"device":"dev-{}","v":{number}}}"#, number % 5)
        };
        let mut lines: Vec<String> = (0..ROWS).map(line).collect();
        lines.push(format!(r#"{{"metrictype":"m","timestamp":{},"device":"late","v":{run}}}"#, run * 1000));
        sent += lines.len();
        world.send(&acme(), &lines.join("\n")).await;
        let report = world.compact(options.clone()).await;
        written += report.total(|metric| metric.rows_out);
        let files = &world.snapshot(&acme(), &metric(1)).await.files;
        most = most.max(files.iter().filter(|file| file.day == 1 && !file.is_part).count());
    }
    assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), sent);
    let ids: BTreeSet<u128> = world.in_files(&acme(), &metric(1)).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), sent);
    (written / sent as u64, most)
}

#[tokio::test(start_paused = true)]
async fn a_row_is_seldom_written_anew_however_many_runs_a_day_has_and_files_are_few() {
    let (times, files) = many_runs(CompactOptions::default(), 144).await;
    assert!(times <= 8 && files <= 8, "each row was written {times} times, {files} files");
}

#[tokio::test(start_paused = true)]
async fn parts_of_what_is_too_much_for_one_file_are_not_written_anew() {
    // A file has 50 kB of entries.
    let (times, files) = many_runs(CompactOptions::default().with_memory_bytes(200_000), 96).await;
    assert!(times <= 6 && files <= 6, "each row was written {times} times, {files} files");
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
