//! The await points of a scenario, counted, and the one at which it is interrupted.

use std::{
    future::{self, Future},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::future::{Either, select};
use tokio::sync::watch;

/// What happens at the chosen point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// The process dies: no call of its wrappers ever completes again.
    Crash,
    /// The future that runs is dropped; the process goes on.
    Cancel,
}

/// Counts the await points that all wrappers pass together, and interrupts at one of them. Clones share the
/// count.
#[derive(Debug, Clone)]
pub struct CrashPoints(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    passed: AtomicU64,
    chosen: Option<u64>,
    interruption: Interruption,
    is_interrupted: AtomicBool,
    signal: watch::Sender<()>,
}

impl CrashPoints {
    /// Only counts.
    pub fn never() -> Self {
        Self::new(None, Interruption::Crash)
    }

    /// Crashes at the point `number`, counted from 0.
    pub fn crash_at(number: u64) -> Self {
        Self::new(Some(number), Interruption::Crash)
    }

    /// Cancels at the point `number`, counted from 0.
    pub fn cancel_at(number: u64) -> Self {
        Self::new(Some(number), Interruption::Cancel)
    }

    fn new(chosen: Option<u64>, interruption: Interruption) -> Self {
        Self(Arc::new(Inner {
            passed: AtomicU64::new(0),
            chosen,
            interruption,
            is_interrupted: AtomicBool::new(false),
            signal: watch::Sender::new(()),
        }))
    }

    /// What happens at the chosen point.
    pub fn interruption(&self) -> Interruption {
        self.0.interruption
    }

    /// How many points were passed, the chosen one included.
    pub fn passed(&self) -> u64 {
        self.0.passed.load(Ordering::SeqCst)
    }

    /// Whether the chosen point was reached.
    pub fn is_interrupted(&self) -> bool {
        self.0.is_interrupted.load(Ordering::SeqCst)
    }

    /// Passes one point. At the chosen one, and anywhere after a crash, this never completes.
    pub async fn pass(&self) {
        if self.is_dead() {
            future::pending::<()>().await;
        }
        let number = self.0.passed.fetch_add(1, Ordering::SeqCst);
        if self.0.chosen == Some(number) {
            self.interrupt();
            future::pending::<()>().await;
        }
    }

    /// Interrupts now, whatever point was chosen.
    pub fn interrupt(&self) {
        self.0.is_interrupted.store(true, Ordering::SeqCst);
        self.0.signal.send_replace(());
    }

    /// Completes once the chosen point is reached.
    pub async fn interrupted(&self) {
        let mut signal = self.0.signal.subscribe();
        while !self.is_interrupted() {
            if signal.changed().await.is_err() {
                return;
            }
        }
    }

    /// Runs `scenario` until it is done or interrupted; none when it was interrupted, and then it is dropped.
    ///
    /// After a crash nothing runs any more; after a cancellation further scenarios run to their end.
    pub async fn run<F: Future>(&self, scenario: F) -> Option<F::Output> {
        if self.is_dead() {
            return None;
        }
        if self.is_interrupted() {
            return Some(scenario.await);
        }
        let (scenario, interrupted) = (Box::pin(scenario), Box::pin(self.interrupted()));
        match select(scenario, interrupted).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(((), _)) => None,
        }
    }

    fn is_dead(&self) -> bool {
        self.0.interruption == Interruption::Crash && self.is_interrupted()
    }
}

impl Default for CrashPoints {
    fn default() -> Self {
        Self::never()
    }
}
