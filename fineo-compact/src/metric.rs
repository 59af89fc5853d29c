//! One metric's part of a run: which files to write anew, the columns, the files, the commit.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use fineo_core::{Cover, Error, ErrorKind, Outcome, Position, Result, ShardId};
use fineo_schema::Metric;
use fineo_table::{Change, ColumnLayout, Committed, DataFile, Snapshot, Tables};
use futures::TryStreamExt;

use crate::{
    CompactOptions, Rewrite,
    build::Recipe,
    days::{Day, DaysJob, DaysOutcome},
    encode::Writing,
    files,
    intake::{ChosenId, Group, Intake, MetricIntake, chosen_ids, layout_of_rows},
    names::Names,
    plan::{Evidence, Plan, Shredding},
    profile::Profile,
    report::{MetricReport, NameConflict},
    rewrite::Rewriting,
    spill::Scratch,
    threads::Threads,
    tiers,
};

/// What a metric's part of a run needs.
pub(crate) struct MetricRun<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) options: &'a CompactOptions,
    pub(crate) threads: &'a Threads,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Up to where the tenant's records are in the run.
    pub(crate) to: &'a Cover,
    /// Whether days are written anew that have values which were deleted.
    pub(crate) is_collecting: bool,
    /// Whether the table is made anew: the records are all that there ever were.
    pub(crate) is_fresh: bool,
    pub(crate) scratch: Scratch,
}

/// The files that a run made, before they are committed, and what it found in them.
pub(crate) struct Made {
    pub(crate) report: MetricReport,
    pub(crate) names: Names,
    pub(crate) profile: Profile,
    outcome: DaysOutcome,
    removed: Vec<Arc<str>>,
}

impl MetricRun<'_> {
    /// Writes the files of the metric with this number, to be committed; none when there is nothing to do.
    ///
    /// # Errors
    ///
    /// A failure of a store, or `Corrupt`.
    pub(crate) async fn make(&self, intake: &mut Intake, number: usize) -> Result<Option<Made>> {
        let shards: Arc<Vec<ShardId>> = Arc::new(intake.shards.clone());
        let days = self.days(intake, number).await?;
        let gone = self.gone(intake, number);
        if days.is_empty() && gone.is_empty() {
            return Ok(None);
        }
        let (rewritten, rows_rewritten) = self.read_back(intake, number, &days).await?;
        let losers = self.losers(intake, number).await?;
        let is_deleted = self.is_gone(intake, number);
        let own = &mut intake.metrics[number];
        let (names, profile) = (std::mem::take(&mut own.names), std::mem::take(&mut own.profile));
        let recipe = Arc::new(self.recipe(intake, number, names, &profile, &rewritten));
        let removed: Vec<Arc<str>> = gone
            .iter()
            .chain(days.values().flat_map(|day| &day.rewritten))
            .map(|file| Arc::clone(&file.path))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let job = DaysJob {
            tables: self.tables,
            snapshot: &self.snapshot,
            recipe: Arc::clone(&recipe),
            shards,
            losers: Arc::new(losers),
            scratch: self.scratch.clone(),
            writing: Writing { level: self.options.zstd_level, group_rows: self.options.group_rows },
            jobs: self.options.jobs,
            threads: self.threads,
            generation: self.generation(),
            slice_bytes: (self.options.memory_bytes / 4).max(1),
        };
        let mut outcome = job.run(&mut intake.spill, number, days).await?;
        drop(job);
        if self.is_fresh && !is_deleted && outcome.rows < self.snapshot.rows() {
            let message = "the archive has fewer events than the table: segments are missing, nothing was changed";
            let error = Error::corrupt(message).with("metric", &self.snapshot.metric);
            return Err(error.with("archived", outcome.rows).with("rows", self.snapshot.rows()));
        }
        // A file that came out as it was stays: what was to be added to it was there already.
        let same: HashSet<Arc<str>> = outcome.add.iter().map(|file| Arc::clone(&file.path)).collect();
        let live = self.snapshot.files_by_path();
        outcome.add.retain(|file| !live.contains_key(&*file.path));
        let removed: Vec<Arc<str>> = removed.into_iter().filter(|path| !same.contains(path)).collect();
        let own = &intake.metrics[number];
        let recipe = Arc::into_inner(recipe).ok_or_else(|| Error::internal("a file is still being made"))?;
        let report = report_of(own, &recipe, &outcome, rows_rewritten, &removed);
        Ok(Some(Made { report, names: recipe.names, profile, outcome, removed }))
    }

    /// The days to be written, with the files to be written anew.
    async fn days(&self, intake: &Intake, number: usize) -> Result<BTreeMap<i32, Day>> {
        let mut days: BTreeMap<i32, Day> = BTreeMap::new();
        for group in intake.spill.keys(Group::days_of(number)) {
            match group {
                Group::Day { day, .. } => days.insert(day, Day::default()),
                Group::Ids { .. } => None,
            };
        }
        let gone: HashSet<Arc<str>> = self.gone(intake, number).into_iter().map(|file| file.path).collect();
        if self.is_fresh {
            return Ok(days);
        }
        let live: Vec<&DataFile> = self.snapshot.files.iter().filter(|file| !gone.contains(&file.path)).collect();
        let by_day: HashMap<i32, &[&DataFile]> =
            live.chunk_by(|one, other| one.day == other.day).map(|files| (files[0].day, files)).collect();
        for (day, input) in &mut days {
            let of_day = by_day.get(day).into_iter().flat_map(|files| files.iter()).map(|file| (*file).clone());
            *input = self.day(of_day, intake.rows_of(number, *day));
        }
        let is_wanted = self.is_collecting || self.options.rewrite == Rewrite::Stale;
        if is_wanted {
            self.add_stale(intake, number, &live, &mut days).await?;
        }
        Ok(days)
    }

    /// Which of a day's files become one with `new` rows. A part of what is too much for one file is as large as files become.
    fn day(&self, files: impl Iterator<Item = DataFile>, new: u64) -> Day {
        let is_small = |file: &DataFile| !file.is_part && file.bytes < self.options.small_file_bytes;
        let (mut small, mut staying): (Vec<_>, Vec<_>) = files.partition(is_small);
        small.sort_by(|one, other| (one.rows, &one.path).cmp(&(other.rows, &other.path)));
        let rows: Vec<u64> = small.iter().map(|file| file.rows).collect();
        staying.extend(small.split_off(tiers::merged(&rows, new, self.options.small_files_max)));
        Day { rewritten: small, staying }
    }

    /// Adds every day that has a file of an earlier schema, or one with deleted values, to be written anew as a whole.
    async fn add_stale(
        &self,
        intake: &Intake,
        number: usize,
        live: &[&DataFile],
        days: &mut BTreeMap<i32, Day>,
    ) -> Result<()> {
        let metric = intake.metrics[number].metric.as_deref();
        let is_asked = self.options.rewrite == Rewrite::Stale;
        let deletions: Vec<&Cover> =
            metric.iter().flat_map(|metric| metric.deletions()).map(|(_, through)| through).collect();
        let may_have_deleted = |file: &DataFile| deletions.iter().any(|through| through.includes(&file.positions));
        let mut stale = BTreeSet::new();
        // What cannot have deleted values is not opened: a table may have thousands of files.
        for file in live.iter().filter(|file| is_asked || may_have_deleted(file)) {
            let meta = self.tables.data_file(&self.snapshot, file).await?;
            let layout = &meta.layout;
            let is_of_earlier = layout.schema_version < intake.schema().version();
            let mut names = layout.columns.iter().flat_map(|column| &column.names).chain(&layout.rest_names);
            if (is_asked && is_of_earlier) || names.any(|name| is_deleted(metric, name, file)) {
                stale.insert(file.day);
            }
        }
        for files in live.chunk_by(|one, other| one.day == other.day).filter(|files| stale.contains(&files[0].day)) {
            let rewritten = files.iter().map(|file| (*file).clone()).collect();
            days.insert(files[0].day, Day { rewritten, staying: Vec::new() });
        }
        Ok(())
    }

    /// The generation that begins with this run.
    fn generation(&self) -> Option<u64> {
        self.is_fresh.then_some(self.snapshot.generation + 1)
    }

    /// Whether the metric was deleted.
    fn is_gone(&self, intake: &Intake, number: usize) -> bool {
        let id = &intake.metrics[number].id;
        intake.schema().is_deleted(id)
    }

    /// The files of a deleted metric, whose rows nobody can read any more; all of a table that is made anew.
    fn gone(&self, intake: &Intake, number: usize) -> Vec<DataFile> {
        match self.is_fresh || self.is_gone(intake, number) {
            true => self.snapshot.files.clone(),
            false => Vec::new(),
        }
    }

    /// Takes the rows of the files that are written anew in; answers the columns that they had, and how many they are.
    async fn read_back(
        &self,
        intake: &mut Intake,
        number: usize,
        days: &BTreeMap<i32, Day>,
    ) -> Result<(Vec<ColumnLayout>, u64)> {
        let (mut columns, mut rows) = (Vec::new(), 0);
        if days.values().all(|day| day.rewritten.is_empty()) {
            return Ok((columns, rows));
        }
        let own = &mut intake.metrics[number];
        let metric = own.metric.clone();
        let layout = layout_of_rows(&own.id, metric.as_deref());
        let layout_number = own.add_layout(Arc::clone(&layout), None);
        for (day, file) in days.iter().flat_map(|(day, input)| input.rewritten.iter().map(move |file| (*day, file))) {
            let meta = self.tables.data_file(&self.snapshot, file).await?;
            let is_deleted = |name: &str| is_deleted(metric.as_deref(), name, file);
            let rewriting = Rewriting {
                file: &meta.layout,
                metric: metric.as_deref(),
                layout: (&layout, layout_number),
                is_deleted: &is_deleted,
            };
            let mut batches = files::rows(self.tables, &self.snapshot, file).await?;
            while let Some(batch) = batches.try_next().await.map_err(|source| files::broken(file, source))? {
                let (names, spill) = (&mut intake.metrics[number].names, &mut intake.spill);
                rewriting.rows(&batch, |entry, cells| {
                    cells.iter().for_each(|(name, _)| {
                        names.number(name);
                    });
                    spill.append(&Group::Day { metric: number, day }, |out| entry.write(out))
                })?;
                rows += batch.num_rows() as u64;
            }
            columns.extend(meta.layout.columns.iter().cloned());
        }
        Ok((columns, rows))
    }

    /// Records whose id a client chose, and another record of another time had it first.
    async fn losers(&self, intake: &mut Intake, number: usize) -> Result<HashSet<(u16, Position)>> {
        let mut losers = HashSet::new();
        for part in intake.spill.keys(Group::ids_of(number)) {
            let mut chosen: Vec<ChosenId> = Vec::new();
            intake.spill.take(&part, |bytes| {
                chosen.extend(chosen_ids(&bytes));
                Ok(())
            })?;
            chosen.sort_unstable();
            chosen.dedup();
            let ids: Vec<_> = chosen.iter().map(|chosen| chosen.id).collect();
            let mut committed = HashSet::new();
            for file in self.snapshot.files.iter().filter(|_| !self.is_fresh) {
                committed.extend(files::known_ids(self.tables, &self.snapshot, file, &ids).await?);
            }
            for same in chosen.chunk_by(|one, other| one.id == other.id) {
                let is_committed = committed.contains(&same[0].id);
                let lost = same.iter().filter(|one| is_committed || one.micros != same[0].micros);
                losers.extend(lost.map(|one| (one.shard, one.position)));
            }
        }
        Ok(losers)
    }

    fn recipe(
        &self,
        intake: &Intake,
        number: usize,
        names: Names,
        profile: &Profile,
        rewritten: &[ColumnLayout],
    ) -> Recipe {
        let own = &intake.metrics[number];
        let evidence = Evidence {
            metric: own.metric.as_deref(),
            names: &names,
            profile,
            table: &self.snapshot.columns,
            foreign: &self.snapshot.foreign_columns,
            rewritten,
        };
        let shredding = Shredding { presence_min: self.options.presence_min, columns_max: self.options.columns_max };
        let plan = Plan::new(&evidence, shredding);
        let schema = Arc::clone(intake.schema());
        Recipe::new(schema, own.metric.clone(), own.layouts.clone(), names, plan, &intake.shards)
    }

    /// Commits what was made, with the positions that it covers; answers the report.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`] when somebody else committed in the meantime: the run begins anew. Otherwise a failure
    /// of a store.
    pub(crate) async fn commit(&self, made: Made) -> Result<MetricReport> {
        let mut cover = self.snapshot.cover.clone();
        cover.merge(self.to);
        let change = Change { add: made.outcome.add, remove: made.removed, cover, generation: self.generation() };
        let lost = || Error::new(ErrorKind::Cancelled, "somebody else committed to the table in the meantime");
        match self.tables.commit(&self.snapshot, change).await {
            Outcome::Done(Committed::Done(_)) => Ok(made.report),
            Outcome::Done(Committed::Conflict(_)) => Err(lost()),
            Outcome::NotDone(error) => Err(error),
            // What was done is found by reading, and nothing is cleaned up: either it is there, or the run begins anew.
            Outcome::Unknown(error) => {
                tracing::warn!(%error, metric = %self.snapshot.metric, "whether a commit was made is not known yet");
                Err(lost())
            }
        }
    }
}

/// Whether all values that `file` has under `name` are unreadable for ever.
fn is_deleted(metric: Option<&Metric>, name: &str, file: &DataFile) -> bool {
    let through = metric.and_then(|metric| metric.unreadable_through(name));
    through.is_some_and(|through| through.includes(&file.positions))
}

fn report_of(
    own: &MetricIntake,
    recipe: &Recipe,
    outcome: &DaysOutcome,
    rows_rewritten: u64,
    removed: &[Arc<str>],
) -> MetricReport {
    let mut conflicts: Vec<NameConflict> = own
        .conflicts
        .iter()
        .map(|(name, values)| NameConflict { name: Arc::clone(recipe.names.text(*name)), values: *values })
        .collect();
    conflicts.sort_by(|one, other| one.name.cmp(&other.name));
    MetricReport {
        id: own.id.to_string(),
        metric: own.metric.as_ref().map(|metric| metric.name().to_string()),
        rows_in: own.records,
        rows_out: outcome.rows,
        rows_rewritten,
        duplicates: outcome.duplicates,
        bytes_in: own.bytes,
        bytes_out: outcome.bytes,
        files_added: outcome.add.len() as u64,
        files_removed: removed.len() as u64,
        new_names: Vec::new(),
        conflicts,
    }
}
