//! The pipeline is stopped at each of its await points, and then under random faults: nothing is lost or doubled.

use std::sync::Arc;

use fineo_conformance::{
    fault::{CrashPoints, FaultPlan, Faults, FaultyArchive, FaultyNearline, FaultyRepo, FaultyStream, Interruption},
    sweep, sweep_cancel,
};
use fineo_core::{Error, Result};
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts};
use fineo_schema::{Discovery, SchemaStore};

use crate::support::{SOON, World, tenant};

const ACME: &str = r#"{"metrictype":"m","timestamp":1,"a":1,"b":23}
{"metrictype":"m","timestamp":1,"a":12,"b":3}
{"b":23,"a":1,"timestamp":1,"metrictype":"m"}
{"metrictype":"n","timestamp":2,"x":{"y":"z"}}
{"metrictype":"m","timestamp":"soon"}
{"metrictype":"m","timestamp":3"#;
const BETA: &str = r#"[{"metrictype":"m","timestamp":1,"a":1,"b":23},{"metrictype":"m","timestamp":2,"a":1,"a":2}]"#;

pub(crate) fn faulty(world: &World, faults: &Faults) -> PipelineParts {
    let mut parts = world.parts();
    parts.raw = Arc::new(FaultyStream::new(parts.raw, faults));
    parts.staged = Arc::new(FaultyStream::new(parts.staged, faults));
    parts.archive = Arc::new(FaultyArchive::new(parts.archive, faults));
    parts.nearline = Arc::new(FaultyNearline::new(parts.nearline, faults));
    parts.repo = Arc::new(FaultyRepo::new(parts.repo, faults));
    parts.schemas = SchemaStore::new(Arc::clone(&parts.repo), Arc::clone(&parts.clock));
    parts.discovery = Discovery::new(Arc::clone(&parts.repo), Arc::clone(&parts.clock));
    parts
}

/// Sends both bodies as far as they are not in `acknowledged`, waits for them and stops.
async fn send(parts: PipelineParts, acknowledged: &std::sync::Mutex<Vec<&'static str>>) -> Result<()> {
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await?;
    for (name, body) in [("acme", ACME), ("beta", BETA)] {
        if acknowledged.lock().unwrap().contains(&name) {
            continue;
        }
        let receipt = pipeline.edge().ingest(&tenant(name), body.into()).await?;
        if !receipt.failed().is_empty() {
            return Err(Error::unavailable("some events were not taken, send again"));
        }
        acknowledged.lock().unwrap().push(name);
        pipeline.wait_until_queryable(receipt.token(), SOON * 100).await?;
    }
    pipeline.stop().await
}

/// Every accepted event is a row or an error, once; every error row is one of the two that there should be.
async fn check(world: &World) {
    let m = ["1 m a=1 b=23", "1 m a=12 b=3"].map(|row| format!("{}000 {}", &row[..1], &row[2..]));
    assert_eq!(world.rows("acme", "n1", &["a", "b"]).await, m);
    assert_eq!(world.rows("acme", "n2", &["x.y"]).await, ["2000 n x.y=z"]);
    assert_eq!(world.rows("beta", "n1", &["a", "b"]).await, ["1000 m a=1 b=23"]);
    let codes = |rows: Vec<String>| {
        let mut codes: Vec<String> = rows.iter().map(|row| row.rsplit('=').next().unwrap().to_owned()).collect();
        codes.sort();
        codes
    };
    let acme = codes(world.rows("acme", "errors", &["code"]).await);
    // A body that was sent again has its bad events again: those go by their arrival.
    let expected = ["json_unreadable", "timestamp_unreadable"];
    let mut distinct = acme.clone();
    distinct.dedup();
    assert_eq!(distinct, expected);
    assert!(acme.len() <= 2 * expected.len(), "{acme:?}");
    let beta = codes(world.rows("beta", "errors", &["code"]).await);
    assert!(!beta.is_empty() && beta.len() <= 2 && beta.iter().all(|code| code == "duplicate_key"), "{beta:?}");
    let (raw, staged) = world.archived("acme").await;
    assert!(raw >= 6 && staged >= 4, "archived {raw} events and {staged} records");
}

async fn interrupted(points: CrashPoints) -> Result<()> {
    let world = World::new();
    let acknowledged = std::sync::Mutex::default();
    let faults = Faults::none().with_points(points.clone());
    let ended = points.run(send(faulty(&world, &faults), &acknowledged)).await;
    if let Some(ended) = ended {
        ended?;
    } else {
        if points.interruption() == Interruption::Crash {
            world.raw.crash();
            world.staged.crash();
            world.nearline.crash();
        }
        send(world.parts(), &acknowledged).await?;
    }
    check(&world).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_point_loses_and_doubles_nothing() {
    // D1, D3, N3, N12, I2, I3
    let swept = sweep(interrupted).await.unwrap();
    println!("crash: {swept}");
    assert!(swept.points > 50 && swept.interrupted > 50, "{swept}");
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_at_any_await_point_loses_and_doubles_nothing() {
    // N10
    let swept = sweep_cancel(interrupted).await.unwrap();
    println!("cancel: {swept}");
    assert!(swept.interrupted > 50, "{swept}");
}

#[tokio::test(start_paused = true)]
async fn random_faults_lose_and_double_nothing_and_leave_no_error_rows() {
    // N1, N2, N5, N6, N7, N11
    for seed in 0..300 {
        let plan = FaultPlan::random(seed);
        let shown = plan.to_string();
        let world = World::new();
        let faults = Faults::new(plan);
        let acknowledged = std::sync::Mutex::default();
        for round in 0..4 {
            let parts = faulty(&world, &faults);
            let sent = tokio::time::timeout(SOON * 1000, send(parts, &acknowledged)).await;
            match sent {
                Ok(Ok(())) => break,
                // The client sends again what was not acknowledged; in the end the backend recovers.
                Ok(Err(error)) => assert!(round < 3, "seed {seed}, plan {shown}: {error:?}"),
                Err(_) => panic!("seed {seed} hangs, plan {shown}"),
            }
            if round == 2 {
                faults.stop();
            }
        }
        let checked = std::panic::AssertUnwindSafe(check(&world));
        if let Err(panic) = futures::FutureExt::catch_unwind(checked).await {
            eprintln!("seed {seed}, plan {shown}");
            std::panic::resume_unwind(panic);
        }
    }
}
