//! The names of a tracker in chunks that are shared with whoever looks at them: a look copies none, and what is counted while
//! somebody looks copies the chunks that it changes, once.

use std::sync::Arc;

use crate::NameStats;

/// How many names are shared, and saved, together.
pub(super) const CHUNK_NAMES: usize = 256;

/// One name's numbers.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    pub(super) stats: NameStats,
    /// Whether something changed since it was saved.
    pub(super) is_dirty: bool,
}

/// Names in order of first sight. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// All of them are full but the last one.
    chunks: Vec<Arc<Vec<Tracked>>>,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1);
        self.chunks.last().map_or(0, |last| full * CHUNK_NAMES + last.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Tracked> {
        let (chunk, place) = place(number);
        self.chunks.get(chunk)?.get(place)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Tracked> {
        let (chunk, place) = place(number);
        Arc::make_mut(self.chunks.get_mut(chunk)?).get_mut(place)
    }

    pub(super) fn push(&mut self, tracked: Tracked) {
        if self.len().is_multiple_of(CHUNK_NAMES) {
            self.chunks.push(Arc::default());
        }
        let Some(last) = self.chunks.last_mut().map(Arc::make_mut) else { return };
        if last.len() == last.capacity() {
            // There may be thousands of trackers: as much again would be left empty.
            last.reserve_exact((last.len() / 4 + 16).min(CHUNK_NAMES - last.len()));
        }
        last.push(tracked);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Tracked> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = &[Tracked]> {
        self.chunks.iter().map(|chunk| chunk.as_slice())
    }

    /// The names of one chunk, to be changed.
    pub(super) fn chunk_mut(&mut self, chunk: usize) -> &mut [Tracked] {
        self.chunks.get_mut(chunk).map(|chunk| Arc::make_mut(chunk).as_mut_slice()).unwrap_or_default()
    }
}

fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    (number / CHUNK_NAMES, number % CHUNK_NAMES)
}

#[cfg(test)]
mod tests;
