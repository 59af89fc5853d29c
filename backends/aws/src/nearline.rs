//! A nearline store in one DynamoDB table.
//!
//! A row is two items that are written in one transaction: the row itself, under its day and in order of time, and a
//! *guard* under its event id, which makes the first position win. Cells are attributes of the row under the names
//! that were sent, of native types where their texts survive it. A directory says which days have rows, so that a scan
//! asks only for those.

mod batch;
mod cells;
mod directory;
mod key;
mod parts;
mod remove;
mod scan;
mod tried;
mod value;
mod write;

use std::{fmt, sync::Arc};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_core::{
    Cover, Durability, MetricId, NearlineStore, Outcome, Result, TenantId,
    nearline::{NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
};
use futures::stream::BoxStream;

use crate::{AwsOptions, dynamo::Table};
use directory::Directory;
pub(crate) use key::{PARTITION, SORT};

const ROWS_MAX: usize = 5_000;

/// A [`NearlineStore`] in a DynamoDB table. Clones share what they know of its directory.
#[derive(Clone)]
pub struct DynamoNearline {
    table: Table,
    directory: Arc<Directory>,
    spread: u32,
    unspread_max: usize,
}

impl DynamoNearline {
    pub(crate) fn new(table: Table, options: &AwsOptions) -> Self {
        Self { table, directory: Arc::default(), spread: options.spread, unspread_max: options.unspread_max }
    }
}

#[async_trait]
impl NearlineStore for DynamoNearline {
    fn capabilities(&self) -> NearlineCapabilities {
        NearlineCapabilities { durability: Durability::ZoneLoss, rows_max: ROWS_MAX }
    }

    fn pushdown(&self, predicate: &Predicate) -> Pushdown {
        match predicate {
            Predicate::AnyText { .. } | Predicate::AnyPresent { .. } => Pushdown::Exact,
        }
    }

    async fn write(&self, tenant: &TenantId, metric: &MetricId, rows: Rows) -> Vec<Outcome<Written>> {
        write::Writer::new(self, tenant, metric, &rows).write().await
    }

    /// A row is durable when DynamoDB answers for it.
    async fn sync(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        scan::batches(self.clone(), request)
    }

    async fn remove(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64> {
        remove::Remover::new(self, tenant, metric, cover).remove().await
    }

    async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        let mut with_rows = Vec::new();
        for metric in self.listed_metrics(tenant).await? {
            if self.has_rows(tenant, &metric).await? {
                with_rows.push(metric);
            }
        }
        Ok(with_rows)
    }
}

impl fmt::Display for DynamoNearline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynamoDB nearline store {}", self.table.name)
    }
}

impl fmt::Debug for DynamoNearline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoNearline").field("table", &self.table.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
