//! Replay: passes what is archived through a stage again, into the live stores. What was there stays there once.

mod cold;
mod deleted;
mod doubts;
mod into;
mod recorded;
mod refused;
mod request;
pub(crate) mod source;
mod tail;
mod wanted;
mod withheld;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use fineo_core::{
    ContentHash, Cover, Error, EventId, MetricId, Position, Result, ShardId, TenantId, TimeRange, Timestamp,
    archive::Stage,
    nearline::{RowHead, Rows},
    repo::Version,
    stream::{Delivery, Entry},
};
use fineo_schema::{SchemaStore, TenantSchema};

use crate::{
    ArchivedRecord, FiledEvents, Pipeline,
    driver::{
        parts::Shared,
        work::{StagedWork, write_rows},
    },
    errors::{repairs, replay_pointer},
    stage::{
        payload,
        raw::{RawStage, Schemas, distinct},
    },
};
pub use cold::{ColdSegments, RestoreProgress};
use deleted::Deleted;
use doubts::Doubts;
pub use into::{SentReport, Speed};
use recorded::Recorded;
use refused::open_errors;
pub use request::{ReplayMode, ReplayReport, ReplayRequest};
use source::Source;
use withheld::Withheld;

/// How many events are passed on together.
const BATCH_EVENTS: usize = 8_192;
/// How long the staged stage may take for what a replay sent it.
const STAGED_WITHIN: Duration = Duration::from_secs(600);
/// How often a metric may be discovered while a batch is read.
const ROUNDS_MAX: usize = 3;

impl Pipeline {
    /// Passes archived events, and those not archived yet, through a stage again. Doing so twice changes nothing.
    ///
    /// It adds what is missing and moves nothing: an event that is a row already, nearline or in `files`, stays where it is, at its
    /// time and under its metric, whatever the schema would read from it now; but not one that its client's key identifies. What
    /// arrived for a metric that was deleted since is passed over. Of
    /// two replays at once, one of which began before a change of how events are read, neither sees yet what the other one adds.
    ///
    /// # Errors
    ///
    /// `NotFound` when the tenant has no such metric; `Cold`, before anything was passed on, when segments have to be restored
    /// first, see [`Pipeline::restore_cold`]; `Corrupt` when a segment cannot be read, or when segments are missing,
    /// after all that is there was passed on; `Unavailable`, after the same, when segments are still on their way to an archive
    /// that lists late; or a failure of a store, after which the replay can be begun again.
    pub async fn replay(&self, request: ReplayRequest, files: &dyn FiledEvents) -> Result<ReplayReport> {
        let shared = self.shared();
        let before = shared.counters.tenant(&request.tenant);
        let mut replay = Replay::begin(self, &request, files).await?;
        let mut source = Source::new(shared, &request);
        while let Some((shard, records)) = source.next(BATCH_EVENTS).await? {
            replay.pass(&shard, records).await?;
        }
        replay.settle().await?;
        if !replay.forwarded.is_empty() {
            self.wait_until_staged(&replay.forwarded, STAGED_WITHIN).await?;
        }
        replay.mark_repaired().await?;
        source.check_whole().await?;
        let Replay { mut report, .. } = replay;
        let counts = shared.counters.tenant(&request.tenant).since(&before);
        report.rows = counts.rows;
        report.expired_until = source.expired_until().await?;
        report.duplicates += counts.duplicates;
        Ok(report)
    }
}

struct Replay<'a> {
    shared: &'a Arc<Shared>,
    request: &'a ReplayRequest,
    schema: Arc<TenantSchema>,
    /// The ids of the rows of the metric asked for.
    metrics: Option<Vec<MetricId>>,
    /// Error rows of the stage that are not repaired.
    open_errors: HashSet<EventId>,
    repaired: Vec<EventId>,
    raw: RawStage,
    recorded: Recorded<'a>,
    deleted: Deleted<'a>,
    withheld: Withheld<'a>,
    doubts: Doubts<'a>,
    staged: HashMap<ShardId, StagedWork>,
    forwarded: Cover,
    report: ReplayReport,
}

impl<'a> Replay<'a> {
    async fn begin(pipeline: &'a Pipeline, request: &'a ReplayRequest, files: &'a dyn FiledEvents) -> Result<Self> {
        let shared = pipeline.shared();
        let schema = shared.parts.schemas.refresh(&request.tenant).await?;
        let metrics = match &request.metric {
            None => None,
            Some(name) => {
                let found = schema
                    .metric_named(name)
                    .ok_or_else(|| Error::not_found("the tenant has no such metric").with("metric", name))?;
                Some(found.row_metrics().to_vec())
            }
        };
        Ok(Self {
            open_errors: open_errors(shared, request).await?,
            deleted: Deleted::new(shared, request, &schema),
            recorded: Recorded::new(shared, request),
            withheld: Withheld::new(shared, request, &schema),
            doubts: Doubts::new(pipeline, files, request, &schema),
            shared,
            request,
            schema,
            metrics,
            repaired: Vec::new(),
            raw: shared.raw_stage(),
            staged: HashMap::new(),
            forwarded: Cover::default(),
            report: ReplayReport::default(),
        })
    }

    async fn pass(&mut self, shard: &ShardId, records: Vec<ArchivedRecord>) -> Result<()> {
        let mut wanted = Vec::with_capacity(records.len());
        for record in records {
            if self.is_wanted(shard, &record).await? {
                wanted.push(record);
            }
        }
        match self.request.stage {
            Stage::Raw => {
                let kept = self.without_deleted(wanted).await?;
                let mut rest = kept.as_slice();
                while let Some(first) = rest.first() {
                    let (schema, during) = match self.request.mode {
                        ReplayMode::ReDerive => (Arc::clone(&self.schema), TimeRange::ALL),
                        ReplayMode::AsRecorded => {
                            self.shared.parts.schemas.at_time(&self.request.tenant, first.arrived_at).await?
                        }
                    };
                    let count = 1 + rest[1..].iter().take_while(|record| during.contains(record.arrived_at)).count();
                    let (now, later) = rest.split_at(count);
                    self.pass_raw(shard, schema, now).await?;
                    rest = later;
                }
                Ok(())
            }
            Stage::Staged => self.pass_staged(shard, &wanted).await,
        }
    }

    /// Those of `records` that do not belong to a metric that was deleted since they arrived.
    async fn without_deleted(&mut self, records: Vec<ArchivedRecord>) -> Result<Vec<ArchivedRecord>> {
        let mut kept = Vec::with_capacity(records.len());
        for record in records {
            match self.deleted.name_of(&record).await? {
                None => kept.push(record),
                Some(name) if self.is_asked_for(&name) => {
                    self.report.events += 1;
                    self.report.deleted += 1;
                }
                Some(_) => {}
            }
        }
        Ok(kept)
    }

    /// Whether the metric asked for has this name, or none was.
    fn is_asked_for(&self, name: &str) -> bool {
        let Some(metrics) = &self.metrics else { return true };
        self.schema.row_metric(name).is_some_and(|metric| metrics.contains(metric))
    }

    async fn is_wanted(&mut self, shard: &ShardId, record: &ArchivedRecord) -> Result<bool> {
        let request = self.request;
        let is_pointed_to = |pointers: &HashSet<String>| {
            pointers.contains(&replay_pointer(request.stage, shard, record.delivery.position))
        };
        if !request.pointers.as_ref().is_none_or(is_pointed_to) {
            return Ok(false);
        }
        Ok(!request.errors_only || !self.open_errors_of(&record.delivery).await?.is_empty())
    }

    fn is_of_metric(&self, record: &[u8]) -> bool {
        let Some(metrics) = &self.metrics else { return true };
        payload::read(record).is_ok_and(|entry| metrics.iter().any(|metric| metric.as_str() == entry.metric))
    }

    async fn pass_raw(&mut self, shard: &ShardId, schema: Arc<TenantSchema>, records: &[ArchivedRecord]) -> Result<()> {
        let deliveries: Vec<Delivery> = records.iter().map(|record| record.delivery.clone()).collect();
        let mut schemas = Schemas::from_iter([(self.request.tenant.clone(), schema)]);
        let mut wanted: Vec<usize> = (0..deliveries.len()).collect();
        for round in 0..ROUNDS_MAX {
            let may_discover = round + 1 < ROUNDS_MAX;
            let outcome = self.raw.apply(&schemas, &deliveries, wanted.iter().copied(), 0, may_discover);
            let places = self.doubts.places(&deliveries, &schemas[&self.request.tenant], &outcome).await?;
            let mut entries = Vec::with_capacity(outcome.forward.len());
            for ((index, entry), places) in outcome.passed.into_iter().zip(outcome.forward).zip(places) {
                if !self.is_of_metric(&entry.payload) {
                    continue;
                }
                let entry = self.withheld.taken_out(entry, &schemas[&self.request.tenant]).await?;
                match places.is_empty() {
                    true => entries.push(entry),
                    false => self.doubts.hold(entry, places),
                }
                self.went_on(&deliveries[index]).await?;
            }
            self.forward(entries).await?;
            if self.metrics.is_none() {
                let schema = &schemas[&self.request.tenant];
                self.refuse(shard, schema, &deliveries, outcome.errors).await?;
            }
            if self.doubts.are_many() {
                self.settle().await?;
            }
            if outcome.deferred.is_empty() {
                break;
            }
            for (tenant, names) in outcome.missing_metrics {
                let mut names = distinct(names);
                // Other metrics' events are not asked for: a metric that was deleted does not come back by them.
                names.retain(|name| self.metrics.is_none() || self.schema.metric_named(name).is_some());
                if names.is_empty() {
                    continue;
                }
                let before = schemas.get(&tenant).map(|schema| schema.version()).unwrap_or_default();
                let schema = self.schema_that_knows(&names, before).await?;
                schemas.insert(tenant, schema);
            }
            wanted = outcome.deferred;
        }
        Ok(())
    }

    async fn forward(&mut self, entries: Vec<Entry>) -> Result<()> {
        for outcome in self.shared.retry.append(&*self.shared.parts.staged, entries).await {
            let appended = outcome?;
            self.forwarded.advance(&appended.shard, appended.position);
        }
        Ok(())
    }

    /// Passes on what is no row after all, and writes the errors of what was refused and is none.
    async fn settle(&mut self) -> Result<()> {
        let settled = self.doubts.settle(&self.forwarded).await?;
        self.report.duplicates += settled.known;
        self.forward(settled.entries).await?;
        self.settle_refused(settled.refused, settled.stands).await
    }

    /// The schema under which an event is read whose metric `before` does not know.
    async fn schema_that_knows(&self, names: &[Arc<str>], before: Version) -> Result<Arc<TenantSchema>> {
        let (store, tenant) = (&self.shared.parts.schemas, &self.request.tenant);
        if self.request.mode == ReplayMode::AsRecorded
            && let Some(schema) = first_that_knows(store, tenant, names, before, &self.schema).await?
        {
            return Ok(schema);
        }
        store.discover_metrics(tenant, names).await
    }

    async fn went_on(&mut self, delivery: &Delivery) -> Result<()> {
        self.report.events += 1;
        self.report.passed += 1;
        let errors = self.open_errors_of(delivery).await?;
        self.repair(&errors);
        Ok(())
    }

    async fn pass_staged(&mut self, shard: &ShardId, records: &[ArchivedRecord]) -> Result<()> {
        let of_metric = records.iter().filter(|record| self.is_of_metric(&record.delivery.payload));
        let (gone, of_metric): (Vec<_>, Vec<_>) = of_metric.partition(|record| self.deleted.has_record(record));
        self.report.events += gone.len() as u64;
        self.report.deleted += gone.len() as u64;
        let deliveries: Vec<Delivery> = of_metric.into_iter().map(|record| record.delivery.clone()).collect();
        let shared = self.shared;
        let work =
            self.staged.entry(shard.clone()).or_insert_with(|| StagedWork::new(Arc::clone(shared), shard.clone()));
        let passed = work.pass(&deliveries).await?;
        let refused: HashSet<Position> = passed.errors.iter().map(|error| error.position).collect();
        for error in &passed.errors {
            *self.report.rejected.entry(error.rejection.code.as_str()).or_default() += 1;
            self.report.events += 1;
        }
        for delivery in deliveries.iter().filter(|delivery| !refused.contains(&delivery.position)) {
            self.went_on(delivery).await?;
        }
        Ok(())
    }

    /// Writes that the errors of what went on are repaired, once that is durable.
    async fn mark_repaired(&mut self) -> Result<()> {
        let parts = &self.shared.parts;
        let sync = || async { parts.nearline.sync().await.into_result() };
        self.shared.retry.until_done(sync).await?;
        if self.repaired.is_empty() {
            return Ok(());
        }
        let now = parts.clock.now();
        let mut rows = Rows::new(ShardId::new("repairs").expect("a legal id"));
        for error in &self.repaired {
            rows.row(repair_head(*error, now), "repairs");
            rows.cell("error", &error.to_string());
            rows.cell("repaired_at", &now.to_string());
        }
        write_rows(self.shared, &self.request.tenant, &repairs(), &rows).await?;
        self.shared.retry.until_done(sync).await?;
        self.report.repaired = self.repaired.len() as u64;
        Ok(())
    }
}

/// The first schema after `before`, up to `today`'s, that knows metrics: the arrival of events that name them brought it about.
async fn first_that_knows(
    store: &SchemaStore,
    tenant: &TenantId,
    names: &[Arc<str>],
    before: Version,
    today: &TenantSchema,
) -> Result<Option<Arc<TenantSchema>>> {
    let mut version = before.next();
    while version <= today.version() {
        let schema = store.at(tenant, version).await?;
        if names.iter().all(|name| schema.metric_named(name).is_some()) {
            return Ok(Some(schema));
        }
        version = version.next();
    }
    Ok(None)
}

fn repair_head(error: EventId, now: Timestamp) -> RowHead {
    RowHead { timestamp: now, id: error, content: ContentHash(error.0), position: Position::ZERO, ingested_at: now }
}
