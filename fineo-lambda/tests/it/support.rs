//! In-memory stores, and events about them.

use std::{sync::Arc, time::Duration};

use aws_lambda_events::event::kinesis::KinesisEvent;
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{
    MetricId, NearlineStore, SeededEntropy, Stores, Stream, SystemClock, TenantId,
    nearline::ScanRequest,
    stream::{Delivery, ReadFrom},
};
use fineo_ingest::{Edge, Limits, PipelineParts};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The stores.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) raw: MemoryStream,
    pub(crate) staged: MemoryStream,
    pub(crate) nearline: MemoryNearline,
    pub(crate) repo: MemoryRepo,
    archive: MemoryArchive,
}

pub(crate) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            raw: MemoryStream::new("raw", 1),
            staged: MemoryStream::new("staged", 1),
            nearline: MemoryNearline::new(),
            repo: MemoryRepo::new(),
            archive: MemoryArchive::new(),
        }
    }

    pub(crate) fn parts(&self) -> PipelineParts {
        let stores = Stores {
            raw: Arc::new(self.raw.clone()),
            staged: Arc::new(self.staged.clone()),
            archive: Arc::new(self.archive.clone()),
            nearline: Arc::new(self.nearline.clone()),
            repo: Arc::new(self.repo.clone()),
        };
        PipelineParts::new(stores, Arc::new(SystemClock), Arc::new(SeededEntropy::new(7)))
    }

    pub(crate) async fn send(&self, events: &str) {
        let parts = self.parts();
        let edge = Edge::new(parts.raw, parts.clock, parts.entropy, Limits::default(), Arc::default());
        let receipt = edge.ingest(&acme(), events.to_owned().into()).await.unwrap();
        assert!(receipt.failed().is_empty());
    }

    /// How many rows a metric of the tenant has.
    pub(crate) async fn rows(&self, metric: &str) -> usize {
        let request = ScanRequest::new(acme(), MetricId::new(metric).unwrap());
        let batches: Vec<_> = self.nearline.scan(request).try_collect().await.unwrap();
        batches.iter().map(arrow_array::RecordBatch::num_rows).sum()
    }
}

/// All that is in the only shard of `stream`.
pub(crate) async fn everything(stream: &MemoryStream) -> Vec<Delivery> {
    let shard = stream.shards().await.unwrap().remove(0).id;
    let Some(tail) = stream.tail(&shard).await.unwrap() else { return Vec::new() };
    let mut read = stream.read(&shard, ReadFrom::Start);
    let mut found: Vec<Delivery> = Vec::new();
    while found.last().is_none_or(|last| last.position < tail) {
        found.extend(read.next().await.unwrap().unwrap());
    }
    found
}

/// The event that a mapping makes of `deliveries`: positions in memory are small numbers, and so are sequence numbers.
pub(crate) fn mapped(deliveries: &[Delivery]) -> KinesisEvent {
    let records =
        deliveries.iter().map(|delivery| record(delivery.tenant.as_str(), &number(delivery), &delivery.payload));
    serde_json::from_value(json!({ "Records": records.collect::<Vec<_>>() })).unwrap()
}

/// The sequence number that stands for the position of `delivery`.
pub(crate) fn number(delivery: &Delivery) -> String {
    let bytes = delivery.position.to_bytes();
    u64::from_be_bytes(*bytes.last_chunk::<8>().unwrap()).to_string()
}

/// A record as Lambda sends it.
pub(crate) fn record(partition_key: &str, number: &str, payload: &[u8]) -> serde_json::Value {
    json!({
        "kinesis": { "kinesisSchemaVersion": "1.0", "partitionKey": partition_key, "sequenceNumber": number,
            "data": base64(payload), "approximateArrivalTimestamp": 1545084650.987 },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("shardId-000000000006:{number}"),
        "eventName": "aws:kinesis:record", "invokeIdentityArn": "arn:aws:iam::111122223333:role/lambda-role",
        "awsRegion": "us-east-2", "eventSourceARN": "arn:aws:kinesis:us-east-2:111122223333:stream/acme-raw"
    })
}

fn base64(bytes: &[u8]) -> String {
    let mut data = aws_lambda_events::encodings::Base64Data::default();
    data.0 = bytes.to_vec();
    serde_json::to_value(data).unwrap().as_str().unwrap().to_owned()
}
