//! Replays find a row where it is, however today's schema reads its event (R3).

use fineo_core::{Cover, archive::Stage};
use fineo_ingest::{ImportOptions, ImportSource, NoFiles, Pipeline, ReplayMode, ReplayRequest, Routing};
use fineo_schema::{Change, ChangeId, ChangeRequest, MissingTimestamp};

use crate::support::{SOON, World, tenant};

/// A pipeline, and the number of its next change.
struct Desk {
    world: World,
    pipeline: Pipeline,
    changes: u8,
}

impl Desk {
    async fn new() -> Self {
        let world = World::new();
        let pipeline = world.start().await;
        Self { world, pipeline, changes: 0 }
    }

    async fn apply(&mut self, change: Change) {
        self.changes += 1;
        let request = ChangeRequest::new(ChangeId::of_bytes([self.changes; 16]), vec![change]);
        self.world.parts().schemas.apply(&tenant("acme"), request).await.unwrap();
    }

    async fn ingest(&self, events: &str) {
        let receipt = self.pipeline.edge().ingest(&tenant("acme"), events.to_owned().into()).await.unwrap();
        self.pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    }

    /// Replays everything in both modes; answers how many rows are new.
    async fn replay(&self) -> u64 {
        let mut rows = 0;
        for mode in [ReplayMode::ReDerive, ReplayMode::AsRecorded] {
            let request = ReplayRequest::new(Stage::Raw, tenant("acme")).with_mode(mode);
            rows += self.pipeline.replay(request, &NoFiles).await.unwrap().rows;
        }
        rows
    }
}

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
