//! A store may let one call in at a time, in the order of asking, as the local one does when it moves rows to disk.

use std::{fmt, sync::Arc};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_backend_memory::MemoryNearline;
use fineo_core::{
    Cover, MetricId, NearlineStore, Outcome, Result, TenantId,
    nearline::{NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
};
use fineo_ingest::{Pipeline, PipelineOptions};
use futures::stream::BoxStream;
use tokio::sync::Mutex;

use crate::support::{SOON, World, tenant};

/// Lets one write or sync in at a time.
#[derive(Debug)]
struct OneAtATime {
    inner: MemoryNearline,
    gate: Mutex<()>,
}

impl fmt::Display for OneAtATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one at a time")
    }
}

#[async_trait]
impl NearlineStore for OneAtATime {
    fn capabilities(&self) -> NearlineCapabilities {
        self.inner.capabilities()
    }

    fn pushdown(&self, predicate: &Predicate) -> Pushdown {
        self.inner.pushdown(predicate)
    }

    async fn write(&self, tenant: &TenantId, metric: &MetricId, rows: Rows) -> Vec<Outcome<Written>> {
        let _inside = self.gate.lock().await;
        tokio::task::yield_now().await;
        self.inner.write(tenant, metric, rows).await
    }

    async fn sync(&self) -> Outcome<()> {
        let _inside = self.gate.lock().await;
        tokio::task::yield_now().await;
        self.inner.sync().await
    }

    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        self.inner.scan(request)
    }

    async fn remove(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64> {
        self.inner.remove(tenant, metric, cover).await
    }

    async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        self.inner.metrics(tenant).await
    }
}

#[tokio::test]
async fn a_cut_that_holds_the_store_does_not_stop_the_batch_that_waits_for_it() {
    let world = World::new();
    let mut parts = world.parts();
    parts.nearline = Arc::new(OneAtATime { inner: world.nearline.clone(), gate: Mutex::default() });
    // Every batch begins a cut, which syncs the store while the next batch is written to it.
    let pipeline = Pipeline::start(parts, PipelineOptions::default().with_cut_bytes(1)).await.unwrap();
    let mut receipts = Vec::new();
    for number in 0..50 {
        let body = format!(r#"{{"metrictype":"m","timestamp":{number}}} {{"timestamp":{number}}}"#);
        receipts.push(pipeline.edge().ingest(&tenant("acme"), body.into()).await.unwrap());
    }
    for receipt in receipts {
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    }
    assert_eq!(world.rows("acme", "n1", &[]).await.len(), 50);
    pipeline.stop().await.unwrap();
}
