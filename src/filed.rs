//! Which events are rows of columnar files: asked by replays, which are to double none.

use std::collections::HashSet;

use async_trait::async_trait;
use fineo_core::{EventId, Result, TenantId};
use fineo_ingest::FiledEvents;

use crate::Fineo;

#[async_trait]
impl FiledEvents for Fineo {
    async fn find(&self, tenant: &TenantId, ids: &[EventId]) -> Result<HashSet<EventId>> {
        let schema = self.schemas.refresh(tenant).await?;
        let mut found = HashSet::new();
        for metric in schema.metrics().flat_map(|metric| metric.row_metrics()) {
            let snapshot = self.tables.snapshot(tenant, metric).await?;
            for file in &snapshot.files {
                found.extend(self.tables.reader(&snapshot, file).await?.find(ids).await?);
            }
        }
        Ok(found)
    }
}
