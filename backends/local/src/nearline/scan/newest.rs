//! Which rows of a part of a scan are still wanted by a reader who wants the newest of each key.

use fineo_core::nearline::Latest;

use crate::nearline::text::ABSENT;

/// The keys of a part, by number: those of its texts, then the one of rows without a key.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// Per key, the timestamp of the newest row that was accepted of it.
    accepted: Vec<i64>,
    /// The keys of the rows that were answered last: what is known of them may have changed.
    answered: Vec<u32>,
}

impl Newest {
    /// What is known of `keys`, all keys of the part but that of rows without one.
    pub(super) fn of<'a>(latest: &Latest, keys: impl Iterator<Item = &'a str>) -> Self {
        Self { accepted: latest.accepted(keys.map(Some).chain([None])), answered: Vec::new() }
    }

    /// Looks again at what became of the rows that were answered; `key` is the text of a number.
    pub(super) fn refresh<'a>(&mut self, latest: &Latest, key: impl Fn(u32) -> &'a str) {
        let without = self.number(ABSENT);
        self.answered.sort_unstable();
        self.answered.dedup();
        let keys = self.answered.iter().map(|number| (*number as usize != without).then(|| key(*number)));
        for (number, accepted) in self.answered.iter().zip(latest.accepted(keys)) {
            self.accepted[*number as usize] = accepted;
        }
        self.answered.clear();
    }

    /// Whether some row of `micros` or earlier may be wanted.
    pub(super) fn may_want(&self, micros: i64) -> bool {
        self.accepted.iter().any(|accepted| *accepted <= micros)
    }

    /// Whether the row of `key` at `micros` is wanted; a row without a key has [`ABSENT`] for one.
    pub(super) fn wants(&self, key: u32, micros: i64) -> bool {
        self.accepted[self.number(key)] <= micros
    }

    /// Says that rows of `keys` are answered.
    pub(super) fn answer(&mut self, keys: impl Iterator<Item = u32>) {
        let numbers = keys.map(|key| u32::try_from(self.number(key)).expect("a part is bounded"));
        self.answered = numbers.collect();
    }

    fn number(&self, key: u32) -> usize {
        if key == ABSENT { self.accepted.len() - 1 } else { key as usize }
    }
}
