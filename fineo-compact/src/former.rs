//! Since when what is in files: as many former covers as it takes to tell what is there for long enough.

use std::time::Duration;

use fineo_core::{Cover, Timestamp};

use crate::tenant::before;

/// Covers that follow one another within such a part of the time that rows wait count as the last of them.
const PARTS: u32 = 24;

/// Covers with the time, in microseconds, since when all that they cover is in files, oldest first.
///
/// Of those that are old enough the newest is kept, for it has all that the others have. Of the younger ones so many are kept that what
/// is in a cover waits at most a [`PARTS`]th of the time longer, however closely they follow one another; never less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Former(Vec<(i64, Cover)>);

impl Former {
    /// Notes that everything at or before `cover`, which has all that was noted before, is in files since `now`. Nobody will ask what
    /// was in files less than `wait` before a later instant.
    pub(crate) fn note(&mut self, cover: Cover, now: Timestamp, wait: Duration) {
        // What was noted by a clock that was ahead is in `cover`, too.
        self.0.retain(|(since, _)| *since <= now.micros());
        self.0.push((now.micros(), cover));
        let horizon = before(now, wait).micros();
        let oldest_needed = self.0.iter().rposition(|(since, _)| *since <= horizon).unwrap_or(0);
        let near = i64::try_from((wait / PARTS).as_micros()).unwrap_or(i64::MAX);
        let mut kept: Vec<(i64, Cover)> = Vec::new();
        for (since, cover) in self.0.drain(..).skip(oldest_needed) {
            // All of them, not the newest alone: the list may be one of a program that thinned it otherwise.
            if kept.len() > 1 && since.saturating_sub(kept[kept.len() - 2].0) < near {
                kept.pop();
            }
            kept.push((since, cover));
        }
        self.0 = kept;
    }

    /// What was in files at or before `time`.
    pub(crate) fn at(&self, time: Timestamp) -> Cover {
        let then = self.0.iter().rev().find(|(since, _)| *since <= time.micros());
        then.map(|(_, cover)| cover.clone()).unwrap_or_default()
    }

    /// Every cover that is kept.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(i64, Cover)> {
        self.0.iter()
    }
}

impl FromIterator<(i64, Cover)> for Former {
    fn from_iter<I: IntoIterator<Item = (i64, Cover)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
