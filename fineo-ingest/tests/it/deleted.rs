//! No replay brings a deleted metric back (R3).

use fineo_core::archive::Stage;
use fineo_ingest::{ReplayMode, ReplayRequest};
use fineo_schema::{Change, MissingTimestamp};

use crate::{desk::Desk, support::tenant};

fn raw(mode: ReplayMode) -> ReplayRequest {
    ReplayRequest::new(Stage::Raw, tenant("acme")).with_mode(mode)
}

#[tokio::test]
async fn events_of_a_deleted_metric_are_passed_over_and_bring_in_no_metric() {
    let mut desk = Desk::new().await;
    desk.ingest(r#"{"metrictype":"m","timestamp":1,"v":"old"}{"metrictype":"kept","timestamp":1,"v":"kept"}"#).await;
    desk.delete("m").await;
    let staged = desk.replay_of(ReplayRequest::new(Stage::Staged, tenant("acme"))).await;
    assert_eq!((staged.events, staged.passed, staged.deleted), (2, 1, 1));
    for mode in [ReplayMode::ReDerive, ReplayMode::AsRecorded] {
        let report = desk.replay_of(raw(mode)).await;
        assert_eq!((report.events, report.passed, report.deleted, report.rows), (2, 1, 1, 0), "{mode:?}");
        assert!(report.rejected.is_empty(), "{mode:?}");
    }
    assert_eq!(desk.metrics().await, ["kept"]);
}

#[tokio::test]
async fn what_came_for_the_former_metric_is_not_in_the_one_that_has_its_name_now() {
    let mut desk = Desk::new().await;
    desk.ingest(r#"{"metrictype":"m","timestamp":1,"v":"old"}"#).await;
    desk.delete("m").await;
    desk.ingest(r#"{"metrictype":"m","timestamp":2,"v":"new"}{"metrictype":"m","timestamp":"31.12.2020"}"#).await;
    desk.apply(Change::SetTimestampFormats { metric: None, formats: vec!["%d.%m.%Y".to_owned()] }).await;
    let asked = raw(ReplayMode::ReDerive).with_metric(Some("m".to_owned()));
    for rows in [1, 0] {
        let report = desk.replay_of(asked.clone()).await;
        assert_eq!((report.events, report.deleted, report.rows), (3, 1, rows));
    }
    assert_eq!(desk.replay().await, 0);
    assert_eq!(desk.world.rows("acme", "n2", &["v"]).await, ["1609372800000000 m", "2000 m v=new"]);
    desk.delete("m").await;
    assert_eq!(desk.replay().await, 0);
    assert!(desk.metrics().await.is_empty());
}

#[tokio::test]
async fn what_was_merged_into_a_deleted_metric_or_came_under_an_alias_is_gone_with_it() {
    let mut desk = Desk::new().await;
    desk.ingest(r#"{"metrictype":"a","timestamp":1}{"metrictype":"b","timestamp":1}"#).await;
    desk.apply(Change::AddMetricAlias { metric: "b".to_owned(), alias: "c".to_owned() }).await;
    desk.ingest(r#"{"metrictype":"c","timestamp":1}"#).await;
    desk.apply(Change::MergeMetric { from: "a".to_owned(), into: "b".to_owned() }).await;
    desk.apply(Change::RemoveMetricAlias { metric: "b".to_owned(), alias: "c".to_owned() }).await;
    desk.delete("b").await;
    let report = desk.replay_of(raw(ReplayMode::ReDerive)).await;
    assert_eq!((report.events, report.deleted, report.rows), (3, 3, 0));
    assert!(desk.metrics().await.is_empty());
}

#[tokio::test]
async fn a_metric_that_only_had_the_name_for_a_while_takes_no_event_of_another_with_it() {
    let mut desk = Desk::new().await;
    desk.ingest(r#"{"metrictype":"m","timestamp":"31.12.2020","v":1}{"metrictype":"kept","timestamp":1}"#).await;
    // Its error is an event of `m`, which lives on under another name.
    desk.ingest(r#"{"metrictype":"m","timestamp":1}"#).await;
    desk.apply(Change::RenameMetric { metric: "m".to_owned(), to: "n".to_owned() }).await;
    desk.apply(Change::RemoveMetricAlias { metric: "n".to_owned(), alias: "m".to_owned() }).await;
    desk.ingest(r#"{"metrictype":"m","timestamp":2}"#).await;
    desk.delete("m").await;
    desk.apply(Change::AddMetricAlias { metric: "n".to_owned(), alias: "m".to_owned() }).await;
    desk.apply(Change::SetTimestampFormats { metric: None, formats: vec!["%d.%m.%Y".to_owned()] }).await;
    let report = desk.replay_of(raw(ReplayMode::ReDerive)).await;
    assert_eq!((report.events, report.deleted, report.rows), (4, 1, 1));
    assert_eq!(desk.world.rows("acme", "n1", &["v"]).await, ["1000 m", "1609372800000000 m v=1"]);
}

#[tokio::test]
async fn an_error_that_a_replay_had_repaired_is_gone_with_its_metric() {
    let mut desk = Desk::new().await;
    desk.apply(Change::SetMissingTimestamp { metric: None, policy: Some(MissingTimestamp::Reject) }).await;
    desk.ingest(r#"{"metrictype":"k","v":1}"#).await;
    desk.ingest(r#"{"kind":"k","timestamp":1,"v":2}"#).await;
    desk.apply(Change::SetMissingTimestamp { metric: None, policy: Some(MissingTimestamp::Arrival) }).await;
    desk.apply(Change::SetMetricKeys { keys: vec!["kind".to_owned()] }).await;
    assert_eq!(desk.replay_of(raw(ReplayMode::ReDerive)).await.rows, 2);
    desk.delete("k").await;
    let report = desk.replay_of(raw(ReplayMode::ReDerive)).await;
    assert_eq!((report.events, report.deleted, report.rows), (2, 2, 0));
    assert!(desk.metrics().await.is_empty());
}

#[tokio::test]
async fn values_of_a_deleted_field_do_not_come_back_with_an_event_that_arrived_before() {
    let mut desk = Desk::new().await;
    desk.ingest(
        r#"{"metrictype":"m","timestamp":"31.12.2020","ssn":"1","alias":"2","v":3}{"metrictype":"m","timestamp":1}"#,
    )
    .await;
    desk.apply(Change::AddField {
        metric: "m".to_owned(),
        name: "ssn".to_owned(),
        field_type: "long".to_owned(),
        aliases: vec!["alias".to_owned()],
        unit: None,
    })
    .await;
    desk.delete_field("m", "ssn").await;
    // What comes later is newly discovered.
    desk.ingest(r#"{"metrictype":"m","timestamp":"01.01.2021","ssn":"4","v":5}"#).await;
    desk.apply(Change::SetTimestampFormats { metric: None, formats: vec!["%d.%m.%Y".to_owned()] }).await;
    for mode in [ReplayMode::ReDerive, ReplayMode::AsRecorded] {
        desk.replay_of(raw(mode).with_errors_only(true)).await;
        let rows = desk.world.rows("acme", "n1", &["ssn", "alias", "v"]).await;
        assert_eq!(rows, ["1000 m", "1609372800000000 m v=3", "1609459200000000 m ssn=4 v=5"], "{mode:?}");
    }
    // It is the same event, with its values or without.
    let ids = desk.world.ids("acme", "n1").await;
    assert_eq!(desk.replay().await, 0);
    assert_eq!(desk.world.ids("acme", "n1").await, ids);
}

#[tokio::test]
async fn values_of_a_deleted_field_do_not_come_back_under_the_metric_that_has_the_name_now() {
    let mut desk = Desk::new().await;
    desk.ingest(r#"{"metrictype":"m","timestamp":"31.12.2020","ssn":"1","v":2}{"metrictype":"m","timestamp":1}"#).await;
    desk.delete_field("m", "ssn").await;
    desk.apply(Change::RenameMetric { metric: "m".to_owned(), to: "n".to_owned() }).await;
    desk.apply(Change::RemoveMetricAlias { metric: "n".to_owned(), alias: "m".to_owned() }).await;
    desk.ingest(r#"{"metrictype":"m","timestamp":2,"ssn":"3"}"#).await;
    desk.apply(Change::SetTimestampFormats { metric: None, formats: vec!["%d.%m.%Y".to_owned()] }).await;
    desk.replay_of(raw(ReplayMode::ReDerive).with_errors_only(true)).await;
    assert_eq!(desk.world.rows("acme", "n2", &["ssn", "v"]).await, ["1609372800000000 m v=2", "2000 m ssn=3"]);
}
