//! One tenant's run: takes new records in, metric by metric to files, notes how far it came, lets nearline rows go.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use fineo_core::{Cover, Error, ErrorKind, MetricId, Result, TenantId, Timestamp, archive::SegmentInfo};
use fineo_ingest::{Expired, Lease, SegmentReader};
use fineo_schema::{RecordLayout, TenantSchema};

use crate::{
    CompactOptions, CompactorParts, Fresh, Rewrite,
    expire::check_fresh,
    intake::{Intake, Layouts},
    known::KnownNames,
    listed::check_reached,
    metric::MetricRun,
    progress::Progress,
    report::{MetricReport, TenantReport},
    spill::Scratch,
    threads::Threads,
    untold::Untold,
    upkeep::{Due, Keeper},
};

/// A segment whose header was read.
pub(crate) type Segment = Arc<(SegmentInfo, SegmentReader)>;

/// What a run did, and whose tables could not be gone on with.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) report: TenantReport,
    pub(crate) failed: Failed,
}

/// The metrics whose tables could not be gone on with, and why.
pub(crate) type Failed = BTreeMap<MetricId, Error>;

/// What is to be told, and what counts as known then.
struct Telling {
    progress: Progress,
    known: BTreeMap<MetricId, KnownNames>,
}

/// Which metrics have something to do beside new records.
struct Wanted<'a> {
    due: Due,
    /// What was deleted is still to be taken out of these.
    uncollected: &'a BTreeSet<String>,
    tables: &'a [MetricId],
}

/// One tenant's run.
pub(crate) struct TenantRun<'a> {
    pub(crate) parts: &'a CompactorParts,
    pub(crate) options: &'a CompactOptions,
    pub(crate) threads: &'a Threads,
    pub(crate) tenant: &'a TenantId,
    /// The segments that may have new records of the tenant.
    pub(crate) segments: &'a [Segment],
    /// Up to where the tenant's records were compacted, as is noted of everybody.
    pub(crate) everybody: &'a Cover,
    /// Up to where the stage has archived what it received.
    pub(crate) to: &'a Cover,
    /// What the archive no longer has.
    pub(crate) expired: &'a Expired,
    /// The metrics that failed before and are not tried again: they lack older records, so nothing of them is compacted.
    pub(crate) held: &'a Failed,
}

impl TenantRun<'_> {
    /// Runs once.
    ///
    /// Of a metric whose table is damaged nothing is compacted, and what the others got is kept. How far the tenant's
    /// records are compacted stays what it was then: each table says itself what it has.
    ///
    /// # Errors
    ///
    /// `Cancelled` when somebody else was faster; a failure of a store; or `Corrupt`.
    pub(crate) async fn run(&self, lease: &mut Lease) -> Result<Ran> {
        let repo = &*self.parts.repo;
        let progress = Progress::read(repo, &self.options.pipeline, Some(self.tenant)).await?;
        let mut from = match self.options.fresh {
            Fresh::None => progress.cover.clone(),
            Fresh::All | Fresh::Metrics(_) => Cover::default(),
        };
        from.merge(self.everybody);
        // After `to` was read: what this schema does not know to be deleted lies behind it.
        let schema = self.parts.schemas.refresh(self.tenant).await?;
        let tables = self.parts.tables.metrics(self.tenant).await?;
        let mut failed = self.held.clone();
        let mut intake = self.take_in(&schema, &from, &tables, &mut failed).await?;
        let mut report =
            TenantReport { tenant: self.tenant.to_string(), unreadable: intake.unreadable, ..TenantReport::default() };
        let due = Due::of(&progress.upkeep, &schema, self.options, self.now());
        let uncollected = progress.upkeep.uncollected.clone();
        let mut telling = Telling { progress, known: BTreeMap::new() };
        let wanted = Wanted { due, uncollected: &uncollected, tables: &tables };
        for number in self.numbers(&mut intake, &wanted) {
            let id = intake.metrics[number].id.clone();
            if failed.contains_key(&id) {
                continue;
            }
            match self.metric(&mut intake, number, due, &mut telling).await {
                Ok(of_metric) => report.metrics.extend(of_metric),
                Err(error) if is_of_table(&error) => {
                    failed.insert(id, error);
                }
                Err(error) => return Err(error),
            }
            lease.renew_in_time(repo, self.now()).await?;
        }
        report.metrics.sort_by(|one, other| one.id.cmp(&other.id));
        let is_told = self.tell(&report, &mut telling).await?;
        let mut progress = telling.progress;
        let keeper =
            Keeper { parts: self.parts, options: self.options, tenant: self.tenant, schema: &schema, failed: &failed };
        // Also when an earlier run made the files and broke off here.
        let is_further = !self.segments.is_empty() && !progress.cover.includes(self.to) && failed.is_empty();
        if is_further {
            progress.advance(self.to, self.now(), self.options.retire_after());
            keeper.note(&mut progress, &report);
        }
        if is_further || is_told {
            progress.write(repo, self.now()).await?;
        }
        report.retired = self.retire(&mut progress, &schema, &failed).await?;
        keeper.run(&mut progress, &mut report).await?;
        Ok(Ran { report, failed })
    }

    /// Makes and commits the files of a metric; none when there is nothing to do.
    async fn metric(
        &self,
        intake: &mut Intake,
        number: usize,
        due: Due,
        telling: &mut Telling,
    ) -> Result<Option<MetricReport>> {
        let repo = &*self.parts.repo;
        let id = intake.metrics[number].id.clone();
        let snapshot = self.parts.tables.snapshot(self.tenant, &id).await?;
        if self.options.fresh.is_of(&id) {
            check_fresh(self.expired, snapshot.rows())?;
            check_reached(self.to, &snapshot)?;
        }
        let run = MetricRun {
            tables: &self.parts.tables,
            options: self.options,
            threads: self.threads,
            snapshot,
            to: self.to,
            is_collecting: due.is_schema || telling.progress.upkeep.uncollected.contains(id.as_str()),
            is_fresh: self.options.fresh.is_of(&id),
            scratch: Scratch(self.options.scratch.clone()),
        };
        let Some(mut made) = run.make(intake, number).await? else { return Ok(None) };
        let mut names = KnownNames::read(repo, &self.options.pipeline, self.tenant, &id).await?;
        let metric = intake.schema().metric(&id).map(|metric| &**metric);
        made.report.new_names = names.news(&made.names, &made.profile, metric);
        if !made.report.new_names.is_empty() {
            telling.known.insert(id, names);
        }
        // Once they are committed, no run finds these names among new records again.
        if self.parts.notifier.is_some() && made.report.is_news() {
            telling.progress.untold.note(&made.report);
            telling.progress.write_ahead(repo, self.now()).await?;
        }
        run.commit(made).await.map(Some)
    }

    /// Tells what is new, and what an earlier run did not come to tell; whether there was something.
    async fn tell(&self, report: &TenantReport, telling: &mut Telling) -> Result<bool> {
        let repo = &*self.parts.repo;
        let Telling { progress, known } = telling;
        let mut is_told = false;
        // Told before it counts as known: rather twice than never.
        if let Some(notifier) = &self.parts.notifier {
            let news = progress.untold.with(report);
            if news.is_news() {
                notifier.schema_news(&news).await?;
            }
            for untold in progress.untold.iter().filter(|untold| !untold.new_names.is_empty()) {
                let id = MetricId::new(&untold.id)?;
                let names = match known.entry(id) {
                    Entry::Occupied(names) => names.into_mut(),
                    Entry::Vacant(place) => {
                        let names = KnownNames::read(repo, &self.options.pipeline, self.tenant, place.key()).await?;
                        place.insert(names)
                    }
                };
                names.add(untold.new_names.iter());
            }
            is_told = !progress.untold.is_empty();
            progress.untold = Untold::default();
        }
        for names in known.values() {
            names.write(repo, self.now()).await?;
        }
        Ok(is_told)
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Reads the tenant's blocks of every segment.
    async fn take_in(
        &self,
        schema: &Arc<TenantSchema>,
        from: &Cover,
        tables: &[MetricId],
        failed: &mut Failed,
    ) -> Result<Intake> {
        let mut covers = BTreeMap::new();
        let is_read = |metric: &&MetricId| !self.options.fresh.is_of(metric) && !failed.contains_key(metric);
        for metric in tables.iter().filter(is_read).collect::<Vec<_>>() {
            match self.parts.tables.snapshot(self.tenant, metric).await {
                Ok(snapshot) => {
                    covers.insert(metric.clone(), snapshot.cover.clone());
                }
                Err(error) if is_of_table(&error) => {
                    failed.insert(metric.clone(), error);
                }
                Err(error) => return Err(error),
            }
        }
        let scratch = Scratch(self.options.scratch.clone());
        let memory = self.options.memory_bytes / 2;
        let mut intake = Intake::new(Arc::clone(schema), from, self.to, covers, scratch, memory);
        for segment in self.segments {
            let (info, reader) = &**segment;
            let Some(shard) = intake.shard(&info.name.shard) else { continue };
            let is_done = from.contains(&info.name.shard, info.name.last);
            if is_done || !self.to.contains(&info.name.shard, info.name.first) {
                continue;
            }
            let layouts = self.layouts(reader)?;
            for number in reader.blocks_of(self.tenant) {
                let block = reader.staged_block(&*self.parts.archive, self.tenant, number).await?;
                let layouts = Arc::clone(&layouts);
                // Reading a block and writing scratch files takes the processor's time, not the runtime's.
                let take = move || {
                    let taken = intake.take(&block, shard, &layouts);
                    (intake, taken)
                };
                let (back, taken) = self.threads.run(take).await?;
                intake = back;
                taken.map_err(|error| error.with("segment", info.name.path()))?;
            }
        }
        Ok(intake)
    }

    /// The layouts of the tenant's records in a segment.
    fn layouts(&self, reader: &SegmentReader) -> Result<Arc<Layouts>> {
        let mut layouts = Layouts::new();
        for (key, schema) in reader.record_schemas_of(self.tenant) {
            let Some((metric, version)) = key.split_once('/') else { continue };
            let Ok(version) = version.parse() else { continue };
            let unreadable = "a segment's schema of records cannot be read";
            let schema = serde_json::from_str(schema)
                .map_err(|source| Error::corrupt(unreadable).with("schema", key).with_source(source))?;
            layouts.insert((MetricId::new(metric)?, version), Arc::new(RecordLayout::of_avro_schema(&schema)?));
        }
        Ok(Arc::new(layouts))
    }

    /// The metrics that may have something to do, by their numbers in the intake, in order of ids.
    fn numbers(&self, intake: &mut Intake, wanted: &Wanted<'_>) -> Vec<usize> {
        let Wanted { due, uncollected, tables } = wanted;
        let mut ids: BTreeSet<MetricId> = intake.metrics.iter().map(|metric| metric.id.clone()).collect();
        let deleted = intake.schema().deleted_metrics().iter().map(|deleted| deleted.id.clone());
        ids.extend(deleted.filter(|id| tables.contains(id)));
        ids.extend(tables.iter().filter(|id| self.options.fresh.is_of(id)).cloned());
        let has_deletions =
            |id: &MetricId| intake.schema().metric(id).is_some_and(|metric| metric.deletions().next().is_some());
        match self.options.rewrite {
            Rewrite::Never => {
                let is_asked = |id: &&MetricId| due.is_schema || uncollected.contains(id.as_str());
                ids.extend(tables.iter().filter(is_asked).filter(|id| has_deletions(id)).cloned());
            }
            Rewrite::Stale => ids.extend(tables.iter().cloned()),
        }
        ids.iter().map(|id| intake.metric_number(id)).collect()
    }

    /// Lets rows go that files have for so long that no query needs them nearline, and no producer sends them again.
    async fn retire(&self, progress: &mut Progress, schema: &TenantSchema, failed: &Failed) -> Result<u64> {
        if !progress.is_retiring() {
            return Ok(0);
        }
        let due = progress.cover_for(self.options.retire_after(), self.now());
        if due.is_empty() || progress.retired.includes(&due) {
            return Ok(0);
        }
        let mut removed = 0;
        for metric in self.parts.nearline.metrics(self.tenant).await? {
            if metric == MetricId::errors() || failed.contains_key(&metric) {
                continue;
            }
            if schema.is_deleted(&metric) {
                // Nobody can read its rows, and no file has them: there may not even be a table.
                removed += self.parts.nearline.remove(self.tenant, &metric, &due).await.into_result()?;
                continue;
            }
            let snapshot = self.parts.tables.snapshot(self.tenant, &metric).await?;
            // What the table covers and the run reached: the lower of both, shard by shard.
            let lower = snapshot.cover.iter().filter_map(|(shard, covered)| {
                let reached = due.last(shard)?;
                Some((shard.clone(), covered.min(reached)))
            });
            let cover: Cover = lower.collect();
            if cover.is_empty() {
                continue;
            }
            self.parts.tables.raise_floor(self.tenant, &metric, &cover).await.into_result()?;
            removed += self.parts.nearline.remove(self.tenant, &metric, &cover).await.into_result()?;
        }
        if failed.is_empty() {
            progress.retired.merge(&due);
            progress.write(&*self.parts.repo, self.now()).await?;
        }
        Ok(removed)
    }
}

/// Whether an error is that of one table: other tables need not wait until somebody mends it.
fn is_of_table(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::AlreadyExists)
}

/// The instant `wait` earlier.
pub(crate) fn before(now: Timestamp, wait: Duration) -> Timestamp {
    now.plus_micros(-i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}
