//! A metric's days to files: what is larger than a job may be is cut by time, what is known is dropped.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use fineo_core::{Cover, Error, EventId, Position, Result, ShardId};
use fineo_table::{DataFile, FileSums, NewFile, Snapshot, Tables};
use tokio::task::JoinSet;

use crate::{
    build::Recipe,
    encode::{FileHead, Writing},
    entry::{Entry, entries},
    files,
    intake::Group,
    job::{DayOutcome, Known, write_day},
    spill::{Scratch, Spill},
    threads::Threads,
};

const MICROS_PER_MINUTE: i64 = 60_000_000;
/// Entries of one minute are cut by the first bits of their ids.
const ID_PARTS: u8 = 8;

/// What all days of a metric's run share.
pub(crate) struct DaysJob<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) shards: Arc<Vec<ShardId>>,
    pub(crate) losers: Arc<HashSet<(u16, Position)>>,
    pub(crate) scratch: Scratch,
    pub(crate) writing: Writing,
    pub(crate) jobs: usize,
    pub(crate) threads: &'a Threads,
    /// The generation that begins with the files: what was there before, perhaps damaged, has other names.
    pub(crate) generation: Option<u64>,
    /// The most bytes of entries in one file, give or take those of a slot.
    pub(crate) slice_bytes: usize,
}

/// One day's input.
#[derive(Debug, Default)]
pub(crate) struct Day {
    /// The files whose rows are among the entries.
    pub(crate) rewritten: Vec<DataFile>,
    /// The files that stay.
    pub(crate) staying: Vec<DataFile>,
}

/// What came of a metric's days.
#[derive(Debug, Default)]
pub(crate) struct DaysOutcome {
    pub(crate) add: Vec<NewFile>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) duplicates: u64,
}

/// A file under way.
struct Running {
    day: i32,
    rewritten: Cover,
    outcome: DayOutcome,
}

impl DaysJob<'_> {
    /// Writes the files of all `days` of metric `metric`; nothing is committed yet.
    ///
    /// # Errors
    ///
    /// A failure of the store or of a scratch file, or `Corrupt`.
    pub(crate) async fn run(
        &self,
        spill: &mut Spill<Group>,
        metric: usize,
        days: BTreeMap<i32, Day>,
    ) -> Result<DaysOutcome> {
        let mut outcome = DaysOutcome::default();
        let mut running: JoinSet<Result<Running>> = JoinSet::new();
        for (number, day) in days {
            let mut slices = self.slices(spill, &Group::Day { metric, day: number })?;
            let rewritten = day.rewritten.iter().fold(Cover::default(), |mut cover, file| {
                cover.merge(&file.positions);
                cover
            });
            while let Some(parts) = slices.next()? {
                let committed = self.committed(&day.staying, &parts).await?;
                while running.len() >= self.jobs.max(1) {
                    self.settle(&mut running, &mut outcome).await?;
                }
                let head = FileHead {
                    tenant: self.snapshot.tenant.clone(),
                    metric: self.snapshot.metric.clone(),
                    day: number,
                };
                let known = Known { committed, losers: Arc::clone(&self.losers) };
                let (recipe, shards, writing) = (Arc::clone(&self.recipe), Arc::clone(&self.shards), self.writing);
                let rewritten = rewritten.clone();
                let made = self.threads.run(move || write_day(&recipe, &head, parts, &known, &shards, writing));
                running.spawn(async move { Ok(Running { day: number, rewritten, outcome: made.await?? }) });
            }
        }
        while !running.is_empty() {
            self.settle(&mut running, &mut outcome).await?;
        }
        // Which file was ready first is chance; the commit must not tell.
        outcome.add.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(outcome)
    }

    /// Waits for one file and stores it.
    async fn settle(&self, running: &mut JoinSet<Result<Running>>, outcome: &mut DaysOutcome) -> Result<()> {
        let Some(joined) = running.join_next().await else { return Ok(()) };
        let done = joined.map_err(|source| Error::internal("making a file broke off").with_source(source))??;
        outcome.duplicates += done.outcome.duplicates;
        let Some(file) = done.outcome.file else { return Ok(()) };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&file.bytes);
        if let Some(generation) = self.generation {
            hasher.update(&generation.to_le_bytes());
        }
        let hash = hasher.finalize().to_hex();
        let path = self.snapshot.new_path(done.day, &hash[..32])?;
        let sums = FileSums::of(&file.bytes);
        let mut positions = file.positions;
        positions.merge(&done.rewritten);
        outcome.rows += file.rows;
        outcome.bytes += file.bytes.len() as u64;
        files::put(self.tables, &self.snapshot.tenant, &self.snapshot.metric, &path, file.bytes).await?;
        outcome.add.push(NewFile { path, positions, sums });
        Ok(())
    }

    /// The ids of `parts` that files have which stay.
    async fn committed(&self, staying: &[DataFile], parts: &[Vec<u8>]) -> Result<HashSet<EventId>> {
        let mut known = HashSet::new();
        if staying.is_empty() {
            return Ok(known);
        }
        let mut ids = Vec::new();
        for entry in parts.iter().flat_map(|part| entries(part)) {
            ids.push(entry?.id);
        }
        ids.sort_unstable();
        for file in staying {
            known.extend(files::known_ids(self.tables, self.snapshot, file, &ids).await?);
        }
        Ok(known)
    }

    /// A day's entries, in parts that are small enough.
    fn slices(&self, spill: &mut Spill<Group>, group: &Group) -> Result<Slices> {
        let mut parts = Vec::new();
        if spill.size(group) <= self.slice_bytes {
            spill.take(group, |bytes| {
                parts.push(bytes);
                Ok(())
            })?;
            return Ok(Slices { whole: Some(parts), cut: Spill::new(self.scratch.clone(), 0), left: VecDeque::new() });
        }
        let mut cut: Spill<(i64, u8)> = Spill::new(self.scratch.clone(), self.slice_bytes);
        spill.take(group, |bytes| {
            for entry in entries(&bytes) {
                let entry = entry?;
                cut.append(&slot_of(&entry), |out| entry.write(out))?;
            }
            Ok(())
        })?;
        let left = in_equal_parts(cut.groups(), self.slice_bytes);
        Ok(Slices { whole: None, cut, left })
    }
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

/// Entries of one event are in one slot, for it has one time and one id.
fn slot_of(entry: &Entry<'_>) -> (i64, u8) {
    (entry.timestamp.micros().div_euclid(MICROS_PER_MINUTE), entry.id.0[0] % ID_PARTS)
}

/// A day's entries, part by part.
struct Slices {
    whole: Option<Vec<Vec<u8>>>,
    cut: Spill<(i64, u8)>,
    left: VecDeque<Vec<(i64, u8)>>,
}

impl Slices {
    fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        if let Some(whole) = self.whole.take() {
            return Ok((!whole.is_empty()).then_some(whole));
        }
        let Some(slots) = self.left.pop_front() else { return Ok(None) };
        let mut parts = Vec::new();
        for slot in slots {
            self.cut.take(&slot, |bytes| {
                parts.push(bytes);
                Ok(())
            })?;
        }
        Ok(Some(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_cut_into_few_parts_of_equal_size() {
        let minutes = |sizes: &[usize]| (0..).zip(sizes.iter().copied()).collect::<BTreeMap<u32, usize>>();
        let cut = |sizes: &[usize], bytes_max| -> Vec<Vec<u32>> { in_equal_parts(minutes(sizes), bytes_max).into() };
        // The last part of 4, 4 and 1 would be read as a file for a ninth of the day.
        assert_eq!(cut(&[10; 9], 40), [[0, 1, 2], [3, 4, 5], [6, 7, 8]].map(Vec::from));
        assert_eq!(cut(&[10; 4], 40), [[0, 1, 2, 3]].map(Vec::from));
        assert_eq!(cut(&[10; 5], 40), [vec![0, 1], vec![2, 3, 4]]);
        // A slot that is too large by itself stays whole.
        assert_eq!(cut(&[1, 100, 1], 40), [[0], [1], [2]].map(Vec::from));
        assert_eq!(cut(&[50, 1, 1, 50], 40), [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(cut(&[0, 0], 40), [vec![0, 1]]);
        assert!(cut(&[], 40).is_empty());
    }
}
