//! Batches that somebody else read from a shard have the effects of a worker, once.

use std::{sync::Arc, time::Duration};

use fineo_backend_memory::MemoryStream;
use fineo_conformance::{
    fault::{CrashPoints, Fault, FaultPlan, Faults, Interruption, Operation, When},
    pipeline::faulty,
    sweep, sweep_cancel,
};
use fineo_core::{
    MetricId, Position, Result, SchemaRepo, SeededEntropy, ShardId, Stream, SystemClock,
    archive::Stage,
    repo::{Keep, Subject, Version},
    stream::Delivery,
};
use fineo_ingest::{
    BatchDriver, Edge, ImportOptions, ImportSource, Limits, Pipeline, PipelineOptions, PipelineParts, Routing, archived,
};
use fineo_schema::Discovery;
use futures::StreamExt;

use crate::support::{SOON, World, tenant};

const EVENTS: &str = r#"{"metrictype":"m","timestamp":1,"a":1,"b":23}
{"metrictype":"m","timestamp":1,"a":12,"b":3}
{"b":23,"a":1,"timestamp":1,"metrictype":"m"}
{"metrictype":"m","timestamp":"soon"}
{"metrictype":"n","timestamp":2,"x":{"y":"z"}}"#;

pub(crate) fn edge(world: &World) -> Edge {
    let raw: Arc<dyn Stream> = Arc::new(world.raw.clone());
    Edge::new(raw, Arc::new(SystemClock), Arc::new(SeededEntropy::new(3)), Limits::default(), Arc::default())
}

async fn send(world: &World, events: &str) {
    let receipt = edge(world).ingest(&tenant("acme"), events.to_owned().into()).await.unwrap();
    assert!(receipt.failed().is_empty() && receipt.rejected().is_empty());
}

fn driver(parts: PipelineParts, stage: Stage) -> BatchDriver {
    // A mapping's stream keeps what was passed on.
    BatchDriver::new(parts, PipelineOptions::default().with_retention(None), stage)
}

/// All that is in the only shard of `stream`.
pub(crate) async fn everything(stream: &MemoryStream) -> (ShardId, Vec<Delivery>) {
    let shard = stream.shards().await.unwrap().remove(0).id;
    let Some(tail) = stream.tail(&shard).await.unwrap() else { return (shard, Vec::new()) };
    let mut read = stream.read(&shard, fineo_core::stream::ReadFrom::Start);
    let mut found: Vec<Delivery> = Vec::new();
    while found.last().is_none_or(|last| last.position < tail) {
        found.extend(read.next().await.unwrap().unwrap());
    }
    (shard, found)
}

/// Passes everything through both stages; an error when one of them could not do it all.
async fn pass_all(world: &World, parts: &PipelineParts) -> Result<()> {
    for (stage, stream) in [(Stage::Raw, &world.raw), (Stage::Staged, &world.staged)] {
        let (shard, batch) = everything(stream).await;
        let report = driver(parts.clone(), stage).pass(&shard, &batch, SOON * 1000).await;
        if let Some(failure) = report.failure {
            return Err(failure);
        }
        assert_eq!(report.done, batch.len());
    }
    Ok(())
}

/// Every event is a row or an error, once, and archived by both stages.
async fn check(world: &World) {
    assert_eq!(world.rows("acme", "n1", &["a", "b"]).await, ["1000 m a=1 b=23", "1000 m a=12 b=3"]);
    assert_eq!(world.rows("acme", "n2", &["x.y"]).await, ["2000 n x.y=z"]);
    let errors = world.rows("acme", "errors", &["code"]).await;
    assert_eq!(errors.len(), 1, "{errors:?}");
    let (raw, staged) = world.archived("acme").await;
    let (_, forwarded) = everything(&world.staged).await;
    assert_eq!((raw, staged), (5, forwarded.len()));
}

#[tokio::test]
async fn batches_go_through_both_stages_and_a_worker_goes_on_behind_them() {
    // D1, I2, I3
    let world = World::new();
    send(&world, EVENTS).await;
    pass_all(&world, &world.parts()).await.unwrap();
    check(&world).await;
    for (stage, stream) in [(Stage::Raw, &world.raw), (Stage::Staged, &world.staged)] {
        let (shard, batch) = everything(stream).await;
        let cover = archived(&world.repo, "main", stage).await.unwrap();
        assert!(batch.last().is_none_or(|last| cover.contains(&shard, last.position)), "{stage}");
    }
    let pipeline = world.start().await;
    let receipt = pipeline.edge().ingest(&tenant("acme"), EVENTS.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON * 4).await.unwrap();
    pipeline.stop().await.unwrap();
    assert_eq!(world.rows("acme", "n1", &["a"]).await.len(), 2);
}

#[tokio::test]
async fn a_batch_that_comes_again_whole_or_in_halves_changes_nothing() {
    // I3: a mapping delivers again what it has no answer for, and halves what failed.
    let world = World::new();
    send(&world, EVENTS).await;
    let (shard, batch) = everything(&world.raw).await;
    let raw = driver(world.parts(), Stage::Raw);
    assert_eq!(raw.pass(&shard, &batch, SOON).await.done, 5);
    let (_, forwarded) = everything(&world.staged).await;
    for again in [&batch[..], &batch[..2], &batch[2..]] {
        let report = raw.pass(&shard, again, SOON).await;
        assert_eq!((report.done, report.redelivered), (again.len(), again.len()));
    }
    assert_eq!(everything(&world.staged).await.1.len(), forwarded.len());
    assert_eq!(world.archived("acme").await.0, 5);
}

/// The rows of 1,200 events, in two chunks and a part of one.
fn many() -> String {
    let events: Vec<String> = (0..1200).map(|n| format!(r#"{{"metrictype":"m","timestamp":{n},"a":{n}}}"#)).collect();
    events.join("\n")
}

#[tokio::test(start_paused = true)]
async fn what_stands_behind_a_failure_is_to_come_again_and_nothing_before_it() {
    // N1, N2: the staged stream takes the first chunk, and is then away for longer than the batch has time.
    let world = World::new();
    send(&world, &many()).await;
    let (shard, batch) = everything(&world.raw).await;
    let outage = Faults::new(FaultPlan::new(0).with_rule(
        Operation::StreamAppend,
        When::Between(1, u64::MAX),
        Fault::FailBefore,
    ));
    let report = driver(faulty(world.parts(), &outage), Stage::Raw).pass(&shard, &batch, SOON).await;
    assert_eq!((report.done, report.redelivered), (500, 0));
    assert!(report.failure.unwrap().is_retryable());
    assert_eq!(world.archived("acme").await.0, 500);
    // The mapping delivers the rest, or all of it: it cannot tell.
    let report = driver(world.parts(), Stage::Raw).pass(&shard, &batch, SOON).await;
    assert_eq!((report.done, report.redelivered), (1200, 500));
    pass_all(&world, &world.parts()).await.unwrap();
    assert_eq!(world.rows("acme", "n1", &["a"]).await.len(), 1200);
    assert!(world.rows("acme", "errors", &["code"]).await.is_empty(), "our failures are nobody's bad events");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_costs_the_batch_its_time_and_no_more() {
    let world = World::new();
    send(&world, EVENTS).await;
    let (shard, batch) = everything(&world.raw).await;
    for operation in [Operation::RepoLatest, Operation::StreamAppend, Operation::ArchiveWrite, Operation::RepoAppend] {
        let silent = Faults::new(FaultPlan::new(0).with_rule(operation, When::Always, Fault::Hang));
        let silent = driver(faulty(world.parts(), &silent), Stage::Raw);
        let report = tokio::time::timeout(SOON, silent.pass(&shard, &batch, SOON)).await.unwrap();
        assert_eq!((report.done, report.failure.is_some()), (0, true), "{operation:?}");
    }
    pass_all(&world, &world.parts()).await.unwrap();
    check(&world).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_calls_for_one_shard_the_earlier_one_moves_no_checkpoint() {
    // O4: a service may call again before it has buried the first call.
    let world = World::new();
    send(&world, EVENTS).await;
    let (shard, batch) = everything(&world.raw).await;
    let late = Faults::new(FaultPlan::new(0).with_rule(Operation::ArchiveWrite, When::Always, Fault::Late(60_000)));
    let zombie = driver(faulty(world.parts(), &late), Stage::Raw);
    let heir = driver(world.parts(), Stage::Raw);
    let both = async {
        // The first one waits for its archive when the second one begins.
        tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await.unwrap_err();
        heir.pass(&shard, &batch[..3], SOON).await
    };
    let (first, second) = tokio::join!(zombie.pass(&shard, &batch, SOON * 100), both);
    assert_eq!((first.done, second.done), (0, 3));
    assert!(first.failure.unwrap().is_retryable());
    let cover = archived(&world.repo, "main", Stage::Raw).await.unwrap();
    assert_eq!(cover.last(&shard), Some(batch[2].position));
    pass_all(&world, &world.parts()).await.unwrap();
    check(&world).await;
}

#[tokio::test]
async fn a_worker_that_has_the_shard_is_left_in_peace() {
    let world = World::new();
    let pipeline = Pipeline::start(world.parts(), PipelineOptions::default()).await.unwrap();
    let receipt = pipeline.edge().ingest(&tenant("acme"), EVENTS.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    let shard = world.raw.shards().await.unwrap().remove(0).id;
    let delivery = Delivery { tenant: tenant("acme"), position: Position::from(1), payload: "".into() };
    let report = driver(world.parts(), Stage::Raw).pass(&shard, &[delivery], SOON).await;
    assert_eq!(report.failure.unwrap().message(), "another worker has the shard");
}

#[tokio::test]
async fn deliveries_out_of_order_are_refused() {
    let world = World::new();
    send(&world, EVENTS).await;
    let (shard, mut batch) = everything(&world.raw).await;
    batch.reverse();
    let report = driver(world.parts(), Stage::Raw).pass(&shard, &batch, SOON).await;
    assert_eq!(report.failure.unwrap().message(), "the deliveries of a batch are not in order");
}

#[tokio::test(start_paused = true)]
async fn names_are_discovered_though_the_call_that_stored_the_rows_broke_off() {
    let world = World::new();
    send(&world, EVENTS).await;
    let (shard, batch) = everything(&world.raw).await;
    assert_eq!(driver(world.parts(), Stage::Raw).pass(&shard, &batch, SOON).await.done, 5);
    let (shard, batch) = everything(&world.staged).await;
    let broken = Faults::new(FaultPlan::new(0).with_rule(Operation::ArchiveWrite, When::Always, Fault::Hang));
    let first = driver(world.parts(), Stage::Staged);
    assert_eq!(first.pass(&shard, &batch[..1], SOON).await.done, 1);
    assert_eq!(driver(faulty(world.parts(), &broken), Stage::Staged).pass(&shard, &batch, SOON).await.done, 1);
    // The first driver meets rows that it has not stored itself.
    assert_eq!(first.pass(&shard, &batch, SOON).await.done, batch.len());
    let parts = world.parts();
    let discovery = Discovery::new(parts.repo, parts.clock);
    discovery.load(&tenant("acme")).await.unwrap();
    let seen = discovery.seen(&tenant("acme"), &[MetricId::new("n2").unwrap()]);
    assert!(seen.names().any(|name| **name == *"x.y"), "{seen:?}");
}

async fn interrupted(points: CrashPoints) -> Result<()> {
    let world = World::new();
    send(&world, EVENTS).await;
    let faults = Faults::none().with_points(points.clone());
    match points.run(Box::pin(pass_all(&world, &faulty(world.parts(), &faults)))).await {
        Some(ended) => ended?,
        None => {
            if points.interruption() == Interruption::Crash {
                world.staged.crash();
                world.nearline.crash();
            }
            pass_all(&world, &world.parts()).await?;
        }
    }
    check(&world).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_dies_or_is_dropped_at_any_await_point_loses_and_doubles_nothing() {
    // D1, D3, N10, N12, I2, I3
    let boxed = |points| Box::pin(interrupted(points));
    for swept in [sweep(boxed).await.unwrap(), sweep_cancel(boxed).await.unwrap()] {
        println!("batches: {swept}");
        assert!(swept.points > 20 && swept.interrupted > 20, "{swept}");
    }
}

#[tokio::test]
async fn a_source_with_an_origin_is_taken_in_once_whatever_the_identity_of_its_events() {
    // I2: events without a time of their own go by their arrival.
    let world = World::new();
    let events = "{\"metrictype\":\"m\",\"timestamp\":\"soon\"}\n".repeat(3);
    for origin in ["s3://b/k@1", "s3://b/k@1", "s3://b/k@2"] {
        let options = ImportOptions::new(Routing::Tenant(tenant("acme"))).with_origin(origin);
        let report = edge(&world).import(ImportSource::Bytes(events.clone().into()), options, |_| {}).await.unwrap();
        assert_eq!(report.accepted, 3);
    }
    let (shard, batch) = everything(&world.raw).await;
    let ids: std::collections::BTreeSet<_> = batch.iter().map(|delivery| delivery.payload[2..18].to_vec()).collect();
    assert_eq!((batch.len(), ids.len()), (9, 6));
    assert_eq!(driver(world.parts(), Stage::Raw).pass(&shard, &batch, SOON).await.done, 9);
}

#[tokio::test]
async fn a_process_without_stages_takes_events_in_and_hears_when_others_have_passed_them_on() {
    // Only checkpoints say how far functions have come.
    let world = World::new();
    let options = PipelineOptions::default().with_is_alone(false).with_runs_stages(false);
    let door = Pipeline::start(world.parts(), options).await.unwrap();
    let receipt = door.edge().ingest(&tenant("acme"), EVENTS.into()).await.unwrap();
    let waits = door.wait_until_queryable(receipt.token(), SOON);
    let works = async {
        // Longer than a worker of this process would need.
        tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>()).await.unwrap_err();
        assert!(world.rows("acme", "n1", &[]).await.is_empty());
        pass_all(&world, &world.parts()).await.unwrap();
    };
    let (waited, ()) = tokio::join!(waits, works);
    waited.unwrap();
    check(&world).await;
    door.stop().await.unwrap();
}

/// Behind what of the staged stream the records of later events are, as the checkpoint of the only raw shard says.
async fn noted(world: &World) -> Position {
    let subject = Subject::system("checkpoint/main/raw/s0/stage", Keep::Latest).unwrap();
    let body = world.repo.latest(&subject).await.unwrap().unwrap().body;
    let checkpoint: serde_json::Value = serde_json::from_slice(&body).unwrap();
    checkpoint["forwarded"]["s0"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_worker_that_comes_back_reads_nothing_again_of_what_calls_forwarded_meanwhile() {
    // B1: that would be all of days.
    let world = World::new();
    let pipeline = Pipeline::start(world.parts(), PipelineOptions::default().with_retention(None)).await.unwrap();
    let receipt = pipeline.edge().ingest(&tenant("acme"), EVENTS.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    pipeline.stop().await.unwrap();
    let (before, forwarded) = (noted(&world).await, everything(&world.staged).await.1);
    assert_eq!(Some(before), forwarded.last().map(|last| last.position));
    for _ in 0..3 {
        send(&world, EVENTS).await;
        let (shard, batch) = everything(&world.raw).await;
        assert_eq!(driver(world.parts(), Stage::Raw).pass(&shard, &batch, SOON).await.done, batch.len());
    }
    let (_, forwarded) = everything(&world.staged).await;
    let last = forwarded.last().unwrap().position;
    assert!(last > before);
    assert_eq!(noted(&world).await, last);
}

#[tokio::test(start_paused = true)]
async fn of_two_losses_that_are_noted_at_once_neither_is_forgotten() {
    // D8: both look at what is noted before either of them notes its own.
    let world = World::new();
    let late = Faults::new(FaultPlan::new(0).with_rule(Operation::RepoAppend, When::Always, Fault::Late(10)));
    let driver = driver(faulty(world.parts(), &late), Stage::Raw);
    let shard = ShardId::new("s0").unwrap();
    let pass_over = |number: u64| driver.pass_over(&shard, Position::from(number), "no entry");
    let (one, other) = tokio::join!(pass_over(1), pass_over(2));
    one.unwrap();
    other.unwrap();
    let subject = Subject::system("loss/main/raw/s0", Keep::History).unwrap();
    let kept = world.repo.history(&subject, Version::NONE.next(), 10).await.unwrap();
    let mut befores: Vec<String> = kept
        .iter()
        .map(|kept| serde_json::from_slice::<serde_json::Value>(&kept.body).unwrap()["before"].to_string())
        .collect();
    befores.sort();
    assert_eq!(befores, [1_u64, 2].map(|number| format!("\"{}\"", Position::from(number))));
}

#[tokio::test]
async fn losses_that_come_again_together_are_noted_and_counted_once() {
    // D8
    let world = World::new();
    let shard = ShardId::new("s0").unwrap();
    let driver = driver(world.parts(), Stage::Raw);
    for _ in 0..3 {
        for number in [1_u64, 2, 3] {
            driver.pass_over(&shard, Position::from(number), "no entry").await.unwrap();
        }
    }
    let subject = Subject::system("loss/main/raw/s0", Keep::History).unwrap();
    let kept = world.repo.history(&subject, Version::NONE.next(), 10).await.unwrap();
    assert_eq!((kept.len(), driver.counters().losses()), (3, 3));
}
