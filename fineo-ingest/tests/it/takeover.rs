//! Names that only rows bear which are met again are counted by whoever goes on, once (N12).

use std::{sync::Arc, time::Duration};

use fineo_conformance::{
    fault::{Fault, FaultPlan, Faults, Operation, When},
    pipeline::faulty,
};
use fineo_core::{Clock, MetricId};
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts};
use fineo_schema::Discovery;

use crate::support::{PausedClock, SOON, World, tenant};

async fn ingest(pipeline: &Pipeline, events: &str) {
    let receipt = pipeline.edge().ingest(&tenant("acme"), events.to_owned().into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON * 3).await.unwrap();
}

fn event(time: u8, field: &str) -> String {
    format!(r#"{{"metrictype":"m","timestamp":{time},"{field}":1}}"#)
}

/// How often each name was counted, as a process that begins now reads it.
async fn counts(world: &World) -> Vec<(String, u64)> {
    let parts = world.parts();
    let discovery = Discovery::new(parts.repo, parts.clock);
    discovery.load(&tenant("acme")).await.unwrap();
    let seen = discovery.seen(&tenant("acme"), &[MetricId::new("n1").unwrap()]);
    seen.stats().iter().map(|stats| (stats.name.to_string(), stats.count)).collect()
}

fn counted(names: &[(&str, u64)]) -> Vec<(String, u64)> {
    names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_takes_a_shard_over_counts_the_names_of_rows_that_another_one_stored() {
    let (world, clock) = (World::new(), Arc::new(PausedClock::new()));
    let parts = || PipelineParts { clock: Arc::clone(&clock) as _, ..world.parts() };
    let options = |owner: &str| {
        let options = PipelineOptions::default().with_is_alone(false).with_owner(Some(owner.to_owned()));
        options.with_cut_after(Duration::from_secs(20))
    };
    let worker = Pipeline::start(parts(), options("worker")).await.unwrap();
    ingest(&worker, &event(1, "v")).await;
    clock.sleep(Duration::from_secs(30)).await;
    // It knows of the names that were saved by now, and of no later ones.
    let waiting_parts = parts();
    waiting_parts.discovery.load(&tenant("acme")).await.unwrap();
    let waiting = Pipeline::start(waiting_parts, options("waiting")).await.unwrap();
    ingest(&worker, &[event(2, "v"), event(3, "v")].join("\n")).await;
    clock.sleep(Duration::from_secs(30)).await;
    assert_eq!(counts(&world).await, counted(&[("v", 3)]));
    ingest(&worker, &[event(4, "v"), event(5, "only")].join("\n")).await;
    drop(worker);
    clock.sleep(Duration::from_secs(30)).await;
    ingest(&waiting, &event(6, "v")).await;
    waiting.stop().await.unwrap();
    assert_eq!(counts(&world).await, counted(&[("v", 5), ("only", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_write_was_applied_and_not_answered_is_a_new_one() {
    let world = World::new();
    let plan = FaultPlan::new(0).with_rule(Operation::NearlineWrite, When::Nth(0), Fault::FailAfter);
    let parts = faulty(world.parts(), &Faults::new(plan));
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    ingest(&pipeline, &[event(1, "v"), event(1, "v")].join("\n")).await;
    let acme = pipeline.counters().tenant(&tenant("acme"));
    assert_eq!((acme.rows, acme.duplicates), (1, 1));
    pipeline.stop().await.unwrap();
    assert_eq!(counts(&world).await, counted(&[("v", 1)]));
}
