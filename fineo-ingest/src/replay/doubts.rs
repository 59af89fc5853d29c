//! Events that are rows already, elsewhere: where another schema reads another time, metric or identity from an event, neither
//! the nearline store nor compaction meets the row that it is. A replay adds what is missing; it moves nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use arrow_array::cast::AsArray;
use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Error, EventId, MetricId, Result, TenantId, TimeRange, Timestamp,
    nearline::{ScanRequest, SystemColumns},
    stream::Delivery,
};
use fineo_schema::TenantSchema;
use futures::TryStreamExt;

use super::{ROUNDS_MAX, ReplayMode, first_that_knows};
use crate::{
    Pipeline, envelope,
    stage::{
        payload,
        raw::{RawOutcome, RawStage, Schemas, distinct},
    },
};

/// How long the stages may take for what came before.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);

/// Tells which events are rows of files: what a pipeline itself does not know.
#[async_trait]
pub trait FiledEvents: Send + Sync {
    /// Those of `ids` that `tenant` has in files, whatever their metric and time.
    ///
    /// # Errors
    ///
    /// A failure of the store, or `Corrupt`.
    async fn find(&self, tenant: &TenantId, ids: &[EventId]) -> Result<HashSet<EventId>>;
}

/// There are no files.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

#[async_trait]
impl FiledEvents for NoFiles {
    async fn find(&self, _tenant: &TenantId, _ids: &[EventId]) -> Result<HashSet<EventId>> {
        Ok(HashSet::new())
    }
}

/// An event as a schema reads it.
#[derive(Debug, Clone)]
struct Reading {
    /// The staged entry.
    entry: Bytes,
    time: Timestamp,
}

impl Reading {
    fn id(&self) -> Result<EventId> {
        Ok(payload::read(&self.entry)?.id)
    }

    /// Whether the row of `other` is looked for where that of this one is.
    fn stands_with(&self, other: &Self) -> Result<bool> {
        let (one, two) = (payload::read(&self.entry)?, payload::read(&other.entry)?);
        Ok(self.time == other.time && one.metric == two.metric && one.id == two.id)
    }
}

/// Finds the events of a replay that are rows already.
pub(super) struct Moved<'a> {
    pipeline: &'a Pipeline,
    files: &'a dyn FiledEvents,
    tenant: &'a TenantId,
    mode: ReplayMode,
    today: Arc<TenantSchema>,
    /// Reads events as the replay does not: as they were recorded, or as today.
    raw: RawStage,
    is_drained: bool,
}

impl<'a> Moved<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        files: &'a dyn FiledEvents,
        (tenant, mode): (&'a TenantId, ReplayMode),
        today: &Arc<TenantSchema>,
    ) -> Self {
        let raw = RawStage::new(pipeline.shared().options.limits.fields_max);
        Self { pipeline, files, tenant, mode, today: Arc::clone(today), raw, is_drained: false }
    }

    /// Which of `deliveries` that `outcome` passes on, read under `schema`, are rows already that it would double. Events
    /// that every schema reads alike are not among them: they are known where they stand.
    pub(super) async fn among(
        &mut self,
        deliveries: &[Delivery],
        schema: &Arc<TenantSchema>,
        outcome: &RawOutcome,
    ) -> Result<HashSet<usize>> {
        let others = self.others(deliveries, schema, &outcome.passed).await?;
        let mut suspects: Vec<(usize, [EventId; 2])> = Vec::new();
        for ((index, entry), time) in outcome.passed.iter().zip(&outcome.forward).zip(&outcome.times) {
            let read = Reading { entry: entry.payload.clone(), time: *time };
            match others.get(index) {
                Some(None) => {}
                Some(Some(other)) if read.stands_with(other)? => {}
                Some(Some(other)) => suspects.push((*index, [read.id()?, other.id()?])),
                None => suspects.push((*index, [read.id()?; 2])),
            }
        }
        if suspects.is_empty() {
            return Ok(HashSet::new());
        }
        let ids = suspects.iter().flat_map(|(_, ids)| *ids).collect();
        let stored = self.stored(ids).await?;
        let is_stored = |ids: &[EventId; 2]| ids.iter().any(|id| stored.contains(id));
        Ok(suspects.into_iter().filter(|(_, ids)| is_stored(ids)).map(|(index, _)| index).collect())
    }

    /// How the other mode reads the events that `wanted` names, and `None` where its schema is the same. Those that it refuses
    /// are missing.
    async fn others(
        &mut self,
        deliveries: &[Delivery],
        schema: &Arc<TenantSchema>,
        wanted: &[usize],
    ) -> Result<HashMap<usize, Option<Reading>>> {
        let mut read = HashMap::with_capacity(wanted.len());
        let mut rest = wanted;
        while let Some(first) = rest.first() {
            let (other, during) = match self.mode {
                ReplayMode::AsRecorded => (Arc::clone(&self.today), TimeRange::ALL),
                ReplayMode::ReDerive => {
                    let schemas = &self.pipeline.shared().parts.schemas;
                    schemas.at_time(self.tenant, arrival(&deliveries[*first])?).await?
                }
            };
            let mut count = 1;
            while let Some(next) = rest.get(count)
                && during.contains(arrival(&deliveries[*next])?)
            {
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            match other.version() == schema.version() {
                true => read.extend(now.iter().map(|index| (*index, None))),
                false => self.read(deliveries, other, now, &mut read).await?,
            }
            rest = later;
        }
        Ok(read)
    }

    /// Reads under `schema`, or under the first later one that knows an event's metric: its arrival brought that about.
    async fn read(
        &mut self,
        deliveries: &[Delivery],
        schema: Arc<TenantSchema>,
        wanted: &[usize],
        read: &mut HashMap<usize, Option<Reading>>,
    ) -> Result<()> {
        let mut version = schema.version();
        let mut schemas = Schemas::from_iter([(self.tenant.clone(), schema)]);
        let mut wanted = wanted.to_vec();
        for _ in 0..ROUNDS_MAX {
            let outcome = self.raw.apply(&schemas, deliveries, wanted.iter().copied(), 0, true);
            let readings = outcome.forward.into_iter().zip(outcome.times);
            let readings = readings.map(|(entry, time)| Some(Reading { entry: entry.payload, time }));
            read.extend(outcome.passed.into_iter().zip(readings));
            let Some(names) = outcome.missing_metrics.into_values().next().map(distinct) else { break };
            if names.iter().any(|name| self.today.metric_named(name).is_none()) {
                break;
            }
            let store = &self.pipeline.shared().parts.schemas;
            let knows = first_that_knows(store, self.tenant, &names, version, &self.today).await?;
            let Some(knows) = knows else { break };
            version = knows.version();
            schemas.insert(self.tenant.clone(), knows);
            wanted = outcome.deferred;
        }
        Ok(())
    }

    /// Those of `ids` that are rows of the tenant.
    async fn stored(&mut self, ids: HashSet<EventId>) -> Result<HashSet<EventId>> {
        if !self.is_drained {
            // What is under way to the stores is not there to be found.
            self.pipeline.drain(DRAINED_WITHIN).await?;
            self.is_drained = true;
        }
        let mut found = HashSet::new();
        // Rows go from the nearline store to files, never back.
        for metric in self.today.metrics().flat_map(|metric| metric.row_metrics()) {
            self.find_nearline(metric, &ids, &mut found).await?;
        }
        let rest: Vec<EventId> = ids.into_iter().filter(|id| !found.contains(id)).collect();
        if !rest.is_empty() {
            found.extend(self.files.find(self.tenant, &rest).await?);
        }
        Ok(found)
    }

    async fn find_nearline(
        &self,
        metric: &MetricId,
        ids: &HashSet<EventId>,
        found: &mut HashSet<EventId>,
    ) -> Result<()> {
        let system = SystemColumns { event_id: true, ..SystemColumns::default() };
        let request = ScanRequest::new(self.tenant.clone(), metric.clone()).with_system(system);
        let mut batches = self.pipeline.shared().parts.nearline.scan(request);
        while let Some(batch) = batches.try_next().await? {
            for id in batch.column(1).as_fixed_size_binary().iter() {
                let id = id.and_then(|id| id.try_into().ok()).map(EventId);
                let id = id.ok_or_else(|| Error::internal("a row has no event id"))?;
                if ids.contains(&id) {
                    found.insert(id);
                }
            }
        }
        Ok(())
    }
}

fn arrival(delivery: &Delivery) -> Result<Timestamp> {
    Ok(envelope::read(&delivery.payload)?.arrived_at)
}
