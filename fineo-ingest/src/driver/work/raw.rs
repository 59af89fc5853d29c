//! Stage raw in a driver: schemas in, records out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fineo_core::{
    Error, Result, ShardId, TenantId, Timestamp,
    archive::Stage,
    stream::{Appended, Delivery, Entry},
};
use fineo_schema::TenantSchema;
use futures::{StreamExt, TryStreamExt, stream};

use super::{Passed, moved::leave_out_rows, write_errors};
use crate::{
    cover::Forwarded,
    driver::{earlier::Earlier, lease::Held, parts::Shared},
    envelope,
    stage::raw::{RawOutcome, RawStage, Schemas, distinct},
};

/// So many tenants' schemas are looked at at a time.
const LOOKS_AT_ONCE: usize = 16;
/// So many tenants' schemas are read or changed at a time: a directory's repository makes changes that wait together in one go.
const SCHEMAS_AT_ONCE: usize = 64;
/// Metrics may be missing once more after they were discovered, when somebody deletes them just then.
const ROUNDS_MAX: usize = 3;

#[derive(Debug)]
pub(crate) struct RawWork {
    shared: Arc<Shared>,
    shard: ShardId,
    stage: RawStage,
    /// What an earlier run forwarded of what is given again.
    earlier: Earlier,
    /// The lease under which it forwards, where another worker may take it.
    held: Option<Held>,
    /// Records of a raw shard stay together, in order.
    key: u64,
}

/// The key of what a raw shard forwards: its number, for streams spread small numbers evenly.
pub(crate) fn key_of(shard: &ShardId) -> u64 {
    let number = shard.as_str().rsplit(|char: char| !char.is_ascii_digit()).next().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| {
        let hash = blake3::hash(shard.as_str().as_bytes());
        hash.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    })
}

impl RawWork {
    pub(crate) fn new(shared: Arc<Shared>, shard: ShardId) -> Self {
        let key = key_of(&shard);
        let stage = shared.raw_stage();
        Self { shared, shard, stage, earlier: Earlier::default(), held: None, key }
    }

    /// Leaves out what `earlier` has. Under another schema than then it may be read otherwise, and would be there twice.
    pub(crate) fn leave_out(&mut self, earlier: Earlier) {
        self.earlier = earlier;
    }

    /// Forwards only while the lease is sure to be held: what is forwarded after another worker looked is not left out there.
    pub(crate) fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// Whether nothing that is given again is left to be left out.
    pub(crate) fn leaves_out_nothing(&self) -> bool {
        self.earlier.is_empty()
    }

    pub(crate) async fn pass(&mut self, batch: &[Delivery]) -> Result<Passed> {
        let mut schemas = self.schemas(batch).await?;
        let mut passed = Passed::default();
        let mut wanted = self.wanted(&schemas, batch, &mut passed);
        for round in 0..ROUNDS_MAX {
            let may_discover = round + 1 < ROUNDS_MAX;
            let mut outcome = match &wanted {
                None => self.stage.apply(&schemas, batch, 0..batch.len(), self.key, may_discover),
                Some(wanted) => self.stage.apply(&schemas, batch, wanted.iter().copied(), self.key, may_discover),
            };
            leave_out_rows(&self.shared, &mut outcome).await?;
            let RawOutcome { forward, errors, missing_metrics, deferred, .. } = outcome;
            passed.errors.extend(errors);
            self.forward(forward, &mut passed).await?;
            if deferred.is_empty() {
                break;
            }
            schemas.extend(self.discovered(missing_metrics.into_iter().collect()).await?);
            wanted = Some(deferred);
        }
        write_errors(&self.shared, Stage::Raw, &self.shard, &passed.errors, batch.len()).await?;
        Ok(passed)
    }

    /// The deliveries, by index, that no earlier run forwarded; none where there was no such run.
    fn wanted(&mut self, schemas: &Schemas, batch: &[Delivery], passed: &mut Passed) -> Option<Vec<usize>> {
        if self.earlier.is_empty() {
            return None;
        }
        let Self { stage, earlier, .. } = self;
        let mut is_new = |delivery: &Delivery| {
            let tells = schemas.get(&delivery.tenant).and_then(|schema| stage.tells(schema, delivery));
            tells.is_none_or(|tells| !earlier.has(&delivery.tenant, &tells))
        };
        let wanted = (0..batch.len()).filter(|index| is_new(&batch[*index])).collect();
        if let Some(last) = batch.last() {
            passed.forwarded.merge(&self.earlier.passed(last.position));
        }
        Some(wanted)
    }

    async fn schemas(&self, batch: &[Delivery]) -> Result<Schemas> {
        let store = &self.shared.parts.schemas;
        if !self.shared.options.is_alone {
            self.look_at_schemas(batch).await;
        }
        let mut schemas = Schemas::default();
        let mut unknown = BTreeSet::new();
        let mut last = None;
        for delivery in batch {
            if last == Some(&delivery.tenant) {
                continue;
            }
            last = Some(&delivery.tenant);
            if schemas.contains_key(&delivery.tenant) {
                continue;
            }
            match store.cached(&delivery.tenant) {
                Some(schema) => {
                    schemas.insert(delivery.tenant.clone(), schema);
                }
                None => {
                    unknown.insert(delivery.tenant.clone());
                }
            }
        }
        let reads = stream::iter(unknown).map(|tenant| async move {
            let schema = self.shared.retry.until_done(|| async { store.snapshot(&tenant).await }).await?;
            Ok::<_, Error>((tenant, schema))
        });
        let read: Vec<_> = reads.buffer_unordered(SCHEMAS_AT_ONCE).try_collect().await?;
        schemas.extend(read);
        Ok(schemas)
    }

    /// The schemas of tenants with the metrics that their events name. What was brought in stays when nobody waits any more:
    /// the same events name it again.
    async fn discovered(
        &self,
        missing: BTreeMap<TenantId, Vec<Arc<str>>>,
    ) -> Result<Vec<(TenantId, Arc<TenantSchema>)>> {
        let store = &self.shared.parts.schemas;
        let discoveries = stream::iter(missing).map(|(tenant, names)| async move {
            let names = distinct(names);
            let discover = || async { store.discover_metrics(&tenant, &names).await };
            let schema = self.shared.retry.until_done(discover).await?;
            Ok((tenant, schema))
        });
        discoveries.buffer_unordered(SCHEMAS_AT_ONCE).try_collect().await
    }

    /// Takes in what other processes changed of the schemas: an event is read under every change before its arrival. While
    /// the repository is down, what is cached serves.
    async fn look_at_schemas(&self, batch: &[Delivery]) {
        let mut arrivals: BTreeMap<&TenantId, Timestamp> = BTreeMap::new();
        for delivery in batch {
            // What cannot be read has no schema to be read under.
            let arrived_at = envelope::read(&delivery.payload).map(|read| read.arrived_at).unwrap_or_default();
            let last = arrivals.entry(&delivery.tenant).or_insert(arrived_at);
            *last = arrived_at.max(*last);
        }
        let schemas = &self.shared.parts.schemas;
        let older = arrivals.into_iter().filter(|(tenant, arrived_at)| !schemas.is_known_at(tenant, *arrived_at));
        let older: Vec<TenantId> = older.map(|(tenant, _)| tenant.clone()).collect();
        let looks = stream::iter(older).map(|tenant| {
            let schemas = schemas.clone();
            async move {
                if let Err(error) = schemas.refresh(&tenant).await {
                    tracing::warn!(%error, %tenant, "the schema could not be looked at");
                }
            }
        });
        looks.buffer_unordered(LOOKS_AT_ONCE).for_each(|()| std::future::ready(())).await;
    }

    async fn forward(&mut self, entries: Vec<Entry>, passed: &mut Passed) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let outcomes = self.append(entries).await?;
        self.shared.progress.forwarded_more(outcomes.len());
        let mut forwarded = Forwarded::default();
        for outcome in outcomes {
            // Stage raw refuses what is too large for an entry: a failure is the stream's, not the event's.
            forwarded.advance(outcome?);
        }
        passed.forwarded.merge(&forwarded.cover());
        Ok(())
    }

    async fn append(&mut self, entries: Vec<Entry>) -> Result<Vec<Result<Appended>>> {
        let append = self.shared.retry.append(&*self.shared.parts.staged, entries);
        let Some(held) = &mut self.held else { return Ok(append.await) };
        held.is_sure().await;
        tokio::select! {
            biased;
            () = held.is_in_doubt() => {
                let error = Error::unavailable("the lease was not renewed in time: another worker may forward the same");
                Err(error.with("shard", &self.shard))
            }
            outcomes = append => Ok(outcomes),
        }
    }
}
