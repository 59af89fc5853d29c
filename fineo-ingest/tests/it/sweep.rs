//! The pipeline is stopped at each of its await points, and then under random faults: nothing is lost or doubled.

use async_trait::async_trait;
use fineo_conformance::{
    fault::{CrashPoints, FaultPlan, Faults},
    pipeline::{self, Client, Stores, faulty},
    sweep, sweep_cancel,
};
use fineo_core::Result;
use fineo_ingest::{PipelineOptions, PipelineParts};

use crate::support::{SOON, World};

#[async_trait]
impl Stores for World {
    async fn parts(&self) -> Result<PipelineParts> {
        Ok(Self::parts(self))
    }

    fn crash(&self) {
        self.raw.crash();
        self.staged.crash();
        self.nearline.crash();
    }
}

async fn interrupted(points: CrashPoints) -> Result<()> {
    pipeline::interrupted(&World::new(), &PipelineOptions::default(), points).await
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
        let client = Client::default();
        for round in 0..4 {
            let parts = faulty(world.parts(), &faults);
            let sent = tokio::time::timeout(SOON * 1000, client.send(parts, &PipelineOptions::default())).await;
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
        let parts = world.parts();
        let checked = std::panic::AssertUnwindSafe(pipeline::check(&parts));
        match futures::FutureExt::catch_unwind(checked).await {
            Ok(checked) => checked.unwrap(),
            Err(panic) => {
                eprintln!("seed {seed}, plan {shown}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}
