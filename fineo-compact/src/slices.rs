//! A day's entries in parts of which each makes a file.

use std::collections::{BTreeMap, VecDeque};

use fineo_core::{EventId, Result};

use crate::{
    entry::{Entry, entries},
    spill::{Scratch, Spill},
};

const MICROS_PER_MINUTE: i64 = 60_000_000;
/// Entries of one minute are cut by the first bits of their ids.
const ID_PARTS: u8 = 8;

/// What is not cut any further: a minute, and a part of the ids.
type Slot = (i64, u8);

/// A day's entries, part by part.
pub(crate) struct Slices {
    bytes_max: usize,
    scratch: Scratch,
    /// Whether there is more than one file may have.
    pub(crate) is_cut: bool,
    whole: Option<Vec<Vec<u8>>>,
    cut: Spill<Slot>,
    left: VecDeque<Vec<Slot>>,
    /// What is left of slots that are too large, by all of the ids.
    finer: Option<(Spill<u64>, VecDeque<Vec<u64>>)>,
}

impl Slices {
    /// The entries of `group` in parts of at most about `bytes_max`, cut by time, and by ids where one minute has more.
    ///
    /// # Errors
    ///
    /// A failure of a scratch file.
    pub(crate) fn new<K: Ord + Clone>(
        spill: &mut Spill<K>,
        group: &K,
        scratch: Scratch,
        bytes_max: usize,
    ) -> Result<Self> {
        let bytes_max = bytes_max.max(1);
        let is_cut = spill.size(group) > bytes_max;
        let (mut whole, mut cut) = (None, Spill::new(scratch.clone(), bytes_max));
        if is_cut {
            move_to(&mut cut, spill, group, slot_of)?;
        } else {
            whole = Some(take_all(spill, std::slice::from_ref(group))?);
        }
        let left = in_equal_parts(cut.groups(), bytes_max);
        Ok(Self { bytes_max, scratch, is_cut, whole, cut, left, finer: None })
    }

    /// The next part.
    ///
    /// # Errors
    ///
    /// A failure of a scratch file.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        if let Some(whole) = self.whole.take() {
            return Ok((!whole.is_empty()).then_some(whole));
        }
        loop {
            if let Some((finer, left)) = &mut self.finer
                && let Some(parts) = left.pop_front()
            {
                return take_all(finer, &parts).map(Some);
            }
            let Some(slots) = self.left.pop_front() else { return Ok(None) };
            if slots.iter().all(|slot| self.cut.size(slot) <= self.bytes_max) {
                return take_all(&mut self.cut, &slots).map(Some);
            }
            self.finer = Some(self.by_ids(&slots)?);
        }
    }

    /// What `slots` have, by so many parts of the ids that each is small enough.
    fn by_ids(&mut self, slots: &[Slot]) -> Result<(Spill<u64>, VecDeque<Vec<u64>>)> {
        let size: usize = slots.iter().map(|slot| self.cut.size(slot)).sum();
        let parts = 2 * size.div_ceil(self.bytes_max) as u64;
        let mut finer = Spill::new(self.scratch.clone(), self.bytes_max);
        for slot in slots {
            move_to(&mut finer, &mut self.cut, slot, |entry| number_of(entry.id) % parts)?;
        }
        let left = in_equal_parts(finer.groups(), self.bytes_max);
        Ok((finer, left))
    }
}

/// Entries of one event are in one slot, for it has one time and one id.
fn slot_of(entry: &Entry<'_>) -> Slot {
    (entry.timestamp.micros().div_euclid(MICROS_PER_MINUTE), entry.id.0[0] % ID_PARTS)
}

/// A number by an id of which clients may have chosen any part.
fn number_of(id: EventId) -> u64 {
    let hash = blake3::hash(&id.0);
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has more bytes"))
}

/// Moves the entries of a group to where they belong.
fn move_to<K: Ord + Clone, S: Ord + Clone>(
    to: &mut Spill<S>,
    spill: &mut Spill<K>,
    group: &K,
    slot_of: impl Fn(&Entry<'_>) -> S,
) -> Result<()> {
    spill.take(group, |bytes| {
        for entry in entries(&bytes) {
            let entry = entry?;
            to.append(&slot_of(&entry), |out| entry.write(out))?;
        }
        Ok(())
    })
}

fn take_all<K: Ord + Clone>(spill: &mut Spill<K>, groups: &[K]) -> Result<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    for group in groups {
        spill.take(group, |bytes| {
            parts.push(bytes);
            Ok(())
        })?;
    }
    Ok(parts)
}

/// Slots in as few parts as there have to be, of equal size give or take a slot: a file of the last few minutes costs as much as one
/// of hours, and an hour is read of a file that is no longer than the others.
fn in_equal_parts<K>(slots: BTreeMap<K, usize>, bytes_max: usize) -> VecDeque<Vec<K>> {
    let total: usize = slots.values().sum();
    let count = total.div_ceil(bytes_max.max(1)).max(1);
    let mut parts: VecDeque<Vec<K>> = VecDeque::new();
    let (mut before, mut last) = (0, None);
    for (slot, bytes) in slots {
        // By where its middle lies.
        let number = (before + bytes / 2) as u128 * count as u128 / total.max(1) as u128;
        before += bytes;
        match parts.back_mut().filter(|_| last == Some(number)) {
            Some(part) => part.push(slot),
            None => parts.push_back(vec![slot]),
        }
        last = Some(number);
    }
    parts
}

#[cfg(test)]
mod tests {
    use fineo_core::{Position, Timestamp};

    use super::*;

    #[test]
    fn a_day_is_cut_into_few_parts_of_equal_size() {
        let minutes = |sizes: &[usize]| (0..).zip(sizes.iter().copied()).collect::<BTreeMap<u32, usize>>();
        let cut = |sizes: &[usize], bytes_max| -> Vec<Vec<u32>> { in_equal_parts(minutes(sizes), bytes_max).into() };
        // The last part of 4, 4 and 1 would be read as a file for a ninth of the day.
        assert_eq!(cut(&[10; 9], 40), [[0, 1, 2], [3, 4, 5], [6, 7, 8]].map(Vec::from));
        assert_eq!(cut(&[10; 4], 40), [[0, 1, 2, 3]].map(Vec::from));
        assert_eq!(cut(&[10; 5], 40), [vec![0, 1], vec![2, 3, 4]]);
        // A slot that is too large by itself has a part of its own.
        assert_eq!(cut(&[1, 100, 1], 40), [[0], [1], [2]].map(Vec::from));
        assert_eq!(cut(&[50, 1, 1, 50], 40), [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(cut(&[0, 0], 40), [vec![0, 1]]);
        assert!(cut(&[], 40).is_empty());
    }

    /// An entry of a record of 100 bytes.
    fn append(spill: &mut Spill<u8>, micros: i64, id: u128) {
        let timestamp = Timestamp::from_micros(micros).unwrap();
        let (position, id) = (Position::ZERO, EventId(id.to_be_bytes()));
        let entry = Entry { layout: 0, shard: 0, position, id, timestamp, record: &[7; 100] };
        spill.append(&0, |out| entry.write(out)).unwrap();
    }

    fn check(ids: impl Iterator<Item = u128>, bytes_max: usize, micros: impl Fn(u128) -> i64) {
        let mut spill = Spill::new(Scratch::default(), bytes_max);
        let mut sent = BTreeMap::new();
        for (number, id) in (0..).zip(ids) {
            // Each event comes twice.
            for _ in 0..2 {
                append(&mut spill, micros(number), id);
            }
            sent.insert(id, 2);
        }
        let mut slices = Slices::new(&mut spill, &0, Scratch::default(), bytes_max).unwrap();
        assert!(slices.is_cut);
        let (mut found, mut parts) = (BTreeMap::new(), 0);
        while let Some(part) = slices.next().unwrap() {
            parts += 1;
            let size: usize = part.iter().map(Vec::len).sum();
            assert!(size <= 2 * bytes_max, "{size} bytes in a part");
            let mut here: BTreeMap<u128, usize> = BTreeMap::new();
            for entry in part.iter().flat_map(|bytes| entries(bytes)) {
                *here.entry(u128::from_be_bytes(entry.unwrap().id.0)).or_default() += 1;
            }
            for (id, times) in here {
                assert!(found.insert(id, times).is_none(), "an event is in two parts");
            }
        }
        assert!(found == sent, "{} of {} events in {parts} parts", found.len(), sent.len());
        assert!(parts <= 4 * (sent.len() * 320).div_ceil(bytes_max), "{parts} parts");
    }

    #[test]
    fn events_of_one_instant_are_cut_by_their_ids_whatever_those_have_in_common() {
        // B1: a device without a clock sends 1970-01-01T00:00:00Z.
        let random =
            |number: u128| u128::from_be_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap());
        check((0..5_000).map(random), 50_000, |_| 0);
        check(0..5_000, 50_000, |_| 0);
        check((0..5_000).map(|number| number << 100), 50_000, |_| 0);
        check((0..5_000).map(|number| 0x0190_0000 << 96 | random(number) >> 64), 50_000, |_| 0);
        // Among others, too.
        check((0..5_000).map(random), 50_000, |number| if number % 2 == 0 { 0 } else { number as i64 * 10_000_000 });
    }
}
