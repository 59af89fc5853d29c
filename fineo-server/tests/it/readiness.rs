//! `/readyz` says whether events get through, and a server that starts does not answer behind what it said before.

use std::{sync::Arc, time::Duration};

use fineo::{
    Clock, Fineo, Parts, TenantId, Timestamp,
    core::{ManualClock, SystemClock},
    ingest::PipelineOptions,
};
use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyNearline, FaultyStream, Operation, When};

use crate::{
    rig::{Caller, Rig},
    slices::within,
};

/// How long what was found is told.
const TOLD_FOR: Duration = Duration::from_secs(1);

const EVENT: &str = r#"{"metrictype":"m","timestamp":1}"#;

/// Stores in memory that nobody works on.
async fn parts() -> Parts {
    Fineo::memory().open().await.unwrap().parts().clone()
}

/// From the first call on, until it is stopped.
fn always(operation: Operation) -> Faults {
    Faults::new(FaultPlan::new(1).with_rule(operation, When::Always, Fault::FailBefore))
}

async fn readiness(rig: &Rig) -> (u16, String) {
    let answer = rig.caller_with(&[]).get("/readyz").await;
    (answer.status, answer.json()["reason"].as_str().unwrap_or_default().to_owned())
}

async fn until_ready(rig: &Rig) {
    within(async { while readiness(rig).await.0 != 200 {} }).await;
}

/// Stores in which an event waits for the stages.
async fn with_backlog() -> Parts {
    let parts = parts().await;
    let door = Fineo::with_parts(parts.clone()).with_pipeline(PipelineOptions::default().with_runs_stages(false));
    let door = door.open().await.unwrap();
    let receipt = door.ingest(&TenantId::new("acme").unwrap(), EVENT).await.unwrap();
    assert_eq!(receipt.accepted(), 1);
    parts
}

async fn count(acme: &Caller) -> String {
    acme.ask("SELECT count(*) AS n FROM m").await
}

#[tokio::test]
async fn a_server_is_not_ready_while_a_stage_tries_again_and_again() {
    // N5
    let faults = always(Operation::NearlineWrite);
    let mut parts = parts().await;
    parts.nearline = Arc::new(FaultyNearline::new(parts.nearline, &faults));
    let clock = Arc::new(ManualClock::new(Timestamp::saturating_from_micros(1)));
    let rig = Rig::over(Fineo::with_parts(parts).open().await.unwrap(), Arc::clone(&clock) as Arc<dyn Clock>).await;
    let acme = rig.caller("acme").await;
    assert_eq!(readiness(&rig).await, (200, String::new()));
    assert_eq!(acme.post("/v1/events", EVENT).await.status, 202);
    let in_time = async {
        // Stage raw passes it on at once; then it is stage staged that is behind.
        while faults.injected() == 0 {
            tokio::task::yield_now().await;
        }
    };
    within(in_time).await;
    clock.advance(TOLD_FOR);
    assert_eq!(readiness(&rig).await.0, 200, "it may be a moment's trouble");
    clock.advance(Duration::from_secs(29));
    assert_eq!(readiness(&rig).await.0, 200);
    clock.advance(Duration::from_secs(1));
    let stuck = "stage staged has passed nothing on for 30 seconds, though events wait";
    assert_eq!(readiness(&rig).await, (503, stuck.to_owned()));
    faults.stop();
    let passed_on = async {
        while readiness(&rig).await.0 != 200 {
            clock.advance(TOLD_FOR);
        }
    };
    within(passed_on).await;
    assert_eq!(count(&acme).await, "n\n1\n");
}

#[tokio::test]
async fn a_server_whose_stream_takes_nothing_is_not_ready() {
    // D5
    let faults = always(Operation::StreamSync);
    let mut parts = parts().await;
    parts.raw = Arc::new(FaultyStream::new(parts.raw, &faults));
    let clock = Arc::new(ManualClock::new(Timestamp::saturating_from_micros(1)));
    let rig = Rig::over(Fineo::with_parts(parts).open().await.unwrap(), Arc::clone(&clock) as Arc<dyn Clock>).await;
    let (status, reason) = readiness(&rig).await;
    assert!(status == 503 && reason.starts_with("the stream takes no events: "), "{status} {reason}");
    faults.stop();
    assert_eq!(readiness(&rig).await, (status, reason), "nobody looks again within a second");
    clock.advance(TOLD_FOR);
    assert_eq!(readiness(&rig).await.0, 200);
}

#[tokio::test]
async fn a_server_that_starts_answers_with_what_was_accepted_before() {
    // D2, F1
    let fineo = Fineo::with_parts(with_backlog().await).open().await.unwrap();
    let rig = Rig::over(fineo, Arc::new(SystemClock)).await;
    let acme = rig.caller("acme").await;
    assert_eq!(count(&acme).await, "n\n1\n");
    assert_eq!(readiness(&rig).await.0, 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_server_whose_stages_cannot_catch_up_says_so_and_answers_all_the_same() {
    let faults = always(Operation::NearlineWrite);
    let mut parts = with_backlog().await;
    parts.nearline = Arc::new(FaultyNearline::new(parts.nearline, &faults));
    let rig = Rig::over(Fineo::with_parts(parts).open().await.unwrap(), Arc::new(SystemClock)).await;
    let acme = rig.caller("acme").await;
    assert_eq!(acme.ask("SELECT 1 AS n").await, "n\n1\n");
    let behind = "what was accepted before the start is still being passed on";
    assert_eq!(readiness(&rig).await, (503, behind.to_owned()));
    faults.stop();
    until_ready(&rig).await;
    assert_eq!(count(&acme).await, "n\n1\n");
}

#[tokio::test]
async fn a_server_without_stages_is_ready_whatever_waits_for_them() {
    let parts = with_backlog().await;
    let door = Fineo::with_parts(parts).with_pipeline(PipelineOptions::default().with_runs_stages(false));
    let rig = Rig::over(door.open().await.unwrap(), Arc::new(SystemClock)).await;
    assert_eq!(readiness(&rig).await, (200, String::new()));
}
