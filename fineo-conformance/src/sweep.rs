//! Interrupts a scenario at each of its await points in turn.

use std::{fmt, future::Future, time::Duration};

use fineo_core::{Error, ErrorKind, Result};
use futures::{StreamExt, TryStreamExt, stream};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::fault::{CrashPoints, Interruption};

/// The longest that one run may take before it counts as hanging.
const RUN_MAX: Duration = Duration::from_secs(60);

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// How many await points the undisturbed run has.
    pub points: u64,
    /// How many of the runs reached the point at which they were to be interrupted.
    pub interrupted: u64,
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} await points, {} runs interrupted", self.points, self.interrupted)
    }
}

/// Which of a scenario's points a sweep interrupts, for one whose runs wait for services.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The most points; none for all of them. Fewer are spread over the whole scenario, each at a place by chance.
    pub points_max: Option<u64>,
    /// What chance begins with.
    pub seed: u64,
    /// How many runs go on at a time.
    pub at_once: usize,
}

impl Part {
    /// Each point, one after another.
    const ALL: Self = Self { points_max: None, seed: 0, at_once: 1 };

    fn of(self, points: u64) -> Vec<u64> {
        let count = self.points_max.map_or(points, |most| most.min(points));
        let mut chance = StdRng::seed_from_u64(self.seed);
        (0..count).map(|part| chance.random_range(part * points / count..(part + 1) * points / count)).collect()
    }
}

/// Runs `run` once undisturbed, counts its await points, and then once for each point with a crash there.
///
/// `run` builds everything anew, gives the points to its wrappers
/// ([`Faults::with_points`](crate::fault::Faults::with_points)), runs its process by [`CrashPoints::run`], and,
/// when that answers none, loses what was not synced, restarts and checks what it promises.
///
/// # Errors
///
/// The first that a run answers, with the point at which it was interrupted.
pub async fn sweep<F, R>(run: F) -> Result<Sweep>
where
    F: Fn(CrashPoints) -> R,
    R: Future<Output = Result<()>>,
{
    sweep_by(run, CrashPoints::crash_at, Part::ALL).await
}

/// As [`sweep()`], with crashes at some of the points.
///
/// # Errors
///
/// As [`sweep()`].
pub async fn sweep_part<F, R>(run: F, part: Part) -> Result<Sweep>
where
    F: Fn(CrashPoints) -> R,
    R: Future<Output = Result<()>>,
{
    sweep_by(run, CrashPoints::crash_at, part).await
}

/// As [`sweep()`], but at each point the future that runs is dropped while the process goes on.
///
/// # Errors
///
/// As [`sweep()`].
pub async fn sweep_cancel<F, R>(run: F) -> Result<Sweep>
where
    F: Fn(CrashPoints) -> R,
    R: Future<Output = Result<()>>,
{
    sweep_by(run, CrashPoints::cancel_at, Part::ALL).await
}

async fn sweep_by<F, R>(run: F, points_at: fn(u64) -> CrashPoints, part: Part) -> Result<Sweep>
where
    F: Fn(CrashPoints) -> R,
    R: Future<Output = Result<()>>,
{
    let counting = CrashPoints::never();
    one(&run, &counting, None).await?;
    let run = &run;
    let runs = part.of(counting.passed()).into_iter().map(|number| async move {
        let points = points_at(number);
        one(run, &points, Some(number)).await?;
        Ok(u64::from(points.is_interrupted()))
    });
    let runs = stream::iter(runs).buffer_unordered(part.at_once);
    let interrupted = runs.try_fold(0, async |sum, interrupted| Ok(sum + interrupted)).await?;
    Ok(Sweep { points: counting.passed(), interrupted })
}

async fn one<F, R>(run: &F, points: &CrashPoints, number: Option<u64>) -> Result<()>
where
    F: Fn(CrashPoints) -> R,
    R: Future<Output = Result<()>>,
{
    let mut said = Said { number, interruption: points.interruption(), is_done: false };
    let outcome = tokio::time::timeout(RUN_MAX, run(points.clone())).await;
    let outcome = outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::LimitExceeded, "the run hangs")));
    said.is_done = outcome.is_ok();
    outcome.map_err(|error| match number {
        Some(number) => error.with("interrupted_at", number),
        None => error,
    })
}

/// Says where the run was interrupted, unless it ends well: a failed assertion does not know.
struct Said {
    number: Option<u64>,
    interruption: Interruption,
    is_done: bool,
}

impl Drop for Said {
    fn drop(&mut self) {
        if !self.is_done {
            match self.number {
                Some(number) => eprintln!("failed with {:?} at await point {number}", self.interruption),
                None => eprintln!("failed without an interruption"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
