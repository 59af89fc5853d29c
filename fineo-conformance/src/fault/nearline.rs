//! A nearline store behind faults.

use std::{fmt, sync::Arc};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_core::{
    Cover, MetricId, NearlineStore, Outcome, Result, TenantId,
    nearline::{Damage, NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
};
use futures::stream::BoxStream;

use super::{
    Fault, Faults, Operation,
    faults::{Answer, is_masked, weave},
};

/// A [`NearlineStore`] behind faults; without a fault as transparent as glass.
#[derive(Debug)]
pub struct FaultyNearline {
    inner: Arc<dyn NearlineStore>,
    faults: Faults,
}

impl FaultyNearline {
    /// `inner` behind `faults`.
    pub fn new(inner: Arc<dyn NearlineStore>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone() }
    }
}

/// The rows that `mask` lets through.
fn unmasked(rows: &Rows, mask: u64) -> Rows {
    let mut passed = Rows::new(rows.shard().clone());
    for (index, row) in rows.iter().enumerate() {
        if !is_masked(mask, index) {
            passed.row(*row.head(), row.alias());
            for (name, text) in row.cells() {
                passed.cell(name, text);
            }
        }
    }
    passed
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl NearlineStore for FaultyNearline {
    fn capabilities(&self) -> NearlineCapabilities {
        self.inner.capabilities()
    }

    fn pushdown(&self, predicate: &Predicate) -> Pushdown {
        self.inner.pushdown(predicate)
    }

    async fn write(&self, tenant: &TenantId, metric: &MetricId, rows: Rows) -> Vec<Outcome<Written>> {
        let (inner, tenant, metric) = (Arc::clone(&self.inner), tenant.clone(), metric.clone());
        let (operation, count) = (Operation::NearlineWrite, rows.len());
        let fault = self.faults.next(operation);
        let effect = async move {
            let Some(partial @ Fault::Partial { mask, is_applied }) = fault else {
                return inner.write(&tenant, &metric, rows).await;
            };
            let error = partial.error(operation);
            if !is_applied {
                let passed = inner.write(&tenant, &metric, unmasked(&rows, mask)).await;
                return weave(passed, mask, count, || Outcome::not_done(&error, 1));
            }
            let mut outcomes = inner.write(&tenant, &metric, rows).await;
            for (index, outcome) in outcomes.iter_mut().enumerate() {
                if is_masked(mask, index) {
                    *outcome = Outcome::unknown(&error, 1);
                }
            }
            outcomes
        };
        self.faults.call((operation, fault), count, effect).await
    }

    async fn sync(&self) -> Outcome<()> {
        let inner = Arc::clone(&self.inner);
        let fault = self.faults.next(Operation::NearlineSync);
        self.faults.call((Operation::NearlineSync, fault), 1, async move { inner.sync().await }).await
    }

    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        self.faults.stream(Operation::NearlineScan, self.inner.scan(request))
    }

    async fn remove(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64> {
        let inner = Arc::clone(&self.inner);
        let (tenant, metric, cover) = (tenant.clone(), metric.clone(), cover.clone());
        let fault = self.faults.next(Operation::NearlineRemove);
        let effect = async move { inner.remove(&tenant, &metric, &cover).await };
        self.faults.call((Operation::NearlineRemove, fault), 1, effect).await
    }

    async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        let (inner, tenant) = (Arc::clone(&self.inner), tenant.clone());
        let fault = self.faults.next(Operation::NearlineMetrics);
        let effect = async move { inner.metrics(&tenant).await };
        self.faults.call((Operation::NearlineMetrics, fault), 1, effect).await
    }

    async fn damages(&self) -> Result<Vec<Damage>> {
        let inner = Arc::clone(&self.inner);
        let fault = self.faults.next(Operation::NearlineDamages);
        self.faults.call((Operation::NearlineDamages, fault), 1, async move { inner.damages().await }).await
    }

    async fn mended(&self, damage: &Damage) -> Outcome<()> {
        let (inner, damage) = (Arc::clone(&self.inner), damage.clone());
        let fault = self.faults.next(Operation::NearlineMended);
        self.faults.call((Operation::NearlineMended, fault), 1, async move { inner.mended(&damage).await }).await
    }
}

impl fmt::Display for FaultyNearline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}
