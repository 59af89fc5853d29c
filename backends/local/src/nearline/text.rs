//! A column of texts in memory: each different text once, each cell a row and the number of its text. Where nearly every
//! cell has a text of its own, looking for twins is given up, and a text may be there more than once.

use super::hash::text_hash;

/// What a cell without a text has as its code.
pub(super) const ABSENT: u32 = u32::MAX;

/// So many texts are looked at before looking for twins is given up.
const LOOKED_AT_MIN: usize = 1024;

/// So few texts are looked at one by one: rare names have few, and there may be many rare names.
const FEW_MAX: usize = 4;

/// Texts, numbered in order of first sight.
#[derive(Debug, Default, Clone)]
pub(super) struct Texts {
    bytes: String,
    /// Where each text ends in `bytes`.
    ends: Vec<u32>,
    /// The upper half of a text's hash and its number plus one, at or behind the place that the hash says; 0 is free.
    /// Empty where each text is looked at.
    table: Vec<u64>,
    seed: u64,
    twins: Twins,
}

/// What is done about texts that are the same.
#[derive(Debug, Default, Clone, Copy)]
enum Twins {
    /// They have one number.
    #[default]
    None,
    /// They have one number as long as there are enough of them; so many texts were looked at.
    Watched(usize),
    /// Nobody looks.
    Kept,
}

/// The half of a slot that is of the hash.
const HASH_HALF: u64 = 0xffff_ffff_0000_0000;

impl Texts {
    /// No texts yet; each different one will be here once. `seed` is chance.
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// No texts yet; where few are the same, the same text may be here more than once. `seed` is chance.
    pub(super) fn watched(seed: u64) -> Self {
        Self { seed, twins: Twins::Watched(0), ..Self::default() }
    }

    /// How many texts there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The memory of the lists.
    #[inline]
    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>() + self.table.capacity() * size_of::<u64>()
    }

    fn range(&self, number: u32) -> std::ops::Range<usize> {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        start as usize..self.ends[number] as usize
    }

    /// The text of `number`.
    pub(super) fn text(&self, number: u32) -> &str {
        &self.bytes[self.range(number)]
    }

    /// All texts, one behind the other, and where each ends.
    pub(super) fn parts(&self) -> (&str, &[u32]) {
        (&self.bytes, &self.ends)
    }

    /// The numbers of `text`, ascending: one mostly, none if it was not seen.
    pub(super) fn find(&self, text: &str) -> Vec<u32> {
        if self.table.is_empty() {
            return self.each().filter(|number| self.is_text(*number, text)).collect();
        }
        self.slot(text_hash(text.as_bytes(), self.seed), text).ok().into_iter().collect()
    }

    /// All numbers.
    fn each(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.ends.len()).expect("a memtable is bounded")
    }

    #[inline]
    fn is_text(&self, number: u32, text: &str) -> bool {
        is_same(&self.bytes.as_bytes()[self.range(number)], text.as_bytes())
    }

    /// A number of `text`.
    #[inline]
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        match &mut self.twins {
            Twins::None => {}
            Twins::Watched(count) => {
                *count += 1;
                // Most were new: a look into the table costs more than a text.
                if self.ends.len() >= LOOKED_AT_MIN && self.ends.len() * 4 > *count * 3 {
                    (self.twins, self.table) = (Twins::Kept, Vec::new());
                    return self.push(text);
                }
            }
            Twins::Kept => return self.push(text),
        }
        if self.table.is_empty() {
            if let Some(number) = self.each().find(|number| self.is_text(*number, text)) {
                return number;
            }
            if self.ends.len() < FEW_MAX {
                return self.push(text);
            }
            self.begin_table();
        }
        let hash = text_hash(text.as_bytes(), self.seed);
        match self.slot(hash, text) {
            Ok(number) => number,
            Err(slot) => self.add(slot, hash, text),
        }
    }

    /// Puts the first texts into a table, where there is room for one more.
    fn begin_table(&mut self) {
        let mut table = vec![0; 2 * FEW_MAX];
        for number in self.each() {
            let hash = text_hash(self.text(number).as_bytes(), self.seed);
            put(&mut table, hash & HASH_HALF | u64::from(number + 1));
        }
        self.table = table;
    }

    /// Adds a text that is not here; `slot` is free for it.
    fn add(&mut self, slot: usize, hash: u64, text: &str) -> u32 {
        let number = self.push(text);
        let taken = hash & HASH_HALF | u64::from(number + 1);
        if (self.ends.len() + 1) * 4 > self.table.len() * 3 {
            self.grow(taken);
        } else {
            self.table[slot] = taken;
        }
        number
    }

    /// The number of one text more.
    fn push(&mut self, text: &str) -> u32 {
        let number = u32::try_from(self.ends.len()).expect("a memtable is bounded");
        self.bytes.push_str(text);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a memtable is bounded"));
        number
    }

    /// The number of `text`, or the free slot for it, once there is a table.
    #[inline]
    fn slot(&self, hash: u64, text: &str) -> Result<u32, usize> {
        let mask = self.table.len() - 1;
        let mut slot = home(hash, mask);
        loop {
            let taken = self.table[slot];
            if taken == 0 {
                return Err(slot);
            }
            // Halves of hashes that are the same are mostly of one text, so others are not looked at.
            if taken & HASH_HALF == hash & HASH_HALF {
                let number = low_half(taken) - 1;
                if self.is_text(number, text) {
                    return Ok(number);
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Doubles the table and puts `more` into it: slots know their place, so that no text is hashed again.
    fn grow(&mut self, more: u64) {
        let mut table = vec![0; 2 * self.table.len()];
        let taken = self.table.iter().copied().filter(|taken| *taken != 0);
        taken.chain([more]).for_each(|taken| put(&mut table, taken));
        self.table = table;
    }
}

/// Takes a slot of `table`, which has a free one.
fn put(table: &mut [u64], taken: u64) {
    let mask = table.len() - 1;
    let mut slot = home(taken, mask);
    while table[slot] != 0 {
        slot = (slot + 1) & mask;
    }
    table[slot] = taken;
}

#[expect(clippy::cast_possible_truncation, reason = "half of it is asked for")]
fn low_half(slot: u64) -> u32 {
    slot as u32
}

/// Where in a table the search for a hash, or for a slot with its upper half, begins.
fn home(hash: u64, mask: usize) -> usize {
    low_half(hash >> 32) as usize & mask
}

/// Whether two texts are the same. Cells are short: comparing words in place beats a call.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(text: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        Some((text.first_chunk()?, text.last_chunk()?))
    }
    one.len() == other.len()
        && match one.len() {
            0..4 => one.iter().zip(other).all(|(one, other)| one == other),
            4..8 => ends::<4>(one) == ends::<4>(other),
            8..=16 => ends::<8>(one) == ends::<8>(other),
            _ => one == other,
        }
}

/// Whether `code` is one of `codes`, which ascend: one mostly, but many where twins were kept.
#[inline]
pub(super) fn is_one_of(codes: &[u32], code: u32) -> bool {
    match codes {
        [one] => *one == code,
        _ => codes.binary_search(&code).is_ok(),
    }
}

/// Cells of one name.
#[derive(Debug, Default, Clone)]
pub(super) struct TextColumn {
    /// The texts.
    pub(super) texts: Texts,
    /// The rows that have a cell, ascending.
    pub(super) rows: Vec<u32>,
    /// The number of the text of each of them.
    pub(super) codes: Vec<u32>,
}

impl TextColumn {
    /// No cells yet. `seed` is chance.
    pub(super) fn new(seed: u64) -> Self {
        Self { texts: Texts::watched(seed), ..Self::default() }
    }

    /// The memory of the lists.
    #[inline]
    pub(super) fn memory_bytes(&self) -> usize {
        self.texts.memory_bytes() + (self.rows.capacity() + self.codes.capacity()) * size_of::<u32>()
    }

    /// Adds the cell of `row`, which is behind all others.
    pub(super) fn push(&mut self, row: u32, text: &str) {
        let code = self.texts.intern(text);
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

#[cfg(test)]
mod tests;
