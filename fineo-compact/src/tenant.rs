//! One tenant's run: takes new records in, metric by metric to files, notes how far it came, lets nearline rows go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fineo_core::{Cover, Error, MetricId, Result, TenantId, Timestamp, archive::SegmentInfo};
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
    report::TenantReport,
    spill::Scratch,
    upkeep::{Due, Keeper},
};

/// A segment whose header was read.
pub(crate) type Segment = Arc<(SegmentInfo, SegmentReader)>;

/// One tenant's run.
pub(crate) struct TenantRun<'a> {
    pub(crate) parts: &'a CompactorParts,
    pub(crate) options: &'a CompactOptions,
    pub(crate) tenant: &'a TenantId,
    /// The segments that may have new records of the tenant.
    pub(crate) segments: &'a [Segment],
    /// Up to where everybody's records were compacted.
    pub(crate) everybody: &'a Cover,
    /// Up to where the stage has archived what it received.
    pub(crate) to: &'a Cover,
    /// What the archive no longer has.
    pub(crate) expired: &'a Expired,
}

impl TenantRun<'_> {
    /// Runs once.
    ///
    /// # Errors
    ///
    /// `Cancelled` when somebody else was faster; a failure of a store; or `Corrupt`.
    pub(crate) async fn run(&self, lease: &mut Lease) -> Result<TenantReport> {
        let repo = &*self.parts.repo;
        let mut progress = Progress::read(repo, &self.options.pipeline, Some(self.tenant)).await?;
        let mut from = match self.options.fresh {
            Fresh::None => progress.cover.clone(),
            Fresh::All | Fresh::Metrics(_) => Cover::default(),
        };
        from.merge(self.everybody);
        // After `to` was read: what this schema does not know to be deleted lies behind it.
        let schema = self.parts.schemas.refresh(self.tenant).await?;
        let tables = self.parts.tables.metrics(self.tenant).await?;
        let mut intake = self.take_in(&schema, &from, &tables).await?;
        let mut report =
            TenantReport { tenant: self.tenant.to_string(), unreadable: intake.unreadable, ..TenantReport::default() };
        let mut known = Vec::new();
        let due = Due::of(&progress.upkeep, &schema, self.options, self.now());
        for number in self.numbers(&mut intake, due, &tables) {
            let id = intake.metrics[number].id.clone();
            let snapshot = self.parts.tables.snapshot(self.tenant, &id).await?;
            if self.options.fresh.is_of(&id) {
                check_fresh(self.expired, snapshot.rows())?;
                check_reached(self.to, &snapshot)?;
            }
            let run = MetricRun {
                tables: &self.parts.tables,
                options: self.options,
                snapshot,
                to: self.to,
                is_collecting: due.is_schema,
                is_fresh: self.options.fresh.is_of(&id),
                scratch: Scratch(self.options.scratch.clone()),
            };
            let Some(found) = run.run(&mut intake, number).await? else { continue };
            let mut names = KnownNames::read(repo, &self.options.pipeline, self.tenant, &id).await?;
            let mut of_metric = found.report;
            of_metric.new_names = names.news(&found.names, &found.profile, schema.metric(&id).map(|metric| &**metric));
            if !of_metric.new_names.is_empty() {
                known.push(names);
            }
            report.metrics.push(of_metric);
            lease.renew_in_time(repo, self.now()).await?;
        }
        report.metrics.sort_by(|one, other| one.id.cmp(&other.id));
        // Told before it counts as known: rather twice than never.
        if let Some(notifier) = self.parts.notifier.as_ref().filter(|_| report.is_news()) {
            notifier.schema_news(&report).await?;
        }
        for names in known {
            names.write(repo, self.now()).await?;
        }
        let keeper = Keeper { parts: self.parts, options: self.options, tenant: self.tenant, schema: &schema };
        // Also when an earlier run made the files and broke off here.
        if !self.segments.is_empty() && !progress.cover.includes(self.to) {
            progress.advance(self.to, self.now());
            keeper.note(&mut progress, &report);
            progress.write(repo, self.now()).await?;
        }
        report.retired = self.retire(&mut progress).await?;
        keeper.run(&mut progress, &mut report).await?;
        Ok(report)
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Reads the tenant's blocks of every segment.
    async fn take_in(&self, schema: &Arc<TenantSchema>, from: &Cover, tables: &[MetricId]) -> Result<Intake> {
        let mut covers = BTreeMap::new();
        for metric in tables.iter().filter(|metric| !self.options.fresh.is_of(metric)) {
            let snapshot = self.parts.tables.snapshot(self.tenant, metric).await?;
            covers.insert(metric.clone(), snapshot.cover.clone());
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
                let taken = tokio::task::spawn_blocking(move || {
                    let taken = intake.take(&block, shard, &layouts);
                    (intake, taken)
                });
                let (back, taken) =
                    taken.await.map_err(|source| Error::internal("taking in a block broke off").with_source(source))?;
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
            let schema = serde_json::from_str(schema.get())
                .map_err(|source| Error::corrupt(unreadable).with("schema", key).with_source(source))?;
            layouts.insert((MetricId::new(metric)?, version), Arc::new(RecordLayout::of_avro_schema(&schema)?));
        }
        Ok(Arc::new(layouts))
    }

    /// The metrics that may have something to do, by their numbers in the intake, in order of ids.
    fn numbers(&self, intake: &mut Intake, due: Due, tables: &[MetricId]) -> Vec<usize> {
        let mut ids: BTreeSet<MetricId> = intake.metrics.iter().map(|metric| metric.id.clone()).collect();
        let deleted = intake.schema().deleted_metrics().iter().map(|deleted| deleted.id.clone());
        ids.extend(deleted.filter(|id| tables.contains(id)));
        ids.extend(tables.iter().filter(|id| self.options.fresh.is_of(id)).cloned());
        let has_deletions =
            |id: &MetricId| intake.schema().metric(id).is_some_and(|metric| metric.deletions().next().is_some());
        match self.options.rewrite {
            Rewrite::Never => ids.extend(tables.iter().filter(|id| due.is_schema && has_deletions(id)).cloned()),
            Rewrite::Stale => ids.extend(tables.iter().cloned()),
        }
        ids.iter().map(|id| intake.metric_number(id)).collect()
    }

    /// Lets rows go that files have for so long that no query needs them nearline, and no producer sends them again.
    async fn retire(&self, progress: &mut Progress) -> Result<u64> {
        if !progress.is_retiring() {
            return Ok(0);
        }
        let wait = self.options.pin_for.max(self.options.retain_for);
        let due = progress.cover_at(before(self.now(), wait));
        if due.is_empty() || progress.retired.includes(&due) {
            return Ok(0);
        }
        let mut removed = 0;
        for metric in self.parts.nearline.metrics(self.tenant).await? {
            if metric == MetricId::errors() {
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
        progress.retired.merge(&due);
        progress.write(&*self.parts.repo, self.now()).await?;
        Ok(removed)
    }
}

/// The instant `wait` earlier.
pub(crate) fn before(now: Timestamp, wait: Duration) -> Timestamp {
    now.plus_micros(-i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}
