//! A sweep finds the one point at which a careless scenario loses data.

use std::sync::Arc;

use fineo_backend_memory::MemoryStream;
use fineo_core::{Error, Result, Stream};

use super::{Part, Sweep, sweep, sweep_cancel, sweep_part};
use crate::{
    fault::{CrashPoints, Faults, FaultyStream, Interruption},
    support::{entry, shard},
};

/// Appends, syncs when `is_careful`, and claims to have acknowledged; what was acknowledged must survive.
async fn scenario(points: CrashPoints, is_careful: bool) -> Result<()> {
    let inner = MemoryStream::new("test", 1);
    let stream = FaultyStream::new(Arc::new(inner.clone()), &Faults::none().with_points(points.clone()));
    let mut acknowledged = 0;
    let process = async {
        for _ in 0..3 {
            stream.append(vec![entry(1, "x")]).await.remove(0).into_result()?;
            if is_careful {
                stream.sync().await.into_result()?;
            }
            acknowledged += 1;
        }
        Result::Ok(())
    };
    let outcome = points.run(process).await;
    outcome.transpose()?;
    if points.is_interrupted() && points.interruption() == Interruption::Crash {
        inner.crash();
    }
    let tail = inner.tail(&shard("s0")).await?.and_then(|tail| tail.to_u128()).unwrap_or(0);
    if tail < acknowledged {
        return Err(Error::internal("lost what was acknowledged"));
    }
    Ok(())
}

#[tokio::test]
async fn a_careful_scenario_survives_a_crash_at_every_point() {
    let swept = sweep(|points| scenario(points, true)).await.unwrap();
    assert_eq!(swept, Sweep { points: 12, interrupted: 12 });
}

#[tokio::test]
async fn a_careful_scenario_survives_a_cancellation_at_every_point() {
    let swept = sweep_cancel(|points| scenario(points, true)).await.unwrap();
    assert_eq!(swept, Sweep { points: 12, interrupted: 12 });
}

#[tokio::test]
async fn a_careless_scenario_is_caught_with_the_point_named() {
    let error = sweep(|points| scenario(points, false)).await.unwrap_err();
    assert_eq!(error.context(), [("interrupted_at", "2".to_owned())]);
}

#[tokio::test]
async fn a_part_of_the_points_is_spread_over_all_of_them_by_its_seed() {
    let part = |points_max, seed| Part { points_max, seed, at_once: 3 };
    let swept = sweep_part(|points| scenario(points, true), part(Some(5), 7)).await.unwrap();
    assert_eq!(swept, Sweep { points: 12, interrupted: 5 });
    for seed in 0..100 {
        assert_eq!(part(None, seed).of(12), (0..12).collect::<Vec<_>>());
        let chosen = part(Some(4), seed).of(12);
        assert_eq!(chosen.iter().map(|point| point / 3).collect::<Vec<_>>(), [0, 1, 2, 3], "{chosen:?}");
        assert_eq!(chosen, part(Some(4), seed).of(12));
    }
}
