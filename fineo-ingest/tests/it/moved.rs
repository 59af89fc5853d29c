//! Replays find a row where it is, however today's schema reads its event (R3).

use fineo_core::{Cover, archive::Stage};
use fineo_ingest::{ImportOptions, ImportSource, ReplayRequest, Routing};
use fineo_schema::{Change, MissingTimestamp};

use crate::{
    desk::Desk,
    support::{SOON, tenant},
};

#[tokio::test]
async fn a_row_of_a_metric_that_the_sender_gave_for_all_is_no_row_of_one_that_a_key_names() {
    let mut desk = Desk::new().await;
    let options = ImportOptions::new(Routing::Tenant(tenant("acme"))).with_metric(Some("pump".to_owned()));
    let source = ImportSource::Bytes(r#"{"kind":"k","timestamp":1,"v":1}"#.into());
    let report = desk.pipeline.edge().import(source, options, |_| {}).await.unwrap();
    desk.pipeline.wait_until_queryable(&report.token, SOON).await.unwrap();
    desk.apply(Change::SetMetricKeys { keys: vec!["kind".to_owned()] }).await;
    assert_eq!(desk.replay().await, 0);
    assert_eq!(desk.world.rows("acme", "n1", &["v"]).await, ["1000 pump v=1"]);
}

#[tokio::test]
async fn a_name_that_was_deleted_hides_no_row_of_what_arrived_with_it() {
    let mut desk = Desk::new().await;
    let pump = r#"{"metrictype":"pump","kind":"k","timestamp":1,"v":1}"#;
    desk.ingest(&format!(r#"{pump} {{"metrictype":"junk","timestamp":1}}"#)).await;
    desk.apply(Change::DeleteMetric { metric: "junk".to_owned(), through: Cover::default() }).await;
    desk.apply(Change::SetMetricKeys { keys: vec!["kind".to_owned(), "metrictype".to_owned()] }).await;
    // What was deleted is newly discovered.
    assert_eq!(desk.replay().await, 1);
    assert_eq!(desk.world.rows("acme", "n1", &["v"]).await, ["1000 pump v=1"]);
    assert_eq!(desk.replay().await, 0);
}

#[tokio::test]
async fn a_row_that_a_replay_made_by_its_arrival_is_found_when_its_time_is_read() {
    let mut desk = Desk::new().await;
    let reject = Change::SetMissingTimestamp { metric: None, policy: Some(MissingTimestamp::Reject) };
    desk.apply(reject).await;
    desk.ingest(r#"{"metrictype":"m","at":"2026-01-01","v":1}"#).await;
    let accept = Change::SetMissingTimestamp { metric: None, policy: Some(MissingTimestamp::Arrival) };
    desk.apply(accept).await;
    assert_eq!(desk.replay().await, 1);
    desk.apply(Change::SetTimestampAliases { metric: None, aliases: vec!["at".to_owned()] }).await;
    assert_eq!(desk.replay().await, 0);
    assert_eq!(desk.world.rows("acme", "n1", &["v"]).await.len(), 1);
}

// R3
#[tokio::test]
async fn an_event_that_is_a_row_is_no_error_when_todays_schema_refuses_it() {
    let mut desk = Desk::new().await;
    let formats = |formats: &[&str]| Change::SetTimestampFormats {
        metric: None,
        formats: formats.iter().map(|format| (*format).to_owned()).collect(),
    };
    desk.apply(formats(&["%d/%m/%Y %H:%M"])).await;
    desk.ingest(r#"{"metrictype":"x","timestamp":"24/11/2026 09:19","n":1}"#).await;
    desk.apply(formats(&[])).await;
    // This one is no row: it stays an error.
    desk.ingest(r#"{"metrictype":"x","timestamp":"24/11/2026 09:20","n":2}"#).await;
    for _ in 0..2 {
        let report = desk.replay_of(ReplayRequest::new(Stage::Raw, tenant("acme"))).await;
        assert_eq!((report.events, report.passed, report.rows, report.duplicates), (2, 1, 0, 1), "{report:?}");
        assert_eq!(report.rejected.values().sum::<u64>(), 1, "{report:?}");
        assert_eq!(desk.world.rows("acme", "n1", &["n"]).await.len(), 1);
        assert_eq!(desk.world.ids("acme", "errors").await.len(), 1);
    }
}
