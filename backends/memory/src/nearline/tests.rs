//! What only the nearline store in memory has: crashes.

use fineo_core::{
    ContentHash, EventId, MetricId, NearlineStore, Position, ShardId, TenantId, Timestamp,
    nearline::{RowHead, Rows, ScanRequest, Written},
};
use futures::StreamExt;

use super::MemoryNearline;

fn row(number: u8) -> Rows {
    let mut rows = Rows::new(ShardId::new("s0").unwrap());
    let head = RowHead {
        timestamp: Timestamp::default(),
        id: EventId([number; 16]),
        content: ContentHash::default(),
        position: Position::from(u64::from(number)),
        ingested_at: Timestamp::default(),
    };
    rows.row(head, "pump");
    rows
}

#[tokio::test]
async fn a_crash_takes_rows_that_were_not_synced() {
    let (tenant, metric) = (TenantId::new("acme").unwrap(), MetricId::numbered(1));
    let store = MemoryNearline::new();
    store.write(&tenant, &metric, row(1)).await;
    store.sync().await.into_result().unwrap();
    store.write(&tenant, &metric, row(2)).await;
    store.crash();
    let batches: Vec<_> = store.scan(ScanRequest::new(tenant.clone(), metric.clone())).collect().await;
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].as_ref().unwrap().num_rows(), 1);
    let again = store.write(&tenant, &metric, row(2)).await.remove(0).into_result().unwrap();
    assert_eq!(again, Written::New);
}
