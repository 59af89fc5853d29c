//! A defect that ends a worker's work stops its shard alone, is told, and is not met more often than a failure.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_core::{
    Cover, MetricId, NearlineStore, Outcome, Result, TenantId,
    archive::Stage,
    nearline::{NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
};
use fineo_ingest::{Pipeline, PipelineOptions, PipelineParts, archived};
use futures::stream::BoxStream;

use crate::support::{PausedClock, SOON, World, tenant};

const EVENT: &str = r#"{"metrictype":"m","timestamp":1}"#;

/// A nearline store that some rows end.
#[derive(Debug)]
struct Brittle {
    inner: Arc<dyn NearlineStore>,
    /// So many writes of a tenant called `odd` are still to be met by a defect.
    defects_left: AtomicUsize,
    writes: AtomicUsize,
}

#[async_trait]
impl NearlineStore for Brittle {
    fn capabilities(&self) -> NearlineCapabilities {
        self.inner.capabilities()
    }

    fn pushdown(&self, predicate: &Predicate) -> Pushdown {
        self.inner.pushdown(predicate)
    }

    async fn write(&self, of: &TenantId, metric: &MetricId, rows: Rows) -> Vec<Outcome<Written>> {
        if of.as_str() == "odd" {
            self.writes.fetch_add(1, Ordering::SeqCst);
            let left = self.defects_left.load(Ordering::SeqCst);
            self.defects_left.store(left.saturating_sub(1), Ordering::SeqCst);
            assert_eq!(left, 0, "rows that nobody had thought of");
        }
        self.inner.write(of, metric, rows).await
    }

    async fn sync(&self) -> Outcome<()> {
        self.inner.sync().await
    }

    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        self.inner.scan(request)
    }

    async fn remove(&self, of: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64> {
        self.inner.remove(of, metric, cover).await
    }

    async fn metrics(&self, of: &TenantId) -> Result<Vec<MetricId>> {
        self.inner.metrics(of).await
    }
}

impl fmt::Display for Brittle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "brittle {}", self.inner)
    }
}

// N3, N8, B2
#[tokio::test(start_paused = true)]
async fn a_record_that_a_defect_meets_stops_its_shard_and_no_other_worker_and_is_told() {
    const MINUTE: Duration = Duration::from_secs(60);
    let world = World::new();
    let brittle = Arc::new(Brittle {
        inner: Arc::new(world.nearline.clone()),
        defects_left: AtomicUsize::new(100),
        writes: AtomicUsize::new(0),
    });
    let parts =
        PipelineParts { nearline: Arc::clone(&brittle) as _, clock: Arc::new(PausedClock::new()), ..world.parts() };
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    let receipt = pipeline.edge().ingest(&tenant("odd"), EVENT.into()).await.unwrap();
    let late = pipeline.wait_until_queryable(receipt.token(), MINUTE).await.unwrap_err();
    assert!(late.to_string().contains("because=the work broke off by a defect"), "{late}");
    let shards = pipeline.status().await.unwrap().shards;
    let failures: Vec<_> = shards.iter().filter_map(|shard| Some((shard.stage, shard.failure.as_deref()?))).collect();
    assert!(
        matches!(failures[..], [(Stage::Staged, failure)] if failure.contains("rows that nobody had thought of")),
        "{failures:?}"
    );
    let writes = brittle.writes.load(Ordering::SeqCst);
    assert!((30..=61).contains(&writes), "once a second: {writes}");
    let settled = archived(&world.repo, "main", Stage::Raw).await.unwrap();
    assert!(settled.includes(receipt.token()), "the other stage goes on: {settled:?}");
    // What the defect was met by is passed on once the defect is gone.
    pipeline.wait_until_queryable(receipt.token(), MINUTE + SOON).await.unwrap();
    assert_eq!(world.rows("odd", "n1", &[]).await, ["1000 m"]);
    pipeline.stop().await.unwrap();
}
