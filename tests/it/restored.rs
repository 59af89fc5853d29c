//! What a restored instance does with what it got of the other one.

use std::path::Path;

use fineo::{Fineo, ReplayRequest, Stage};
use tempfile::TempDir;

use crate::support::{ingest, rows, tenant};

/// An instance that is restored of a backup of one that `body` of `acme` was sent to.
async fn restored(body: &str) -> (TempDir, Fineo) {
    let place = tempfile::tempdir().unwrap();
    let (copy, home) = (place.path().join("copy"), place.path().join("home"));
    let fineo = opened(&place.path().join("first")).await;
    ingest(&fineo, &tenant("acme"), body).await;
    let report = fineo.backup(&copy).await.unwrap();
    fineo.close().await.unwrap();
    assert_eq!(Fineo::local(&home).restore_from(&copy).await.unwrap(), report);
    let fineo = opened(&home).await;
    (place, fineo)
}

async fn opened(home: &Path) -> Fineo {
    Fineo::local(home).open().await.unwrap()
}

const TWO: &str =
    r#"{"metrictype":"room","timestamp":1,"name":"ada","n":1}{"metrictype":"room","timestamp":2,"name":"ida","n":2}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_of_a_restored_instance_before_anything_new_comes_is_gone() {
    let (_place, fineo) = restored(TWO).await;
    let acme = tenant("acme");
    assert_eq!(rows(&fineo, &acme, "SELECT name FROM room ORDER BY timestamp").await, ["ada", "ida"]);
    fineo.schema(&acme).declare(r#"{"metrics": {"room": {"fields": {"name": {"type": "string"}}}}}"#).await.unwrap();
    fineo.schema(&acme).delete_field("room", "name").await.unwrap();
    assert_eq!(
        rows(&fineo, &acme, "SELECT * FROM room ORDER BY timestamp").await,
        ["1970-01-01T00:00:00.001Z|1", "1970-01-01T00:00:00.002Z|2"]
    );
    fineo.schema(&acme).delete_metric("room").await.unwrap();
    for stage in [Stage::Raw, Stage::Staged] {
        let report = fineo.replay(ReplayRequest::new(stage, acme.clone())).await.unwrap();
        assert_eq!((report.deleted, report.passed), (2, 0), "{stage}: {report:?}");
    }
    assert!(fineo.schema(&acme).snapshot().await.unwrap().metric_named("room").is_none());
    fineo.close().await.unwrap();
}

// N4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_who_has_nothing_else_are_restored_and_can_be_replayed() {
    let (_place, fineo) = restored(r#"{"kind":"room","timestamp":1,"n":1}"#).await;
    let acme = tenant("acme");
    assert_eq!(rows(&fineo, &acme, "SELECT code FROM errors.stream").await, ["metric_missing"]);
    fineo.schema(&acme).declare(r#"{"metric_keys": ["kind"]}"#).await.unwrap();
    let again = ReplayRequest::new(Stage::Raw, acme.clone()).with_errors_only(true);
    assert_eq!(fineo.replay(again).await.unwrap().repaired, 1);
    assert_eq!(rows(&fineo, &acme, "SELECT n FROM room").await, ["1"]);
    fineo.close().await.unwrap();
}
