//! Several processes on the same stores.

use std::{sync::Arc, time::Duration};

use fineo_core::{Clock, archive::Stage};
use fineo_ingest::{NoFiles, Pipeline, PipelineOptions, PipelineParts, ReplayRequest};
use fineo_schema::{Change, ChangeId, ChangeRequest};

use crate::support::{Outage, PausedClock, SOON, World, tenant};

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

/// A process that has the shards, and one that waits for them and asks a repository which may be down for it.
async fn two(lease_for: Duration) -> (World, Arc<PausedClock>, Pipeline, Pipeline, Arc<Outage>) {
    let (world, clock) = (World::new(), Arc::new(PausedClock::new()));
    let options = PipelineOptions::default().with_is_alone(false).with_lease_for(lease_for);
    let parts = || PipelineParts { clock: Arc::clone(&clock) as _, ..world.parts() };
    let worker = Pipeline::start(parts(), options.clone().with_owner(Some("worker".to_owned()))).await.unwrap();
    let receipt = worker.edge().ingest(&tenant("acme"), EVENT.into()).await.unwrap();
    worker.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    let repo = Arc::new(Outage::new(world.repo.clone()));
    let parts = PipelineParts { repo: Arc::clone(&repo) as _, ..parts() };
    let waiting = Pipeline::start(parts, options.with_owner(Some("waiting".to_owned()))).await.unwrap();
    clock.sleep(SOON).await;
    (world, clock, worker, waiting, repo)
}

/// How often a stage of `pipeline` says why it does not go on.
async fn failures(pipeline: &Pipeline) -> Vec<String> {
    pipeline.status().await.unwrap().shards.into_iter().filter_map(|shard| shard.failure).collect()
}

async fn takes_over(worker: Pipeline, waiting: &Pipeline) {
    worker.stop().await.unwrap();
    let receipt = waiting.edge().ingest(&tenant("acme"), EVENT.into()).await.unwrap();
    waiting.wait_until_queryable(receipt.token(), SOON * 3).await.unwrap();
}

// N8
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_shard_asks_seldom_while_the_repository_is_down_and_says_why_it_waits() {
    const OUTAGE: Duration = Duration::from_secs(3_600);
    let (_world, clock, worker, waiting, repo) = two(Duration::from_secs(6)).await;
    assert!(failures(&waiting).await.is_empty());
    repo.begin();
    let before = repo.asked();
    clock.sleep(OUTAGE).await;
    let asked = repo.asked() - before;
    // Two workers, which wait half of ten seconds at least once they have waited for a while.
    let asked_max = 2 * OUTAGE.as_secs() / 5 + 40;
    assert!((100..asked_max).contains(&asked), "{asked} of {asked_max}");
    assert_eq!(failures(&waiting).await, ["the repository is down"; 2]);
    repo.end();
    clock.sleep(SOON).await;
    assert!(failures(&waiting).await.is_empty(), "the other one has the shards, and nothing is wrong");
    takes_over(worker, &waiting).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_any_length_is_waited_for() {
    for millis in [50, 100, 149] {
        let (_world, _clock, worker, waiting, _repo) = two(Duration::from_millis(millis)).await;
        assert!(failures(&waiting).await.is_empty(), "{millis}");
        takes_over(worker, &waiting).await;
    }
}
