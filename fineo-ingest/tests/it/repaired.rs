//! Whatever error rows an event has, a replay that passes it marks all of them as repaired (semantics 5.4).

use fineo_core::archive::Stage;
use fineo_ingest::{ImportOptions, ImportSource, ReplayRequest, Routing};
use fineo_schema::Change;

use crate::{
    desk::Desk,
    support::{SOON, tenant},
};

fn errors_only() -> ReplayRequest {
    ReplayRequest::new(Stage::Raw, tenant("acme")).with_errors_only(true)
}

fn formats() -> Change {
    Change::SetTimestampFormats { metric: None, formats: vec!["%d/%m/%Y".to_owned()] }
}

/// Sends an event whose sender names the metric.
async fn import(desk: &Desk, event: &'static str) {
    let options = ImportOptions::new(Routing::Tenant(tenant("acme"))).with_metric(Some("pump".to_owned()));
    let source = ImportSource::Bytes(event.into());
    let report = desk.pipeline.edge().import(source, options, |_| {}).await.unwrap();
    desk.pipeline.wait_until_queryable(&report.token, SOON).await.unwrap();
}

/// Replays what has open errors; answers how many events passed, how many errors are repaired, and how many events have open
/// ones then.
async fn repair(desk: &Desk) -> (u64, u64, u64) {
    let report = desk.replay_of(errors_only()).await;
    (report.passed, report.repaired, desk.replay_of(errors_only()).await.events)
}

#[tokio::test]
async fn an_event_that_was_refused_for_two_reasons_has_both_errors_repaired() {
    let mut desk = Desk::new().await;
    desk.ingest(r#"{"metrictype":"m","at":"03/04/2026","v":1}"#).await;
    desk.apply(Change::SetTimestampAliases { metric: None, aliases: vec!["at".to_owned()] }).await;
    let refused = desk.replay_of(errors_only()).await;
    assert_eq!(refused.rejected.into_iter().collect::<Vec<_>>(), [("timestamp_unreadable", 1)]);
    assert_eq!(desk.world.ids("acme", "errors").await.len(), 2);
    desk.apply(formats()).await;
    assert_eq!(repair(&desk).await, (1, 2, 0));
    assert_eq!(desk.world.rows("acme", "n1", &["v"]).await, ["1775174400000000 m v=1"]);
}

#[tokio::test]
async fn an_event_whose_sender_named_the_metric_is_found_by_its_error_when_a_key_names_another_one() {
    let mut desk = Desk::new().await;
    import(&desk, r#"{"kind":"k","timestamp":"03/04/2026","v":1}"#).await;
    desk.apply(Change::SetMetricKeys { keys: vec!["kind".to_owned()] }).await;
    desk.apply(formats()).await;
    assert_eq!(repair(&desk).await, (1, 1, 0));
    assert_eq!(desk.metrics().await, ["pump", "k"]);
}

#[tokio::test]
async fn errors_of_an_event_that_is_a_row_already_are_repaired_whatever_it_was_refused_for() {
    let mut desk = Desk::new().await;
    desk.ingest(r#"{"metrictype":"m","at":"03/04/2026","v":1}"#).await;
    for change in [Change::SetTimestampAliases { metric: None, aliases: vec!["at".to_owned()] }, formats()] {
        desk.apply(change).await;
        desk.replay_of(ReplayRequest::new(Stage::Raw, tenant("acme"))).await;
    }
    assert_eq!(desk.replay_of(errors_only()).await.events, 0);
}

#[tokio::test]
async fn an_error_stays_open_though_the_same_event_went_on_whose_sender_named_the_metric() {
    const EVENT: &str = r#"{"timestamp":1,"v":1}"#;
    let desk = Desk::new().await;
    desk.ingest(EVENT).await;
    import(&desk, EVENT).await;
    let all = desk.replay_of(ReplayRequest::new(Stage::Raw, tenant("acme"))).await;
    assert_eq!((all.passed, all.repaired), (1, 0));
    assert_eq!(repair(&desk).await, (0, 0, 1));
}
