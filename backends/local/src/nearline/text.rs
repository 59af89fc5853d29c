//! A column of texts in memory: each different text once, each cell a row and the number of its text.

use super::hash::text_hash;

/// What a cell without a text has as its code.
pub(super) const ABSENT: u32 = u32::MAX;

/// Different texts, numbered in order of first sight.
#[derive(Debug, Default, Clone)]
pub(super) struct Texts {
    bytes: String,
    /// Where each text ends in `bytes`.
    ends: Vec<u32>,
    /// Numbers plus one, by hash; 0 is free.
    table: Vec<u32>,
    seed: u64,
}

impl Texts {
    /// No texts yet. `seed` is chance.
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// How many different texts there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of `number`.
    pub(super) fn text(&self, number: u32) -> &str {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start as usize..self.ends[number] as usize]
    }

    /// All texts, one behind the other, and where each ends.
    pub(super) fn parts(&self) -> (&str, &[u32]) {
        (&self.bytes, &self.ends)
    }

    /// The number of `text`, if it was seen.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.slot(text).ok()
    }

    /// The number of `text`.
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        match self.slot(text) {
            Ok(number) => number,
            Err(slot) => {
                let number = u32::try_from(self.ends.len()).expect("a memtable is bounded");
                self.bytes.push_str(text);
                self.ends.push(u32::try_from(self.bytes.len()).expect("a memtable is bounded"));
                if (self.ends.len() + 1) * 4 > self.table.len() * 3 {
                    self.grow();
                } else {
                    self.table[slot] = number + 1;
                }
                number
            }
        }
    }

    /// The number of `text`, or the free slot for it.
    fn slot(&self, text: &str) -> Result<u32, usize> {
        if self.table.is_empty() {
            return Err(0);
        }
        let mask = self.table.len() - 1;
        let mut slot = self.home(text) & mask;
        loop {
            match self.table[slot] {
                0 => return Err(slot),
                taken if self.text(taken - 1) == text => return Ok(taken - 1),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
    fn home(&self, text: &str) -> usize {
        text_hash(text.as_bytes(), self.seed) as usize
    }

    fn grow(&mut self) {
        let len = (self.table.len() * 2).max(8);
        let mask = len - 1;
        let mut table = vec![0; len];
        for number in 0..u32::try_from(self.ends.len()).expect("a memtable is bounded") {
            let mut slot = self.home(self.text(number)) & mask;
            while table[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            table[slot] = number + 1;
        }
        self.table = table;
    }
}

/// Cells of one name.
#[derive(Debug, Default, Clone)]
pub(super) struct TextColumn {
    /// The different texts.
    pub(super) texts: Texts,
    /// The rows that have a cell, ascending.
    pub(super) rows: Vec<u32>,
    /// The number of the text of each of them.
    pub(super) codes: Vec<u32>,
}

impl TextColumn {
    /// No cells yet. `seed` is chance.
    pub(super) fn new(seed: u64) -> Self {
        Self { texts: Texts::new(seed), ..Self::default() }
    }

    /// Adds the cell of `row`, which is behind all others.
    pub(super) fn push(&mut self, row: u32, text: &str) {
        let code = match self.codes.last() {
            Some(last) if self.texts.text(*last) == text => *last,
            Some(_) | None => self.texts.intern(text),
        };
        self.rows.push(row);
        self.codes.push(code);
    }

    /// The places in `rows` and `codes` of the rows from `from` to before `to`.
    pub(super) fn places(&self, from: u32, to: u32) -> std::ops::Range<usize> {
        if self.rows.len() == self.rows.last().map_or(0, |last| *last as usize + 1) {
            // Every row has a cell.
            return (from as usize).min(self.rows.len())..(to as usize).min(self.rows.len());
        }
        self.rows.partition_point(|row| *row < from)..self.rows.partition_point(|row| *row < to)
    }
}
