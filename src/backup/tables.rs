//! The tables that a backup copies.

use std::collections::BTreeSet;

use fineo_core::{Error, MetricId, Result, TenantId};
use object_store::ObjectStoreExt;

use super::Copy;
use crate::Fineo;

/// So often a table is looked at anew whose objects were collected while they were copied.
const TRIES_MAX: u32 = 5;

impl Fineo {
    /// Copies every table as it is when its turn comes.
    pub(super) async fn back_up_tables(&self, copy: &mut Copy) -> Result<()> {
        for tenant in self.tables.tenants().await? {
            for metric in self.tables.metrics(&tenant).await? {
                self.back_up_table(&tenant, &metric, copy).await?;
            }
        }
        Ok(())
    }

    async fn back_up_table(&self, tenant: &TenantId, metric: &MetricId, copy: &mut Copy) -> Result<()> {
        // An object never changes: what was copied of one state counts for the next one that has it, so that a table which takes
        // longer than its objects are kept comes to an end.
        let mut written = BTreeSet::new();
        for tries in 1.. {
            match self.copy_table(tenant, metric, &mut written, copy).await {
                Err(error) if error.is_retryable() && tries < TRIES_MAX => tracing::info!(%error, "once more"),
                copied => return copied,
            }
        }
        Ok(())
    }

    async fn copy_table(
        &self,
        tenant: &TenantId,
        metric: &MetricId,
        written: &mut BTreeSet<String>,
        copy: &mut Copy,
    ) -> Result<()> {
        let snapshot = self.tables.snapshot(tenant, metric).await?;
        let objects = self.tables.objects_of(&snapshot).await?;
        for relative in &objects {
            let at = self.tables.object_path(tenant, metric, relative);
            let path = format!("objects/{at}");
            if written.contains(&path) {
                continue;
            }
            let read = async { self.parts.objects.store.get(&at).await?.bytes().await };
            let bytes = read.await.map_err(|source| {
                Error::unavailable("an object of a table cannot be read: try again")
                    .with("path", &at)
                    .with_source(source)
            })?;
            copy.writer.write(&path, bytes)?;
            written.insert(path);
        }
        let path = |relative: &String| format!("objects/{}", self.tables.object_path(tenant, metric, relative));
        let current: BTreeSet<String> = objects.iter().map(path).collect();
        copy.writer.take_back(&written.difference(&current).collect())?;
        copy.report.tables += u64::from(!objects.is_empty());
        copy.report.objects += objects.len() as u64;
        Ok(())
    }
}
