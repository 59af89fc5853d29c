//! Slows down those who guess.
//!
//! An address that fails too often is not heard for a while. A tenant whose name is guessed with must not be locked out by
//! that: its right credentials keep working, and only the answers to wrong ones come later and later.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fineo::Timestamp;

use crate::connections::host_of;

/// How many wrong credentials an address may show in a window.
const ADDRESS_FAILURES_MAX: u32 = 20;
/// How many wrong credentials for a name are answered at once.
const NAME_FAILURES_MAX: u32 = 10;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);
/// How much later the answer to each further wrong credential for a name comes.
const DELAY_STEP: Duration = Duration::from_millis(50);
/// The latest that it comes.
const DELAY_MAX: Duration = Duration::from_secs(2);
/// How many addresses, and names, are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Remembers who failed.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    addresses: Mutex<Windows<IpAddr>>,
    names: Mutex<Windows<String>>,
}

impl Throttle {
    /// How long `address` is not heard; none when it is.
    pub(super) fn closed_for(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let windows = locked(&self.addresses);
        let window = windows.0.get(&host_of(address))?;
        (window.failures >= ADDRESS_FAILURES_MAX).then(|| window.left(now)).flatten()
    }

    /// Remembers that `address` showed a wrong credential for `name`, and says how long to wait before answering.
    pub(super) fn failed(&self, address: IpAddr, name: &str, now: Timestamp) -> Duration {
        locked(&self.addresses).add(host_of(address), now);
        let failures = locked(&self.names).add(name.to_owned(), now);
        (DELAY_STEP * failures.saturating_sub(NAME_FAILURES_MAX)).min(DELAY_MAX)
    }
}

#[derive(Debug)]
struct Windows<K>(HashMap<K, Window>);

impl<K> Default for Windows<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    begun: Timestamp,
    failures: u32,
}

impl Window {
    /// How much is left of it; none when it is over.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let passed = Duration::from_micros(now.micros().saturating_sub(self.begun.micros()).max(0).unsigned_abs());
        WINDOW.checked_sub(passed).filter(|left| !left.is_zero())
    }
}

impl<K: Eq + Hash + Clone> Windows<K> {
    /// Counts a failure of `key`.
    fn add(&mut self, key: K, now: Timestamp) -> u32 {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let window = self.0.entry(key).or_insert(Window { begun: now, failures: 0 });
        if window.left(now).is_none() {
            *window = Window { begun: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
        window.failures
    }

    /// Forgets the windows that are over; when none is, the half with the fewest failures.
    fn make_room(&mut self, now: Timestamp) {
        self.0.retain(|_, window| window.left(now).is_some());
        if self.0.len() >= REMEMBERED_MAX {
            let mut failures: Vec<u32> = self.0.values().map(|window| window.failures).collect();
            let middle = failures.len() / 2;
            let (_, median, _) = failures.select_nth_unstable(middle);
            let (median, mut extra) = (*median, middle);
            self.0.retain(|_, window| {
                let goes = window.failures <= median && extra > 0;
                extra -= usize::from(goes);
                !goes
            });
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
