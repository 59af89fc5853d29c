//! Which events are rows of columnar files: asked by replays and by stage raw, which are to double none.

use std::collections::HashSet;

use async_trait::async_trait;
use fineo_core::{EventId, MetricId, Result, TenantId};
use fineo_ingest::FiledEvents;
use fineo_table::Tables;

/// The rows of the files of tables.
#[derive(Debug, Clone)]
pub struct FiledRows(pub Tables);

#[async_trait]
impl FiledEvents for FiledRows {
    async fn find(&self, tenant: &TenantId, metric: &MetricId, ids: &[EventId]) -> Result<HashSet<EventId>> {
        let Self(tables) = self;
        let snapshot = tables.snapshot(tenant, metric).await?;
        let (mut found, mut rest) = (HashSet::new(), ids.to_vec());
        for file in snapshot.files.iter() {
            if rest.is_empty() {
                break;
            }
            let here = tables.reader(&snapshot, file).await?.find(&rest).await?;
            rest.retain(|id| !here.contains(id));
            found.extend(here);
            // Where all filters are in memory nothing else lets others have their turn.
            tokio::task::yield_now().await;
        }
        Ok(found)
    }
}
