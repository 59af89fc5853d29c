//! Counts the names of one metric in the rows of one shard, batch by batch.

use std::{collections::HashMap, sync::Arc};

use fineo_core::{
    Position, Timestamp,
    nearline::{Row, Rows},
    repo::Version,
};
use foldhash::fast::RandomState;

use super::{
    names::{Names, Tracked},
    times::TimesSeen,
};
use crate::{FieldType, NameStats, SeenNames, coerce};

/// Names among which "never both in one event" is tracked.
pub(crate) const PAIRED_NAMES_MAX: usize = 128;
/// The first values of a name are all tried as each type, then every so many-th.
const TRIED_AT_ONCE: u64 = 64;
const TRIED_EVERY: u64 = 64;

/// The names of one metric, in order of first sight.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    pub(super) names: Names,
    pub(crate) numbers: HashMap<Arc<str>, u32, RandomState>,
    /// Bit `b` of entry `a`: both were in one event.
    pub(crate) together: Vec<u128>,
    pub(crate) times: TimesSeen,
    /// The last staged position that was counted.
    pub(crate) counted_through: Option<Position>,
    pub(crate) is_full: bool,
    /// Grows with every counted batch.
    pub(crate) generation: u64,
    /// The generation that stands in the repository.
    pub(crate) saved_generation: u64,
    /// The versions there: of the head, and of each chunk of names.
    pub(crate) head_version: Version,
    pub(crate) chunk_versions: Vec<Version>,
    last_mask: u128,
}

/// What one batch adds to one name.
#[derive(Debug, Clone, Copy)]
struct Tally {
    number: Option<u32>,
    count: u64,
    /// The count from which on nothing in this batch need be tried.
    next_tried: u64,
    last_row: usize,
}

impl Tracker {
    /// Counts the rows beyond the cover for which `is_new` holds, and moves the cover.
    pub(crate) fn observe(&mut self, rows: &Rows, is_new: &dyn Fn(usize) -> bool) {
        let counted_through = self.counted_through;
        let mut tallies: Vec<Option<Tally>> = vec![None; rows.names().len()];
        let mut last_position = None;
        for (index, row) in rows.iter().enumerate() {
            let position = row.head().position;
            last_position = last_position.max(Some(position));
            if counted_through.is_none_or(|through| position > through) && is_new(index) {
                self.times.count(row.head().timestamp);
                self.observe_row(rows, index, row, &mut tallies);
            }
        }
        for tally in tallies.into_iter().flatten() {
            self.settle(rows, tally);
        }
        self.counted_through = counted_through.max(last_position);
        self.generation += 1;
    }

    fn observe_row(&mut self, rows: &Rows, index: usize, row: Row<'_>, tallies: &mut [Option<Tally>]) {
        let mut mask = 0_u128;
        for (name, text) in row.cells_numbered() {
            let Some(slot) = tallies.get_mut(name as usize) else { continue };
            let tally = match slot {
                Some(tally) => tally,
                None => slot.insert(self.begin(&rows.names()[name as usize], row.head().ingested_at)),
            };
            tally.count += 1;
            tally.last_row = index;
            let Some(number) = tally.number else { continue };
            if number < 128 {
                mask |= 1 << number;
            }
            if tally.count == tally.next_tried
                && let Some(tracked) = self.names.get_mut(number)
            {
                try_value(&mut tracked.stats, text);
                let total = tracked.stats.count + tally.count;
                tally.next_tried += if total < TRIED_AT_ONCE { 1 } else { TRIED_EVERY - total % TRIED_EVERY };
            }
        }
        if mask != self.last_mask {
            self.last_mask = mask;
            self.note_together(mask);
        }
    }

    /// The tally of a name that this batch meets first at `arrival`; beyond the limit it has no number.
    fn begin(&mut self, name: &Arc<str>, arrival: Timestamp) -> Tally {
        let known = self.numbers.get(name).copied();
        let number = known.or_else(|| self.admit(name, arrival));
        let total = number.and_then(|number| self.names.get(number)).map_or(0, |tracked| tracked.stats.count);
        let next_tried = if total < TRIED_AT_ONCE { 1 } else { TRIED_EVERY - total % TRIED_EVERY };
        Tally { number, count: 0, next_tried, last_row: 0 }
    }

    fn admit(&mut self, name: &Arc<str>, arrival: Timestamp) -> Option<u32> {
        if self.names.len() >= SeenNames::NAMES_MAX {
            self.is_full = true;
            return None;
        }
        let number = u32::try_from(self.names.len()).ok()?;
        let stats = NameStats {
            name: Arc::clone(name),
            count: 0,
            first: arrival,
            last: arrival,
            last_position: None,
            samples: Arc::default(),
            tried: 0,
            fits: [0; NameStats::TYPES.len()],
            range: None,
        };
        self.numbers.insert(Arc::clone(name), number);
        self.names.push(Tracked { stats, is_dirty: true });
        if self.together.len() < PAIRED_NAMES_MAX {
            self.together.push(0);
        }
        Some(number)
    }

    fn note_together(&mut self, mask: u128) {
        let mut rest = mask;
        while rest != 0 {
            let number = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if let Some(with) = self.together.get_mut(number) {
                *with |= mask;
            }
        }
    }

    fn settle(&mut self, rows: &Rows, tally: Tally) {
        let (Some(number), Some(row)) = (tally.number, rows.get(tally.last_row)) else { return };
        let Some(tracked) = self.names.get_mut(number) else { return };
        tracked.is_dirty = true;
        tracked.stats.count += tally.count;
        tracked.stats.last = tracked.stats.last.max(row.head().ingested_at);
        tracked.stats.last_position = Some((rows.shard().clone(), row.head().position));
    }

    /// Whether no event bore both names; none when they are beyond what is tracked.
    pub(crate) fn is_never_together(&self, left: &str, right: &str) -> Option<bool> {
        let number = |name: &str| self.numbers.get(name).copied().filter(|number| *number < 128);
        let (left, right) = (number(left)?, number(right)?);
        Some(self.together.get(left as usize)? & (1 << right) == 0)
    }

    /// Takes in statistics that were saved; of a name that is here too, whichever counted more.
    pub(crate) fn restore(&mut self, stats: NameStats) {
        let known = self.numbers.get(&stats.name).copied();
        let number = known.or_else(|| self.admit(&stats.name, stats.first));
        let Some(tracked) = number.and_then(|number| self.names.get_mut(number)) else { return };
        if stats.count >= tracked.stats.count {
            tracked.is_dirty = false;
            tracked.stats = stats;
        }
    }

    /// Brings this together with what somebody else saved, whose order of names counts.
    pub(crate) fn take_in(&mut self, mut saved: Self) {
        let is_same_order =
            self.names.iter().zip(saved.names.iter()).all(|(ours, theirs)| ours.stats.name == theirs.stats.name);
        for tracked in self.names.iter() {
            let theirs = saved.numbers.get(&tracked.stats.name).and_then(|number| saved.names.get(*number));
            if theirs.is_none_or(|theirs| theirs.stats.count < tracked.stats.count) {
                saved.restore(tracked.stats.clone());
                let number = saved.numbers.get(&tracked.stats.name).copied();
                if let Some(theirs) = number.and_then(|number| saved.names.get_mut(number)) {
                    theirs.is_dirty = true;
                }
            }
        }
        saved.together.resize(saved.names.len().min(PAIRED_NAMES_MAX), 0);
        for (number, mask) in saved.together.iter_mut().enumerate() {
            // Without a common order the evidence is lost, and "both were in one event" is the careful answer.
            *mask |= if is_same_order { self.together.get(number).copied().unwrap_or(0) } else { u128::MAX };
        }
        saved.counted_through = saved.counted_through.max(self.counted_through);
        saved.times = saved.times.max(self.times);
        saved.is_full |= self.is_full;
        saved.generation = self.generation.max(saved.generation) + 1;
        saved.saved_generation = 0;
        *self = saved;
    }
}

/// Tries one value as each type, and keeps it as a sample while there is room for another one.
fn try_value(stats: &mut NameStats, text: &str) {
    stats.tried = stats.tried.saturating_add(1);
    for (fits, field_type) in stats.fits.iter_mut().zip(NameStats::TYPES) {
        let is_container = matches!(field_type, FieldType::Json) && !text.starts_with(['{', '[']);
        *fits += u32::from(!is_container && coerce::fits(text, field_type));
    }
    if let Some(value) = coerce::double(text) {
        let (least, greatest) = stats.range.unwrap_or((value, value));
        stats.range = Some((least.min(value), greatest.max(value)));
    }
    if stats.samples.len() < NameStats::SAMPLES_MAX {
        let end = text.char_indices().nth(NameStats::SAMPLE_CHARS_MAX).map_or(text.len(), |(end, _)| end);
        let sample = &text[..end];
        if !stats.samples.iter().any(|known| **known == *sample) {
            let samples = stats.samples.iter().cloned().chain([sample.into()]);
            stats.samples = samples.collect();
        }
    }
}
