//! A queue that knows what all that is in it comes to: two stacks, each with the sum of what is on it.

use super::Part;

/// Parts, the first of which leave first. Each is added up three times at most, whatever the order of coming and leaving.
#[derive(Debug)]
pub(super) struct Queue<P> {
    /// The older ones, the oldest last: each together with all of them that are younger.
    older: Vec<P>,
    /// The younger ones, the youngest last, each by itself.
    younger: Vec<P>,
    /// All younger ones together.
    total: Option<P>,
}

impl<P> Default for Queue<P> {
    fn default() -> Self {
        Self { older: Vec::new(), younger: Vec::new(), total: None }
    }
}

impl<P: Part> Queue<P> {
    pub(super) fn push(&mut self, part: P) {
        self.younger.push(part);
        self.total = Some(self.total.map_or(part, |total| total.and(part)));
    }

    /// Lets the oldest one go.
    pub(super) fn pop(&mut self) {
        if self.older.is_empty() {
            self.total = None;
            for part in self.younger.drain(..).rev() {
                self.older.push(self.older.last().map_or(part, |younger| part.and(*younger)));
            }
        }
        self.older.pop();
    }

    /// All together.
    pub(super) fn total(&self) -> Option<P> {
        match (self.older.last(), self.total) {
            (Some(older), Some(younger)) => Some(older.and(younger)),
            (older, younger) => older.copied().or(younger),
        }
    }

    /// The bytes that it has taken, beside its own.
    pub(super) fn size(&self) -> usize {
        (self.older.capacity() + self.younger.capacity()) * size_of::<P>()
    }
}
