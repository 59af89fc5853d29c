//! Keeps a tenant's tables small: rows that are too old go, and then what no reader can need any more.

use std::sync::Arc;

use fineo_core::{Error, ErrorKind, MetricId, Outcome, Result, TenantId, Timestamp};
use fineo_schema::TenantSchema;
use fineo_table::{Change, Committed, DataFile, Tables};

use crate::{
    CompactOptions, CompactorParts, Fresh,
    intake::day_of,
    progress::{Progress, Upkeep},
    report::TenantReport,
    tenant::{Failed, before},
};

/// Rows that are too old are looked for so often.
const AGE_EVERY_MICROS: i64 = 3600 * 1_000_000;

/// What is to be done beside new records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Rows may have become too old.
    pub(crate) is_age: bool,
    /// The schema is another: values may have been deleted since.
    pub(crate) is_schema: bool,
    /// Values that were deleted before are still in tables that failed.
    pub(crate) is_uncollected: bool,
    /// Garbage is old enough to be collected.
    pub(crate) is_garbage: bool,
}

impl Due {
    /// What is due of `upkeep` at `now`.
    pub(crate) fn of(upkeep: &Upkeep, schema: &TenantSchema, options: &CompactOptions, now: Timestamp) -> Self {
        let is_schema = schema.version().0 != upkeep.schema;
        let is_hour_over = now.micros().saturating_sub(upkeep.aged_at) >= AGE_EVERY_MICROS;
        let horizon = before(now, options.pin_for);
        Self {
            // Out of an archive that keeps everything what aged off comes back.
            is_age: schema.has_retention() && (is_hour_over || is_schema || options.fresh != Fresh::None),
            is_schema,
            is_uncollected: !upkeep.uncollected.is_empty(),
            is_garbage: upkeep.garbage_since.is_some_and(|since| since <= horizon.micros()),
        }
    }

    /// Whether anything is.
    pub(crate) fn is_any(self) -> bool {
        self.is_age || self.is_schema || self.is_uncollected || self.is_garbage
    }
}

/// Whose tables are kept small.
pub(crate) struct Keeper<'a> {
    pub(crate) parts: &'a CompactorParts,
    pub(crate) options: &'a CompactOptions,
    pub(crate) tenant: &'a TenantId,
    pub(crate) schema: &'a Arc<TenantSchema>,
    /// Whose tables could not be gone on with.
    pub(crate) failed: &'a Failed,
}

impl Keeper<'_> {
    /// Where nothing failed, notes in `progress` what is known without doing anything, so that it is written with what is noted anyway.
    pub(crate) fn note(&self, progress: &mut Progress, report: &TenantReport) {
        let now = self.parts.clock.now();
        if !Due::of(&progress.upkeep, self.schema, self.options, now).is_age {
            progress.upkeep.schema = self.schema.version().0;
            progress.upkeep.uncollected.clear();
        }
        if !report.metrics.is_empty() {
            progress.upkeep.garbage_since = progress.upkeep.garbage_since.or(Some(now.micros()));
        }
    }

    /// Does what is due, notes it in `progress`, and says what was done in `report`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`] when somebody else committed in the meantime, or a failure of a store.
    pub(crate) async fn run(&self, progress: &mut Progress, report: &mut TenantReport) -> Result<()> {
        let now = self.parts.clock.now();
        let mut due = Due::of(&progress.upkeep, self.schema, self.options, now);
        due.is_age |= self.schema.has_retention() && report.retired > 0;
        let mut is_changed = !report.metrics.is_empty();
        let mut upkeep = progress.upkeep.clone();
        if due.is_age {
            for metric in self.parts.tables.metrics(self.tenant).await? {
                match self.age_off(&metric, now, report).await {
                    Ok(is_aged) => is_changed |= is_aged,
                    // It is among what failed already.
                    Err(error) if self.failed.contains_key(&metric) => {
                        tracing::debug!(%error, tenant = %self.tenant, %metric, "rows that are too old stay until the next run");
                    }
                    Err(error) => return Err(error),
                }
            }
            upkeep.aged_at = now.micros();
        }
        // The others need not be looked at again.
        let failed = self.failed.keys().map(MetricId::to_string);
        let is_left = |metric: &String| due.is_schema || progress.upkeep.uncollected.contains(metric);
        upkeep.uncollected = failed.filter(is_left).collect();
        upkeep.schema = self.schema.version().0;
        if is_changed {
            upkeep.garbage_since = upkeep.garbage_since.or(Some(now.micros()));
        }
        if upkeep.garbage_since.is_some_and(|since| since <= before(now, self.options.pin_for).micros()) {
            upkeep.garbage_since = self.collect(now, is_changed, report).await;
        }
        if upkeep == progress.upkeep {
            return Ok(());
        }
        progress.upkeep = upkeep;
        progress.write(&*self.parts.repo, self.parts.clock.now()).await
    }

    /// Lets the files of a metric's days go that are too old, all in one commit; whether there were any.
    ///
    /// Only files all of whose rows have left the nearline store: what was not compacted for long enough stays,
    /// whatever the clock says.
    async fn age_off(&self, id: &MetricId, now: Timestamp, report: &mut TenantReport) -> Result<bool> {
        let Some(metric) = self.schema.metric(id) else { return Ok(false) };
        let Some(first_day) = metric.retain_days(self.schema).first_day(day_of(now)) else { return Ok(false) };
        let tables: &Tables = &self.parts.tables;
        let snapshot = tables.snapshot(self.tenant, id).await?;
        if snapshot.files.iter().all(|file| file.day >= first_day) {
            return Ok(false);
        }
        let floor = tables.floor(self.tenant, id).await?;
        let is_old = |file: &&DataFile| file.day < first_day && floor.includes(&file.positions);
        let old: Vec<&DataFile> = snapshot.files.iter().filter(is_old).collect();
        if old.is_empty() {
            return Ok(false);
        }
        let remove = old.iter().map(|file| Arc::clone(&file.path)).collect();
        let change = Change { remove, cover: snapshot.cover.clone(), ..Change::default() };
        let lost = || Error::new(ErrorKind::Cancelled, "somebody else committed to the table in the meantime");
        match tables.commit(&snapshot, change).await {
            Outcome::Done(Committed::Done(_)) => {}
            Outcome::Done(Committed::Conflict(_)) => return Err(lost()),
            Outcome::NotDone(error) => return Err(error),
            Outcome::Unknown(error) => {
                tracing::warn!(%error, metric = %id, "whether rows aged off is not known yet");
                return Err(lost());
            }
        }
        report.aged_files += old.len() as u64;
        report.aged_rows += old.iter().map(|file| file.rows).sum::<u64>();
        Ok(true)
    }

    /// Deletes what no reader can need; answers since when there may be more. A failure leaves it to the next run.
    async fn collect(&self, now: Timestamp, is_changed: bool, report: &mut TenantReport) -> Option<i64> {
        let horizon = before(now, self.options.pin_for);
        let mut is_left = is_changed;
        let metrics = match self.parts.tables.metrics(self.tenant).await {
            Ok(metrics) => metrics,
            Err(error) => {
                tracing::warn!(%error, tenant = %self.tenant, "garbage stays until the next run");
                return Some(horizon.micros());
            }
        };
        for metric in metrics {
            match self.parts.tables.collect_garbage(self.tenant, &metric, horizon).await.into_result() {
                Ok(collected) => {
                    report.collected_files += collected.files;
                    report.collected_bytes += collected.bytes;
                    // Collecting files is a commit, which leaves a document behind.
                    is_left |= collected.is_partial || collected.files > 0;
                }
                Err(error) => {
                    tracing::warn!(%error, tenant = %self.tenant, %metric, "garbage stays until the next run");
                    is_left = true;
                }
            }
        }
        is_left.then_some(now.micros())
    }
}
