//! What a replay's schema refuses: an error, unless the event is a row already by how the other mode reads it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use arrow_array::cast::AsArray;
use fineo_core::{
    Error, EventId, MetricId, Result, ShardId, TenantId,
    archive::Stage,
    nearline::{ScanRequest, SystemColumns},
    stream::Delivery,
};
use fineo_schema::TenantSchema;
use futures::TryStreamExt;

use super::{Replay, ReplayRequest};
use crate::{
    driver::{parts::Shared, work::write_errors},
    errors::{ErrorRow, repairs},
};

impl Replay<'_> {
    /// Writes the errors of refused events; those that the other mode reads wait until it is known whether they are rows.
    pub(super) async fn refuse(
        &mut self,
        shard: &ShardId,
        schema: &Arc<TenantSchema>,
        deliveries: &[Delivery],
        errors: Vec<ErrorRow>,
    ) -> Result<()> {
        let rest = self.doubts.hold_refused(shard, schema, deliveries, errors).await?;
        self.write_refused(shard, &rest, deliveries.len()).await
    }

    /// Writes the errors of `refused`. The events of `stands` are rows: their errors, if they have open ones, are repaired.
    pub(super) async fn settle_refused(
        &mut self,
        refused: Vec<(ShardId, ErrorRow)>,
        stands: Vec<EventId>,
    ) -> Result<()> {
        let mut of_shards: BTreeMap<ShardId, Vec<ErrorRow>> = BTreeMap::new();
        for (shard, error) in refused {
            of_shards.entry(shard).or_default().push(error);
        }
        for (shard, errors) in of_shards {
            self.write_refused(&shard, &errors, errors.len()).await?;
        }
        for error in stands {
            self.report.events += 1;
            self.report.passed += 1;
            if self.open_errors.remove(&error) {
                self.repaired.push(error);
            }
        }
        Ok(())
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
