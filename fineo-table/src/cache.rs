//! Things worth keeping in memory, as long as there is room.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A cache with a bound on bytes; what was not used for longest goes first.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    slots: Mutex<Slots<K, V>>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Slots<K, V> {
    by_key: HashMap<K, Slot<V>>,
    bytes: usize,
    /// Counts uses, to know what was not used for long.
    uses: u64,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// An empty cache.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { slots: Mutex::new(Slots { by_key: HashMap::new(), bytes: 0, uses: 0 }), bytes_max }
    }

    /// What is kept under `key`.
    pub(crate) fn find(&self, key: &K) -> Option<V> {
        let mut slots = self.slots();
        slots.uses += 1;
        let used = slots.uses;
        let slot = slots.by_key.get_mut(key)?;
        slot.used = used;
        Some(slot.value.clone())
    }

    /// Keeps `value`, which takes `bytes`, unless `stays` prefers what is there.
    pub(crate) fn keep(&self, key: K, value: V, bytes: usize, stays: impl FnOnce(&V) -> bool) {
        let mut slots = self.slots();
        if slots.by_key.get(&key).is_some_and(|slot| stays(&slot.value)) {
            return;
        }
        slots.uses += 1;
        let slot = Slot { value, bytes, used: slots.uses };
        slots.bytes += bytes;
        if let Some(old) = slots.by_key.insert(key, slot) {
            slots.bytes -= old.bytes;
        }
        if slots.bytes > self.bytes_max {
            slots.evict(self.bytes_max / 4 * 3);
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots<K, V>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V> Slots<K, V> {
    fn evict(&mut self, bytes_max: usize) {
        let mut by_use: Vec<(u64, K)> = self.by_key.iter().map(|(key, slot)| (slot.used, key.clone())).collect();
        by_use.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in by_use {
            if self.bytes <= bytes_max {
                break;
            }
            self.bytes -= self.by_key.remove(&key).map_or(0, |slot| slot.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
