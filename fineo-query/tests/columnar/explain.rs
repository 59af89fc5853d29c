//! What is left unread shows in the plan: semantics 4.8.

use crate::{
    equal::{events, schema},
    world::{Compacted, Sees, World, acme},
};

async fn explained(world: &World, sql: &str) -> String {
    world.engine(Sees::Everything, 2).session(&acme()).explain(sql).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_outside_the_time_range_are_not_read() {
    let world = World::new();
    schema(&world).await;
    world.send(&events().join("\n")).await;
    world.compact(Compacted::Stay).await;
    let plan =
        explained(&world, "SELECT temp FROM thermostat WHERE timestamp >= '2026-01-02' AND timestamp < '2026-01-03'")
            .await;
    assert!(plan.contains("files=1/3"), "{plan}");
    assert!(plan.contains("nearline=beyond ["), "{plan}");
    assert!(plan.contains(" ≤ "), "{plan}");
    assert!(!plan.contains("FilterExec"), "{plan}");
    let plan = explained(&world, "SELECT temp FROM thermostat WHERE timestamp > '2026-01-02' OR temp > 1").await;
    assert!(plan.contains("files=3/3"), "{plan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_statistics_exclude_shows_once_it_ran() {
    let world = World::new();
    schema(&world).await;
    world.send(&events().join("\n")).await;
    world.compact(Compacted::Stay).await;
    for filter in ["device = 'late'", "dev > 'x'", "_fineo_event_id = '00000000000000000000000000000000'"] {
        let sql = format!("EXPLAIN ANALYZE SELECT temp FROM thermostat WHERE {filter}");
        let session = world.engine(Sees::Everything, 2).session(&acme());
        let batches = session.query(&sql, &[]).await.unwrap().collect().await.unwrap();
        let shown = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
        assert!(shown.contains("row_groups_pruned_statistics="), "{shown}");
        assert!(shown.contains("nearline_rows="), "{shown}");
    }
}
