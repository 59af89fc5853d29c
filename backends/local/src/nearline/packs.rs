//! Counts the live segments of each pack: a pack without any is removed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::manifest::SegmentEntry;

/// How many live segments each pack has, those included that cannot be read. What stands for a damaged journal is in none.
#[derive(Debug, Default)]
pub(super) struct LivePacks(Mutex<BTreeMap<u64, usize>>);

impl LivePacks {
    /// The segment of `entry` is live from now on.
    pub(super) fn add(&self, entry: &SegmentEntry) {
        if !entry.is_of_journal() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(entry.pack).or_default() += 1;
        }
    }

    /// The segments of `entries`, which were live, are so no more; answers the packs that have no live ones left.
    pub(super) fn remove<'a>(&self, entries: impl Iterator<Item = &'a SegmentEntry>) -> Vec<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unused = Vec::new();
        for entry in entries.filter(|entry| !entry.is_of_journal()) {
            // A pack that is not counted stays: what nobody knows of is removed when the directory is opened again.
            let Some(count) = counts.get_mut(&entry.pack) else { continue };
            *count -= 1;
            if *count == 0 {
                counts.remove(&entry.pack);
                unused.push(entry.pack);
            }
        }
        unused
    }
}
