//! Which events are rows already: nearline, or in files, of which a pipeline itself knows nothing.

use std::{collections::HashSet, fmt};

use arrow_array::cast::AsArray;
use async_trait::async_trait;
use fineo_core::{
    Error, EventId, MetricId, NearlineStore, Result, TenantId, TimeRange,
    nearline::{ScanRequest, SystemColumns},
};
use futures::TryStreamExt;

/// Tells which events are rows of files: what a pipeline itself does not know.
#[async_trait]
pub trait FiledEvents: fmt::Debug + Send + Sync {
    /// Those of `ids` that files have as rows of `metric`, whatever their time.
    ///
    /// # Errors
    ///
    /// A failure of the store, or `Corrupt`.
    async fn find(&self, tenant: &TenantId, metric: &MetricId, ids: &[EventId]) -> Result<HashSet<EventId>>;
}

/// There are no files.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

#[async_trait]
impl FiledEvents for NoFiles {
    async fn find(&self, _tenant: &TenantId, _metric: &MetricId, _ids: &[EventId]) -> Result<HashSet<EventId>> {
        Ok(HashSet::new())
    }
}

/// Those of `ids` that are rows of `metric`: nearline, of one of the times `during`, or in files.
pub(crate) async fn rows(
    nearline: &dyn NearlineStore,
    files: &dyn FiledEvents,
    tenant: &TenantId,
    metric: &MetricId,
    during: &[TimeRange],
    mut ids: HashSet<EventId>,
) -> Result<HashSet<EventId>> {
    let system = SystemColumns { event_id: true, ..SystemColumns::default() };
    let mut found = HashSet::new();
    // Rows go from the nearline store to files, never back.
    for time in during {
        let request = ScanRequest::new(tenant.clone(), metric.clone()).with_system(system).with_time(*time);
        let mut batches = nearline.scan(request);
        while let Some(batch) = batches.try_next().await? {
            for id in batch.column(1).as_fixed_size_binary().iter() {
                let id = id.and_then(|id| id.try_into().ok()).map(EventId);
                let id = id.ok_or_else(|| Error::internal("a row has no event id"))?;
                found.extend(ids.take(&id));
            }
        }
    }
    if !ids.is_empty() {
        let rest: Vec<EventId> = ids.into_iter().collect();
        found.extend(files.find(tenant, metric, &rest).await?);
    }
    Ok(found)
}
