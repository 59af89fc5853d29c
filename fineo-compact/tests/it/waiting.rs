//! Few new records of a tenant wait for more, and nobody misses them.

use std::time::Duration;

use fineo_compact::CompactOptions;
use fineo_core::TenantId;

use crate::support::{World, acme, metric};

fn beta() -> TenantId {
    TenantId::new("beta").unwrap()
}

async fn send(world: &World, tenant: &TenantId, numbers: std::ops::Range<u32>) {
    let line = |number: u32| format!(r#"{{"metrictype":"m","timestamp":{number},"v":{number}}}"#);
    world.send(tenant, &numbers.map(line).collect::<Vec<_>>().join("\n")).await;
}

/// Answers and rows in files.
async fn rows(world: &World, tenant: &TenantId) -> (usize, usize) {
    (world.answer(tenant, &metric(1)).await.len(), world.in_files(tenant, &metric(1)).await.len())
}

fn few(records: u64) -> CompactOptions {
    CompactOptions::default().with_few_records(records).with_wait_for(Duration::from_secs(86_400))
}

#[tokio::test(start_paused = true)]
async fn few_records_wait_until_they_are_many() {
    let world = World::new();
    send(&world, &acme(), 0..50).await;
    send(&world, &beta(), 0..5).await;
    let report = world.compact(few(20)).await;
    assert_eq!((report.waiting, report.tenants.len()), (1, 1));
    assert_eq!((rows(&world, &acme()).await, rows(&world, &beta()).await), ((50, 50), (5, 0)));
    // What acme has by now is done: ten more wait, although its segments are read again for beta's sake.
    send(&world, &acme(), 50..60).await;
    send(&world, &beta(), 5..12).await;
    let report = world.compact(few(20)).await;
    assert_eq!((report.waiting, report.tenants.len()), (2, 0));
    assert_eq!((rows(&world, &acme()).await, rows(&world, &beta()).await), ((60, 50), (12, 0)));
    send(&world, &beta(), 12..20).await;
    let report = world.compact(few(20)).await;
    assert_eq!((report.waiting, report.tenants.len()), (1, 1));
    assert_eq!((rows(&world, &acme()).await, rows(&world, &beta()).await), ((60, 50), (20, 20)));
}

#[tokio::test(start_paused = true)]
async fn few_records_wait_only_for_so_long_and_never_for_one_who_is_asked_for() {
    let world = World::new();
    send(&world, &acme(), 0..5).await;
    send(&world, &beta(), 0..5).await;
    assert_eq!(world.compact(few(20)).await.waiting, 2);
    world.compact(few(20).with_selection(fineo_compact::Selection::Tenant(beta()))).await;
    assert_eq!((rows(&world, &acme()).await, rows(&world, &beta()).await), ((5, 0), (5, 5)));
    let report = world.compact(few(20).with_wait_for(Duration::ZERO)).await;
    assert_eq!((report.waiting, report.tenants.len()), (0, 1));
    assert_eq!(rows(&world, &acme()).await, (5, 5));
    assert!(world.compact(few(20)).await.is_idle());
}
