//! Both stages on the emulators, stopped where they wait: nothing is lost and nothing is doubled.

use std::sync::Arc;

use async_trait::async_trait;
use fineo_backend_aws::Aws;
use fineo_conformance::{
    Part,
    fault::CrashPoints,
    pipeline::{Stores, interrupted},
    sweep_part,
};
use fineo_core::{Entropy, Result, SystemClock, SystemEntropy};
use fineo_ingest::{PipelineOptions, PipelineParts};

use crate::{
    cases::{Run, everywhere, trial},
    delivered::by_delivery,
};

/// How many of the points are tried, or `all`.
const POINTS: &str = "FINEO_SWEEP_POINTS";
/// What chooses them.
const SEED: &str = "FINEO_SWEEP_SEED";
const POINTS_MAX: u64 = 36;
/// Processes that wait for emulators most of their time.
const AT_ONCE: usize = 6;

/// The trials of whole pipelines.
pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
    let cases: [(&str, Run); 2] = [
        ("aws, N3, N12: a crash at an await point of the pipeline loses nothing and doubles nothing", || {
            Box::pin(swept(POINTS_MAX, run))
        }),
        ("aws, N3, N12: nor does one where Firehose writes the archive", || {
            Box::pin(swept(POINTS_MAX / 4, run_delivered))
        }),
    ];
    cases.into_iter().map(trial).collect()
}

/// A place of its own. Each process connects anew: it knows nothing of the one before.
pub(crate) struct OnAws(pub(crate) Aws);

#[async_trait]
impl Stores for OnAws {
    async fn parts(&self) -> Result<PipelineParts> {
        let aws = Aws::connect(self.0.options().clone()).await?;
        Ok(PipelineParts::new(aws.stores(), Arc::new(SystemClock), Arc::new(SystemEntropy::new())))
    }

    /// AWS keeps what it answered for.
    fn crash(&self) {}
}

async fn run(points: CrashPoints) -> Result<()> {
    let options = everywhere().await?.options().clone().with_shards(Some(1));
    run_on(OnAws(Aws::open(options).await?), points).await
}

async fn run_delivered(points: CrashPoints) -> Result<()> {
    let options = everywhere().await?.options().clone().with_shards(Some(1));
    run_on(OnAws(by_delivery(options).await?), points).await
}

async fn run_on(stores: OnAws, points: CrashPoints) -> Result<()> {
    // The process before is dead, so that nobody waits for its leases.
    Box::pin(interrupted(&stores, &PipelineOptions::default().with_is_alone(true), points)).await?;
    stores.0.delete_everything().await
}

async fn swept<F>(points_max: u64, run: fn(CrashPoints) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    everywhere().await?;
    let said = |name: &str| std::env::var(name).ok();
    let points_max = match said(POINTS) {
        Some(points) if points == "all" => None,
        points => Some(points.and_then(|points| points.parse().ok()).unwrap_or(points_max)),
    };
    let by_chance = || {
        let mut chance = [0; 4];
        SystemEntropy::new().fill(&mut chance);
        u64::from(u32::from_le_bytes(chance))
    };
    let seed = said(SEED).and_then(|seed| seed.parse().ok()).unwrap_or_else(by_chance);
    println!("points by seed {seed}; {SEED} sets another, {POINTS} their number, or all");
    let swept = Box::pin(sweep_part(run, Part { points_max, seed, at_once: AT_ONCE })).await?;
    println!("crash on AWS: {swept}");
    assert!(swept.points > 50 && swept.interrupted > 0, "{swept}");
    Ok(())
}
