//! How often a process looks how far other ones have come, however many wait (T8).

use std::{sync::Arc, time::Duration};

use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyNearline, Operation, When};
use fineo_core::Clock;
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts};
use futures::future::join_all;

use crate::support::{Outage, PausedClock, SOON, World, tenant};

const EVENT: &str = r#"{"metrictype":"m","timestamp":1,"v":1}"#;

fn options(owner: &str) -> PipelineOptions {
    PipelineOptions::default().with_is_alone(false).with_owner(Some(owner.to_owned()))
}

/// A process over a repository that counts how often it is asked.
async fn counted(parts: PipelineParts, options: PipelineOptions, world: &World) -> (Pipeline, Arc<Outage>) {
    let repo = Arc::new(Outage::new(world.repo.clone()));
    let parts = PipelineParts { repo: Arc::clone(&repo) as _, ..parts };
    (Pipeline::start(parts, options).await.unwrap(), repo)
}

/// Sends an event, for which so many wait, one a little after the other.
async fn wait(pipeline: &Pipeline, clock: &PausedClock, waiters: u64) {
    let receipt = pipeline.edge().ingest(&tenant("acme"), EVENT.into()).await.unwrap();
    let waits = (0..waiters).map(|number| {
        let (after, token) = (clock.sleep(Duration::from_millis(20 * number)), receipt.token());
        async move {
            after.await;
            pipeline.wait_until_queryable(token, SOON * 3).await.unwrap();
        }
    });
    join_all(waits).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_hears_of_others_asks_no_more_often_when_many_wait() {
    let mut asked = Vec::new();
    for waiters in [1, 20] {
        let (world, clock) = (World::new(), Arc::new(PausedClock::new()));
        let parts = || PipelineParts { clock: Arc::clone(&clock) as _, ..world.parts() };
        let worker = Pipeline::start(parts(), options("worker")).await.unwrap();
        let (asking, repo) = counted(parts(), options("asking").with_runs_stages(false), &world).await;
        let (before, begun) = (repo.listed(), clock.now());
        wait(&asking, &clock, waiters).await;
        let waited = clock.now().micros() - begun.micros();
        assert!((5_000_000..25_000_000).contains(&waited), "the worker cuts later, and is heard of soon: {waited}");
        asked.push(repo.listed() - before);
        asking.stop().await.unwrap();
        worker.stop().await.unwrap();
    }
    assert!(asked[0] > 20 && asked[1] <= asked[0] * 11 / 10, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_works_on_every_shard_in_question_asks_nobody() {
    let (world, clock) = (World::new(), Arc::new(PausedClock::new()));
    let mut parts = PipelineParts { clock: Arc::clone(&clock) as _, ..world.parts() };
    // The store is down for some seconds.
    let plan = FaultPlan::new(0).with_rule(Operation::NearlineWrite, When::Between(0, 8), Fault::FailBefore);
    parts.nearline = Arc::new(FaultyNearline::new(parts.nearline, &Faults::new(plan)));
    // A trim asks which checkpoints there are, and so does a look.
    let (pipeline, repo) = counted(parts, options("worker").with_retention(None), &world).await;
    clock.sleep(SOON).await;
    let begun = clock.now();
    wait(&pipeline, &clock, 20).await;
    assert!(clock.now().micros() - begun.micros() > 2_000_000);
    assert_eq!(repo.listed(), 0);
    pipeline.stop().await.unwrap();
}
