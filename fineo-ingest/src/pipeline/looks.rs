//! Looks how far other processes have come: one serves everybody of this process who waits.

use std::sync::atomic::{AtomicU64, Ordering};

use fineo_core::Result;
use tokio::sync::Mutex;

/// Numbers the looks: one that began before an event was there says nothing of it.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    turn: Mutex<()>,
    /// The number of the last one that began.
    begun: AtomicU64,
    /// The number of the last one that was made.
    made: AtomicU64,
}

impl Looks {
    /// The number of the next look.
    pub(super) fn next(&self) -> u64 {
        self.begun.load(Ordering::SeqCst) + 1
    }

    /// Completes once the look `number` was made, or a later one: by `look`, unless others made one meanwhile.
    pub(super) async fn made(&self, number: u64, look: impl Future<Output = Result<()>>) -> Result<()> {
        let _turn = self.turn.lock().await;
        if self.made.load(Ordering::SeqCst) >= number {
            return Ok(());
        }
        let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let looked = look.await;
        self.made.store(this, Ordering::SeqCst);
        looked
    }
}

#[cfg(test)]
mod tests;
