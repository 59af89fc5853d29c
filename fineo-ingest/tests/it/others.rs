//! Several processes on the same stores.

use fineo_core::archive::Stage;
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, ReplayRequest};
use fineo_schema::{Change, ChangeId, ChangeRequest};

use crate::support::{SOON, World, tenant};

const EVENT: &str = r#"{"metrictype":"m","timestamp":"03/04/2026","v":1}"#;

async fn set_formats(world: &World, number: u8, format: &str) {
    let change = Change::SetTimestampFormats { metric: None, formats: vec![format.to_owned()] };
    let request = ChangeRequest::new(ChangeId::of_bytes([number; 16]), vec![change]);
    // A store of its own, with a cache of its own.
    world.parts().schemas.apply(&tenant("acme"), request).await.unwrap();
}

#[tokio::test]
async fn an_event_is_read_under_every_change_before_its_arrival_whoever_made_it() {
    let world = World::new();
    let options = PipelineOptions::default().with_is_alone(false);
    let pipeline = Pipeline::start(world.parts(), options).await.unwrap();
    for (number, format, expected) in [(1, "%d/%m/%Y", "1775174400000000"), (2, "%m/%d/%Y", "1772582400000000")] {
        set_formats(&world, number, format).await;
        let event = EVENT.replace("\"v\":1", &format!("\"v\":{number}"));
        let receipt = pipeline.edge().ingest(&tenant("acme"), event.into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
        let rows = world.rows("acme", "n1", &["v"]).await;
        assert!(rows.contains(&format!("{expected} m v={number}")), "{rows:?}");
    }
    pipeline.stop().await.unwrap();
}

// N12
#[tokio::test]
async fn a_replay_hears_when_another_process_has_passed_on_what_it_sent() {
    let world = World::new();
    let options = PipelineOptions::default().with_is_alone(false).with_cut_bytes(1);
    let worker = Pipeline::start(world.parts(), options.clone()).await.unwrap();
    let asking = Pipeline::start(world.parts(), options.with_runs_stages(false)).await.unwrap();
    let receipt = asking.edge().ingest(&tenant("acme"), EVENT.into()).await.unwrap();
    asking.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    assert!(world.rows("acme", "n1", &["v"]).await.is_empty());
    set_formats(&world, 1, "%d/%m/%Y").await;
    let request = ReplayRequest::new(Stage::Raw, tenant("acme")).with_errors_only(true);
    let report = tokio::time::timeout(SOON, asking.replay(request, &NoFiles)).await.unwrap().unwrap();
    assert_eq!((report.passed, report.repaired), (1, 1), "{report:?}");
    assert_eq!(world.rows("acme", "n1", &["v"]).await, ["1775174400000000 m v=1"]);
    asking.stop().await.unwrap();
    worker.stop().await.unwrap();
}
