//! Merged metrics, deleted fields and deleted metrics over files. SC3, SC6, U1, U6.

use fineo_schema::Change;

use crate::world::{Compacted, Sees, World, acme, ask};

const QUESTIONS: [&str; 5] = [
    "SELECT * FROM pump ORDER BY timestamp",
    "SELECT _fineo_alias, count(*), sum(CAST(press AS DOUBLE)) FROM pump GROUP BY 1",
    "SELECT timestamp FROM pump WHERE press = '3'",
    "SELECT count(*) FROM pump WHERE timestamp >= '2026-01-02'",
    "SELECT a.press FROM pump a JOIN pump b ON a._fineo_event_id = b._fineo_event_id",
];

fn line(metric: &str, day: u32, press: u32) -> String {
    format!(r#"{{"metrictype":"{metric}","timestamp":"2026-01-0{day}T00:00:00Z","press":"{press}","note":"n{press}"}}"#)
}

/// Nearline rows and files answer the same, in one part and in several.
async fn check(world: &World, context: &str) {
    let nearline = world.engine(Sees::Nearline, 1);
    for tasks in [1, 8] {
        let engine = world.reopened().engine(Sees::Everything, tasks);
        for sql in QUESTIONS {
            assert_eq!(ask(&engine, sql).await, ask(&nearline, sql).await, "{context}: {sql}, {tasks} tasks");
        }
    }
}

async fn furnished() -> World {
    let world = World::new();
    let events = [line("pump", 1, 1), line("pump", 2, 2), line("pmp-1c", 1, 3), line("pmp-1c", 2, 4)];
    world.send(&events.join("\n")).await;
    world.compact(Compacted::Stay).await;
    assert_eq!(world.files().await, 4);
    world.send(&[line("pump", 3, 5), line("pmp-1c", 3, 6)].join("\n")).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_merged_metric_answer_under_the_other_out_of_files_and_without() {
    let world = furnished().await;
    check(&world, "apart").await;
    let puts = world.objects.puts();
    world.change(vec![Change::MergeMetric { from: "pmp-1c".into(), into: "pump".into() }]).await;
    check(&world, "merged").await;
    assert_eq!(world.objects.puts(), puts, "no data was written");
    let count = |world: &World| {
        let engine = world.reopened().engine(Sees::Everything, 2);
        async move { ask(&engine, "SELECT count(*), count(DISTINCT _fineo_event_id) FROM \"pmp-1c\"").await }
    };
    assert!(count(&world).await.ends_with("\n6|6"));
    world.compact(Compacted::Stay).await;
    check(&world, "merged and compacted").await;
    // What is sent now, and what is sent again, in a file by now or not, under either name.
    let again = [line("pump", 1, 1), line("pmp-1c", 1, 3), line("pmp-1c", 2, 4), line("pmp-1c", 3, 6)];
    world.send(&[line("pmp-1c", 4, 7), line("pump", 4, 8), again.join("\n")].join("\n")).await;
    check(&world, "sent since").await;
    world.compact(Compacted::Stay).await;
    check(&world, "sent since, compacted").await;
    assert!(count(&world).await.ends_with("\n8|8"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_field_is_gone_from_files_before_and_after_it_was_collected() {
    let world = furnished().await;
    let metric = fineo_core::MetricId::numbered(1);
    world.compact(Compacted::Stay).await;
    let through = world.tables.snapshot(&acme(), &metric).await.unwrap().cover.clone();
    world.change(vec![Change::DeleteField { metric: "pump".into(), field: "note".into(), through }]).await;
    let gone = "SELECT count(*) FROM pump WHERE note = 'n1'";
    let engine = world.reopened().engine(Sees::Everything, 1);
    let answer = ask(&engine, gone).await;
    assert!(answer.ends_with("\n0") || answer == "error unknown_column", "{answer}");
    world.send(&line("pump", 4, 9)).await;
    check(&world, "deleted").await;
    world.compact(Compacted::Stay).await;
    check(&world, "deleted and collected").await;
    let engine = world.reopened().engine(Sees::Everything, 1);
    assert!(ask(&engine, "SELECT note FROM pump WHERE note IS NOT NULL").await.ends_with("\nn9"));
    world.compact(Compacted::Go).await;
    let listed: Vec<object_store::ObjectMeta> =
        futures::TryStreamExt::try_collect(object_store::ObjectStore::list(world.objects.inner(), None)).await.unwrap();
    for meta in listed.iter().filter(|meta| meta.location.as_ref().contains("/n1/day=2026-01-01")) {
        let got = object_store::ObjectStoreExt::get(world.objects.inner(), &meta.location).await.unwrap();
        let bytes = got.bytes().await.unwrap();
        assert!(!bytes.windows(4).any(|window| window == b"note"), "{}", meta.location);
    }
}
