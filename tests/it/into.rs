//! Archived events that are sent to another instance.

use std::sync::Arc;

use fineo::{ErrorKind, Fineo, Parts, ReplayRequest, Speed, Stage, core::SystemClock};
use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyNearline, Operation, When};

use crate::support::{ingest, rows, tenant};

/// An instance whose nearline store answers each write as `fault` says.
async fn slow(fault: Fault) -> Fineo {
    let fineo = Fineo::memory().open().await.unwrap();
    let parts = fineo.parts().clone();
    fineo.close().await.unwrap();
    let plan = FaultPlan::new(0).with_rule(Operation::NearlineWrite, When::Always, fault);
    let faults = Faults::new(plan).with_clock(Arc::new(SystemClock));
    let nearline = Arc::new(FaultyNearline::new(Arc::clone(&parts.nearline), &faults));
    Fineo::with_parts(Parts { nearline, ..parts }).open().await.unwrap()
}

// N2
#[tokio::test(start_paused = true)]
async fn sending_to_another_instance_takes_as_long_as_that_one_moves_on() {
    let acme = tenant("acme");
    let fineo = Fineo::memory().open().await.unwrap();
    let parts = fineo.parts().clone();
    fineo.close().await.unwrap();
    // Each in a segment of its own, so that they are sent one after another.
    for number in 0..4 {
        let fineo = Fineo::with_parts(parts.clone()).open().await.unwrap();
        ingest(&fineo, &acme, format!(r#"{{"metrictype":"room","timestamp":{number},"n":{number}}}"#)).await;
        fineo.close().await.unwrap();
    }
    let fineo = Fineo::with_parts(parts).open().await.unwrap();
    let request = ReplayRequest::new(Stage::Raw, acme.clone());
    let other = slow(Fault::Late(45_000)).await;
    assert_eq!(fineo.replay_into(&request, &other, Speed::Recorded).await.unwrap().events, 4);
    tokio::time::resume();
    assert_eq!(rows(&other, &acme, "SELECT count(*) FROM room").await, ["4"]);
    tokio::time::pause();

    let stuck = slow(Fault::FailBefore).await;
    let error = fineo.replay_into(&request, &stuck, Speed::Fastest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
}
