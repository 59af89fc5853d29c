//! Which events are rows of columnar files: asked by replays, which are to double none.

use std::collections::HashSet;

use async_trait::async_trait;
use fineo_core::{EventId, MetricId, Result, TenantId};
use fineo_ingest::FiledEvents;

use crate::Fineo;

#[async_trait]
impl FiledEvents for Fineo {
    async fn find(&self, tenant: &TenantId, metric: &MetricId, ids: &[EventId]) -> Result<HashSet<EventId>> {
        let snapshot = self.tables.snapshot(tenant, metric).await?;
        let mut found = HashSet::new();
        for file in &snapshot.files {
            found.extend(self.tables.reader(&snapshot, file).await?.find(ids).await?);
        }
        Ok(found)
    }
}
