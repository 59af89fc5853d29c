//! A tenant's columnar tables, to be shown.

use fineo_core::{Result, TenantId};
use serde::{Deserialize, Serialize};

use crate::Fineo;

/// A columnar table: a Delta Lake table that other programs read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableStatus {
    /// The display name of its metric; the canonical id of one that has none any more.
    pub metric: String,
    /// Where it is.
    pub location: String,
    /// How many live files it has.
    pub files: u64,
    /// How many rows they have.
    pub rows: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

impl TableStatus {
    pub(crate) async fn of(fineo: &Fineo, tenant: &TenantId) -> Result<Vec<Self>> {
        let schema = fineo.schemas.snapshot(tenant).await?;
        let mut tables = Vec::new();
        for id in fineo.tables.metrics(tenant).await? {
            let snapshot = fineo.tables.snapshot(tenant, &id).await?;
            // A metric that was merged into another answers there, and keeps its table.
            let holder = schema.metrics().find(|metric| metric.row_metrics().contains(&id));
            tables.push(Self {
                metric: holder.map_or_else(|| id.to_string(), |metric| metric.name().to_string()),
                location: fineo.tables.location(tenant, &id).to_string(),
                files: snapshot.files.len() as u64,
                rows: snapshot.rows(),
                bytes: snapshot.bytes(),
            });
        }
        tables.sort_by(|a, b| (&a.metric, &a.location).cmp(&(&b.metric, &b.location)));
        Ok(tables)
    }
}
