//! Waits between tries: longer each time, and never all at once.

use std::{sync::Arc, time::Duration};

use fineo_core::{Clock, Entropy};

const FIRST_WAIT: Duration = Duration::from_millis(10);
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Waits between the tries of one call.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tries: u32,
    tries_max: u32,
}

impl Backoff {
    pub(crate) fn new(clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>, tries_max: u32) -> Self {
        Self { clock: Arc::clone(clock), entropy: Arc::clone(entropy), tries: 0, tries_max }
    }

    /// Waits and answers true, or answers false when there were tries enough.
    pub(crate) async fn wait(&mut self) -> bool {
        self.tries += 1;
        if self.tries >= self.tries_max {
            return false;
        }
        let longest = FIRST_WAIT.saturating_mul(1 << self.tries.min(16)).min(LAST_WAIT);
        let mut chance = [0; 2];
        self.entropy.fill(&mut chance);
        let wait = longest * u32::from(u16::from_le_bytes(chance)) / 65_536;
        self.clock.sleep(wait).await;
        true
    }

    /// Forgets the tries so far: there was progress.
    pub(crate) fn restart(&mut self) {
        self.tries = 0;
    }
}
