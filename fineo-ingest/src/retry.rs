//! Tries again what a backend could not do just now.

use std::{sync::Arc, time::Duration};

use fineo_core::{
    Clock, Entropy, Error, ErrorKind, Outcome, Result, Stream,
    stream::{Appended, Entry},
};

const FIRST_WAIT: Duration = Duration::from_millis(20);
const LAST_WAIT: Duration = Duration::from_secs(10);
/// Where some of an append was taken, the rest is tried again within a second: a shard of a service takes so much each second.
const WAITS_WITH_PROGRESS: u32 = 4;
/// The most bytes of one append.
const APPEND_BYTES_MAX: usize = 8 << 20;

/// How long to wait between tries, and how often to try.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tries_max: u32,
    /// For how long a stream that asks for patience is tried beyond that.
    patience: Duration,
}

impl Retry {
    /// Tries for ever.
    pub(crate) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, tries_max: u32::MAX, patience: Duration::ZERO }
    }

    pub(crate) fn with_tries_max(mut self, tries: u32) -> Self {
        self.tries_max = tries;
        self
    }

    /// With patience for a stream that takes no more just now.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Waits before try number `tries` (the first is 1), as the backend asks or with jitter.
    pub(crate) async fn wait(&self, tries: u32, error: &Error) {
        let exponential = FIRST_WAIT.saturating_mul(1 << tries.min(16)).min(LAST_WAIT);
        let mut chance = [0; 2];
        self.entropy.fill(&mut chance);
        // Half of it for sure, the other half by chance: those who failed together do not come back together.
        let jittered = exponential / 2 + exponential / 2 * u32::from(u16::from_le_bytes(chance)) / 65_536;
        self.clock.sleep(error.retry_after().map_or(jittered, |asked| asked + jittered)).await;
    }

    /// Whether an error is the backend's and may pass. A cut connection or a lost reply is no verdict on the data.
    pub(crate) fn may_pass(error: &Error) -> bool {
        error.is_retryable() || error.may_have_applied() || error.kind() == ErrorKind::Cancelled
    }

    /// Calls `attempt` until it is done or fails for good.
    pub(crate) async fn until_done<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tries = 0;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            tries += 1;
            if !Self::may_pass(&error) || tries >= self.tries_max {
                return Err(error);
            }
            tracing::warn!(%error, tries, "the backend failed, trying again");
            self.wait(tries, &error).await;
        }
    }

    /// Appends `entries`; answers in their order. An error is left only where trying again does not help.
    /// Entries whose outcome is unknown are appended again: the same bytes are the same event.
    pub(crate) async fn append(&self, stream: &dyn Stream, entries: Vec<Entry>) -> Vec<Result<Appended>> {
        let mut done: Vec<Option<Result<Appended>>> = vec![None; entries.len()];
        let mut left: Vec<usize> = (0..entries.len()).collect();
        let until = self.clock.now().plus_micros(i64::try_from(self.patience.as_micros()).unwrap_or(i64::MAX));
        let (mut tries, mut waits) = (0, 0);
        while !left.is_empty() {
            let mut again = Vec::new();
            let mut last_error = None;
            let is_patient = self.clock.now() < until;
            let is_waited_for = |error: &Error| is_patient && error.kind() == ErrorKind::Throttled;
            let mut is_try = false;
            for part in parts(stream, &entries, &left) {
                let batch = part.iter().map(|index| entries[*index].clone()).collect();
                for (index, outcome) in part.iter().zip(stream.append(batch).await) {
                    match outcome {
                        Outcome::Done(appended) => done[*index] = Some(Ok(appended)),
                        Outcome::NotDone(error) if is_waited_for(&error) => {
                            again.push(*index);
                            last_error = Some(error);
                        }
                        Outcome::NotDone(error) if !Self::may_pass(&error) || tries + 1 >= self.tries_max => {
                            done[*index] = Some(Err(error));
                        }
                        Outcome::Unknown(error) if tries + 1 >= self.tries_max => {
                            done[*index] = Some(Err(error.and_may_have_applied()));
                        }
                        Outcome::NotDone(error) | Outcome::Unknown(error) => {
                            is_try = true;
                            again.push(*index);
                            last_error = Some(error);
                        }
                    }
                }
            }
            let before = left.len();
            left = again;
            if let Some(error) = last_error {
                tries += u32::from(is_try);
                // Who has a time for it keeps to that, others to tries that change nothing.
                if left.len() < before && self.patience.is_zero() {
                    tries = 0;
                }
                waits = if left.len() < before { waits.min(WAITS_WITH_PROGRESS) } else { waits } + 1;
                tracing::warn!(%error, entries = left.len(), "an append failed in part, trying the rest again");
                self.wait(waits, &error).await;
            }
        }
        let unanswered =
            || Err(Error::internal("the stream answered fewer outcomes than entries").and_may_have_applied());
        done.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
    }
}

/// Cuts `left` into appends that the stream takes.
fn parts<'a>(stream: &dyn Stream, entries: &[Entry], left: &'a [usize]) -> Vec<&'a [usize]> {
    let entries_max = stream.capabilities().entries_max.max(1);
    let mut parts = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (at, index) in left.iter().enumerate() {
        let size = entries[*index].payload.len();
        if at > start && (at - start >= entries_max || bytes + size > APPEND_BYTES_MAX) {
            parts.push(&left[start..at]);
            start = at;
            bytes = 0;
        }
        bytes += size;
    }
    if start < left.len() {
        parts.push(&left[start..]);
    }
    parts
}
