//! A metric's days to files: what is larger than a job may be is cut, what is known is dropped.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use fineo_core::{Cover, Error, EventId, Position, Result, ShardId};
use fineo_table::{DataFile, FileSums, NewFile, Snapshot, Tables};
use tokio::task::JoinSet;

use crate::{
    build::Recipe,
    encode::{FileHead, Writing},
    entry::entries,
    files,
    intake::Group,
    job::{DayOutcome, Known, write_day},
    slices::Slices,
    spill::{Scratch, Spill},
    threads::Threads,
};

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
    /// The most bytes of entries in one file, give or take a few.
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
    /// Whether the day has more than one file may have.
    is_cut: bool,
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
            let group = Group::Day { metric, day: number };
            let mut slices = Slices::new(spill, &group, self.scratch.clone(), self.slice_bytes)?;
            let is_cut = slices.is_cut;
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
                running.spawn(async move { Ok(Running { day: number, rewritten, is_cut, outcome: made.await?? }) });
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
        // What is mostly known already makes a small file of what had to be cut.
        let is_part = done.is_cut && file.rows >= done.outcome.duplicates;
        outcome.add.push(NewFile { path, positions, is_part, sums });
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
}
