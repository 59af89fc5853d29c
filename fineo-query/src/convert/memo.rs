//! What short texts mean, so that a text which many rows have is parsed once.

/// So many texts are remembered; a power of two.
const SLOTS: usize = 512;
/// Of fewer rows nothing is remembered.
const ROWS_MIN: usize = 4 * SLOTS;
/// The most bytes of a text that is its own view.
const INLINE_BYTES_MAX: u32 = 12;
/// The view of no text that is looked up: its length is beyond any.
const NOBODY: u128 = u128::MAX;

/// The values of the short texts seen last, by their views.
pub(super) struct Memo<T> {
    slots: Vec<(u128, Option<T>)>,
    /// Lookups less so many that had to parse, twice counted: below zero remembering is not worth it.
    gain: i64,
}

impl<T: Copy> Memo<T> {
    /// Nothing is known yet, of `rows` texts to come.
    pub(super) fn new(rows: usize) -> Self {
        let slots = if rows < ROWS_MIN { 0 } else { SLOTS };
        Self { slots: vec![(NOBODY, None); slots], gain: SLOTS as i64 }
    }

    /// What `parse` makes of the text of `view`.
    #[inline]
    pub(super) fn value(&mut self, view: u128, parse: impl FnOnce() -> Option<T>) -> Option<T> {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half begins with the length")]
        let is_inline = view as u32 <= INLINE_BYTES_MAX;
        if self.slots.is_empty() || self.gain < 0 || !is_inline {
            return parse();
        }
        let slot = &mut self.slots[place(view)];
        self.gain += 1;
        if slot.0 != view {
            self.gain -= 2;
            *slot = (view, parse());
        }
        slot.1
    }
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are used, and the best bits of their product")]
fn place(view: u128) -> usize {
    let folded = (view as u64) ^ ((view >> 64) as u64).rotate_left(31);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SLOTS.ilog2())) as usize
}

#[cfg(test)]
mod tests;
