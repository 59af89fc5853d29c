//! What a replay's schema refuses: an error, unless the event is a row already by how the other mode reads it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use arrow_array::cast::AsArray;
use fineo_core::{
    Error, EventId, MetricId, Position, Result, ShardId, TenantId,
    archive::Stage,
    nearline::{ScanRequest, SystemColumns},
    stream::Delivery,
};
use fineo_schema::TenantSchema;
use futures::TryStreamExt;

use super::{Replay, ReplayRequest, doubts::RefusedAgain};
use crate::{
    driver::{parts::Shared, work::write_errors},
    envelope,
    errors::{ErrorRow, error_id, repairs},
    stage::{payload, raw::RawStage},
};

impl Replay<'_> {
    /// The open errors of an event, which may have been refused more than once, and not always under one id.
    pub(super) async fn open_errors_of(&mut self, delivery: &Delivery) -> Result<Vec<EventId>> {
        if self.open_errors.is_empty() {
            return Ok(Vec::new());
        }
        let stage = self.request.stage;
        let mut errors = error_ids(&mut self.raw, &self.schema, stage, delivery);
        if stage == Stage::Raw
            && let Ok(envelope) = envelope::read(&delivery.payload)
            && envelope.metric.is_some()
        {
            // Whether the sender's word for the metric counts depends on the metric keys.
            let recorded = self.recorded.at(envelope.arrived_at).await?;
            if recorded.settings().metric_keys != self.schema.settings().metric_keys {
                errors.extend(error_ids(&mut self.raw, &recorded, stage, delivery));
            }
        }
        errors.retain(|error| self.open_errors.contains(error));
        Ok(errors)
    }

    /// Writes the errors of refused events; those that the other mode reads wait until it is known whether they are rows.
    pub(super) async fn refuse(
        &mut self,
        shard: &ShardId,
        schema: &Arc<TenantSchema>,
        deliveries: &[Delivery],
        errors: Vec<ErrorRow>,
    ) -> Result<()> {
        let mut open = HashMap::new();
        let refused: HashSet<Position> = errors.iter().map(|error| error.position).collect();
        for delivery in deliveries.iter().filter(|delivery| refused.contains(&delivery.position)) {
            open.insert(delivery.position, self.open_errors_of(delivery).await?);
        }
        let again = errors
            .into_iter()
            .map(|error| RefusedAgain { open: open.remove(&error.position).unwrap_or_default(), error });
        let rest = self.doubts.hold_refused(shard, schema, deliveries, again.collect()).await?;
        self.write_refused(shard, &rest, deliveries.len()).await
    }

    /// Writes the errors of `refused`. `stands` has the open errors of each event that is a row: they are repaired.
    pub(super) async fn settle_refused(
        &mut self,
        refused: Vec<(ShardId, ErrorRow)>,
        stands: Vec<Vec<EventId>>,
    ) -> Result<()> {
        let mut of_shards: BTreeMap<ShardId, Vec<ErrorRow>> = BTreeMap::new();
        for (shard, error) in refused {
            of_shards.entry(shard).or_default().push(error);
        }
        for (shard, errors) in of_shards {
            self.write_refused(&shard, &errors, errors.len()).await?;
        }
        for errors in stands {
            self.report.events += 1;
            self.report.passed += 1;
            self.repair(&errors);
        }
        Ok(())
    }

    /// Notes that `errors` are repaired, as far as they are open.
    pub(super) fn repair(&mut self, errors: &[EventId]) {
        let open_errors = &mut self.open_errors;
        self.repaired.extend(errors.iter().filter(|error| open_errors.remove(error)));
    }

    async fn write_refused(&mut self, shard: &ShardId, errors: &[ErrorRow], batch: usize) -> Result<()> {
        write_errors(self.shared, Stage::Raw, shard, errors, batch).await?;
        for error in errors {
            *self.report.rejected.entry(error.rejection.code.as_str()).or_default() += 1;
            self.report.events += 1;
        }
        Ok(())
    }
}

/// The ids that the error rows of an event may have under `schema`: raw ones go by its arrival, or by what it says.
fn error_ids(raw: &mut RawStage, schema: &Arc<TenantSchema>, stage: Stage, delivery: &Delivery) -> Vec<EventId> {
    let (id, content) = match stage {
        Stage::Raw => {
            let arrival = envelope::read(&delivery.payload).map(|read| read.arrival_id);
            (arrival, raw.content_of(schema, delivery))
        }
        Stage::Staged => (payload::read(&delivery.payload).map(|entry| entry.id), None),
    };
    let ids = [id.ok().map(|id| id.0), content.map(|content| content.0)];
    ids.into_iter().flatten().map(|id| error_id(&[&id], stage)).collect()
}

/// The ids of the stage's error rows that are not repaired.
pub(super) async fn open_errors(shared: &Shared, request: &ReplayRequest) -> Result<HashSet<EventId>> {
    let mut open = HashSet::new();
    for (id, stage) in ids(shared, &request.tenant, MetricId::errors(), "stage").await? {
        if stage.as_deref() == Some(request.stage.as_str()) {
            open.insert(id);
        }
    }
    for (id, _) in ids(shared, &request.tenant, repairs(), "error").await? {
        open.remove(&id);
    }
    Ok(open)
}

/// The ids of the rows of `metric`, each with one of its cells.
async fn ids(
    shared: &Shared,
    tenant: &TenantId,
    metric: MetricId,
    cell: &str,
) -> Result<Vec<(EventId, Option<String>)>> {
    let request = ScanRequest::new(tenant.clone(), metric)
        .with_names([cell])
        .with_system(SystemColumns { event_id: true, ..SystemColumns::default() });
    let mut found = Vec::new();
    let mut batches = shared.parts.nearline.scan(request);
    while let Some(batch) = batches.try_next().await? {
        let (ids, cells) = (batch.column(1).as_fixed_size_binary(), batch.column(2).as_string_view());
        for (id, cell) in ids.iter().zip(cells.iter()) {
            let id = id.and_then(|id| id.try_into().ok()).map(EventId);
            let id = id.ok_or_else(|| Error::internal("a row has no event id"))?;
            found.push((id, cell.map(str::to_owned)));
        }
    }
    Ok(found)
}
