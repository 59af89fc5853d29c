//! Time, sleep and chance, so that tests can hold them still.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use tokio::sync::oneshot;

use crate::Timestamp;

/// The only source of time and of waiting.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Completes once `wait` has passed on this clock.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()>;
}

/// The only source of chance.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` with chance.
    fn fill(&self, bytes: &mut [u8]);

    /// Sixteen bytes of chance.
    fn id(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }
}

/// The machine's clock. Sleeping needs a tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where time enters")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::saturating_from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is where waiting enters")]
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        async move { tokio::time::sleep(wait).await }.boxed()
    }
}

/// A clock that moves only when told to: a sleeper wakes when [`ManualClock::advance`] passes its time.
#[derive(Debug)]
pub struct ManualClock(Mutex<ManualState>);

#[derive(Debug)]
struct ManualState {
    now: Timestamp,
    sleepers: BTreeMap<(i64, u64), oneshot::Sender<()>>,
    sleepers_ever: u64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(ManualState { now, sleepers: BTreeMap::new(), sleepers_ever: 0 }))
    }

    /// Moves the clock forward by `by` and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.now = state.now.plus_micros(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
        let first_later = (state.now.micros() + 1, 0);
        let later = state.sleepers.split_off(&first_later);
        let due = std::mem::replace(&mut state.sleepers, later);
        for (_, sleeper) in due {
            // A sleeper that was dropped no longer waits.
            let _ = sleeper.send(());
        }
    }

    fn state(&self) -> MutexGuard<'_, ManualState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state();
        if wait.is_zero() {
            return futures::future::ready(()).boxed();
        }
        let due = state.now.plus_micros(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)).micros();
        let (sender, receiver) = oneshot::channel();
        state.sleepers_ever += 1;
        let key = (due, state.sleepers_ever);
        state.sleepers.insert(key, sender);
        receiver.map(|_| ()).boxed()
    }
}

/// Chance that repeats for a seed.
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    /// The chance of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl fmt::Debug for SeededEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededEntropy")
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

/// The operating system's chance, stretched by a cryptographic generator.
#[derive(Debug)]
pub struct SystemEntropy(SeededFromSystem);

struct SeededFromSystem(Mutex<StdRng>);

impl fmt::Debug for SeededFromSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StdRng")
    }
}

impl SystemEntropy {
    /// Seeds itself from the operating system.
    #[expect(clippy::disallowed_methods, reason = "this is where chance enters")]
    pub fn new() -> Self {
        Self(SeededFromSystem(Mutex::new(StdRng::from_os_rng())))
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests;
