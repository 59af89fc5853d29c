//! The stages as functions.

use aws_lambda_events::event::kinesis::KinesisEvent;
use fineo_core::{SchemaRepo, archive::Stage, repo::Subject};
use fineo_ingest::PipelineOptions;
use fineo_lambda::StageFunction;
use serde_json::json;

use crate::support::{SOON, World, everything, mapped, number, record};

const EVENTS: &str = r#"{"metrictype":"m","timestamp":1,"a":1}
{"metrictype":"m","timestamp":"soon"}
{"metrictype":"m","timestamp":2,"a":2}"#;

fn function(world: &World, stage: Stage) -> StageFunction {
    StageFunction::new(world.parts(), PipelineOptions::default().with_retention(None), stage)
}

async fn call(world: &World, stage: Stage, event: KinesisEvent) -> Result<String, String> {
    let answered = function(world, stage).call(event, SOON).await;
    answered.map(|answer| serde_json::to_string(&answer).unwrap()).map_err(|error| error.message().to_owned())
}

const ALL_DONE: &str = r#"{"batchItemFailures":[]}"#;

#[tokio::test]
async fn events_become_rows_through_two_functions_however_often_they_are_called() {
    let world = World::new();
    world.send(EVENTS).await;
    for _ in 0..3 {
        let raw = mapped(&everything(&world.raw).await);
        assert_eq!(call(&world, Stage::Raw, raw).await.as_deref(), Ok(ALL_DONE));
        let staged = mapped(&everything(&world.staged).await);
        assert_eq!(call(&world, Stage::Staged, staged).await.as_deref(), Ok(ALL_DONE));
    }
    assert_eq!((world.rows("n1").await, world.rows("errors").await), (2, 1));
    assert_eq!(everything(&world.staged).await.len(), 2, "what is redelivered is not forwarded again");
}

#[tokio::test]
async fn a_warm_function_goes_on_from_batch_to_batch() {
    let world = World::new();
    let (raw, staged) = (function(&world, Stage::Raw), function(&world, Stage::Staged));
    let (mut passed_raw, mut passed_staged) = (0, 0);
    for round in 1..=3 {
        world.send(&format!(r#"{{"metrictype":"m","timestamp":{round}}}"#)).await;
        let all = everything(&world.raw).await;
        assert!(raw.call(mapped(&all[passed_raw..]), SOON).await.unwrap().batch_item_failures.is_empty());
        passed_raw = all.len();
        let all = everything(&world.staged).await;
        assert!(staged.call(mapped(&all[passed_staged..]), SOON).await.unwrap().batch_item_failures.is_empty());
        passed_staged = all.len();
        assert_eq!(world.rows("n1").await, round);
    }
}

#[tokio::test]
async fn the_first_record_that_failed_is_named_and_none_before_it() {
    let world = World::new();
    let events: Vec<String> = (0..700).map(|n| format!(r#"{{"metrictype":"m","timestamp":{n}}}"#)).collect();
    world.send(&events.join("\n")).await;
    let batch = everything(&world.raw).await;
    // A record without a number in the middle cannot be passed on, nor passed over.
    let mut records: Vec<_> = batch.iter().map(|one| record("acme", &number(one), &one.payload)).collect();
    records[600]["kinesis"]["sequenceNumber"] = json!("x600");
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    let answer = function(&world, Stage::Raw).call(event, SOON).await.unwrap();
    assert_eq!(answer.batch_item_failures[0].item_identifier.as_deref(), Some("x600"));
    assert_eq!(everything(&world.staged).await.len(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_which_nothing_is_done_fails_as_a_whole() {
    let world = World::new();
    world.send(EVENTS).await;
    let mut batch = everything(&world.raw).await;
    batch.reverse();
    let failed = call(&world, Stage::Raw, mapped(&batch)).await;
    assert_eq!(failed, Err("no record was passed on, all must come again".to_owned()));
}

#[tokio::test]
async fn a_record_that_is_not_ours_is_passed_over_and_kept_in_the_record_of_losses() {
    let world = World::new();
    world.send(EVENTS).await;
    let batch = everything(&world.raw).await;
    let mut records: Vec<_> = batch.iter().map(|one| record("acme", &number(one), &one.payload)).collect();
    records.insert(0, record("not a tenant", "0", b"who knows"));
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    assert_eq!(call(&world, Stage::Raw, event).await.as_deref(), Ok(ALL_DONE));
    let losses: Vec<Subject> = world.repo.subjects(None, "loss/main/raw/").await.unwrap();
    let kept = world.repo.latest(&losses[0]).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&kept.body).contains("something else writes to this stream"), "{kept:?}");
}
