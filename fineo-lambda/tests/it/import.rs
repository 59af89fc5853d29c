//! The import of files as a function.

use std::{io::Write, sync::Arc};

use async_trait::async_trait;
use fineo_backend_memory::MemoryObjects;
use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyObjects, Operation, When};
use fineo_core::{Error, Result, TenantId};
use fineo_ingest::Routing;
use fineo_lambda::{Buckets, ImportFunction, Inbox, Manifest, Upload, Verdict};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use serde_json::{Value, json};

use crate::support::{SOON, World, everything};

const EVENTS: &str =
    "{\"metrictype\":\"m\",\"timestamp\":1}\n{\"metrictype\":\"m\"}\n{\"metrictype\":\"m\",\"timestamp\":2}\n";

/// One bucket, called `drop`; every other one is away.
#[derive(Debug)]
struct OneBucket(Arc<dyn ObjectStore>);

#[async_trait]
impl Buckets for OneBucket {
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        if bucket == "drop" { Ok(Arc::clone(&self.0)) } else { Err(Error::unavailable("the bucket is away")) }
    }
}

struct Hand {
    world: World,
    bucket: Arc<MemoryObjects>,
    manifests: Arc<MemoryObjects>,
    inbox: Inbox,
}

impl Hand {
    fn new() -> Self {
        let inbox = Inbox { folder: "inbox".to_owned(), routing: None, metric: None };
        Self { world: World::new(), bucket: Arc::default(), manifests: Arc::default(), inbox }
    }

    fn function(&self) -> ImportFunction {
        self.function_on(Arc::clone(&self.bucket) as _)
    }

    fn function_on(&self, bucket: Arc<dyn ObjectStore>) -> ImportFunction {
        let bucket = Arc::new(OneBucket(bucket));
        ImportFunction::new(&self.world.parts(), self.inbox.clone(), bucket, Arc::clone(&self.manifests) as _)
    }

    /// Puts an object and answers the event that S3 makes of it.
    async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) -> Value {
        self.bucket.put(&Path::parse(key).unwrap(), bytes.into().into()).await.unwrap();
        event("drop", key)
    }

    async fn import(&self, event: &Value) -> Vec<Manifest> {
        let answer = self.function().call(event.clone(), SOON).await.unwrap();
        serde_json::from_value(answer).unwrap()
    }

    async fn in_stream(&self) -> usize {
        everything(&self.world.raw).await.len()
    }
}

fn event(bucket: &str, key: &str) -> Value {
    json!({ "Records": [{ "eventSource": "aws:s3", "eventTime": "2026-01-02T03:04:05.678Z", "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "p" }, "requestParameters": { "sourceIPAddress": "10.0.0.1" },
        "s3": { "bucket": { "name": bucket }, "object": { "key": key, "size": 1, "sequencer": "1" } } }] })
}

fn queued(events: &[Value]) -> Value {
    let record = |(number, event): (usize, &Value)| json!({ "messageId": format!("m{number}"), "eventSource": "aws:sqs", "body": event.to_string() });
    json!({ "Records": events.iter().enumerate().map(record).collect::<Vec<_>>() })
}

#[tokio::test]
async fn an_object_is_imported_once_however_often_its_event_comes() {
    let hand = Hand::new();
    let event = hand.put("inbox/acme/a.json", EVENTS).await;
    let first = hand.import(&event).await;
    assert_eq!(
        (first[0].verdict, first[0].accepted, first[0].source.as_str()),
        (Verdict::Imported, 3, "s3://drop/inbox/acme/a.json")
    );
    assert_eq!(hand.import(&event).await, first);
    assert_eq!(hand.in_stream().await, 3);
}

#[tokio::test]
async fn a_call_that_died_before_its_manifest_is_repeated_with_the_same_ids() {
    // Two of three events go by their content; the one without a time goes by its arrival, which is the same again.
    let hand = Hand::new();
    let event = hand.put("inbox/acme/a.json", EVENTS).await;
    for _ in 0..2 {
        hand.import(&event).await;
        let path = Manifest::path(&Upload::new("drop", "inbox/acme/a.json", "1"));
        hand.manifests.delete(&path).await.unwrap();
    }
    let ids: std::collections::BTreeSet<Vec<u8>> =
        everything(&hand.world.raw).await.iter().map(|delivery| delivery.payload[2..18].to_vec()).collect();
    assert_eq!((hand.in_stream().await, ids.len()), (6, 3));
}

// No request waits for the stream, however long an object is.
#[tokio::test]
async fn a_long_object_is_read_in_pieces_and_one_that_fails_is_read_by_the_next_call() {
    const EVENTS: usize = 30;
    let hand = Hand::new();
    let event = |number| format!(r#"{{"metrictype":"m","timestamp":{number},"x":"{}"}}"#, "x".repeat(700_000));
    let plain = (0..EVENTS).map(event).collect::<String>().into_bytes();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    packed.write_all(&plain).unwrap();
    for (key, bytes) in [("inbox/acme/long.json", plain), ("inbox/acme/packed.gz", packed.finish().unwrap())] {
        let event = hand.put(key, bytes).await;
        // The first call of the store tells what is there, the next ones bring pieces.
        let outage = FaultPlan::new(0).with_rule(Operation::ObjectGet, When::Between(2, u64::MAX), Fault::FailBefore);
        let faults = Faults::new(outage);
        let bucket: Arc<dyn ObjectStore> = Arc::new(FaultyObjects::new(Arc::clone(&hand.bucket) as _, &faults));
        let failed = hand.function_on(Arc::clone(&bucket)).call(event.clone(), SOON).await.unwrap_err();
        assert!(failed.is_retryable(), "{failed:?}");
        faults.stop();
        let done = hand.function_on(bucket).call(event, SOON).await.unwrap();
        assert_eq!(done[0]["accepted"], EVENTS);
    }
    let ids: std::collections::BTreeSet<Vec<u8>> =
        everything(&hand.world.raw).await.iter().map(|delivery| delivery.payload[2..18].to_vec()).collect();
    assert_eq!(ids.len(), 2 * EVENTS);
}

#[tokio::test]
async fn packed_files_tables_and_folders_of_tenants_are_understood() {
    let hand = Hand::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"metrictype,timestamp,t\nm,1,20\nm,2,21\n").unwrap();
    let event = hand.put("inbox/acme/deep/er/t.CSV.gz", packed.finish().unwrap()).await;
    assert_eq!(hand.import(&event).await[0].accepted, 2);
    let tenants: Vec<String> = everything(&hand.world.raw).await.iter().map(|one| one.tenant.to_string()).collect();
    assert_eq!(tenants, ["acme", "acme"]);
}

#[tokio::test]
async fn whose_events_they_are_may_be_said_by_a_setting() {
    for (routing, body) in [
        (Routing::Tenant(TenantId::new("beta").unwrap()), r#"{"metrictype":"m","timestamp":1}"#),
        (Routing::Field("owner".to_owned()), r#"{"metrictype":"m","timestamp":1,"owner":"beta"}"#),
    ] {
        let mut hand = Hand::new();
        hand.inbox = Inbox { folder: String::new(), routing: Some(routing), metric: None };
        let event = hand.put("anywhere.json", body).await;
        assert_eq!(hand.import(&event).await[0].accepted, 1);
        assert_eq!(everything(&hand.world.raw).await[0].tenant.as_str(), "beta");
    }
}

#[tokio::test]
async fn what_cannot_be_imported_is_said_once_and_not_tried_again() {
    let hand = Hand::new();
    let mut broken = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    broken.write_all(EVENTS.as_bytes()).unwrap();
    let mut broken = broken.finish().unwrap();
    let middle = broken.len() - 8;
    broken[middle] ^= 0xff;
    let cases = [
        (hand.put("inbox/acme/broken.gz", broken).await, Verdict::Refused, "bad_compression"),
        (hand.put("elsewhere/acme/a.json", EVENTS).await, Verdict::Refused, "the object is not in the inbox"),
        (hand.put("inbox/a.json", EVENTS).await, Verdict::Refused, "no folder of the inbox says whose the object is"),
        (hand.put("inbox/_acme/a.json", EVENTS).await, Verdict::Refused, "tenant"),
        (event("drop", "inbox/acme/gone.json"), Verdict::Gone, ""),
    ];
    for (event, verdict, message) in cases {
        let told = hand.import(&event).await;
        assert_eq!(told[0].verdict, verdict, "{event}");
        assert!(told[0].message.as_deref().unwrap_or_default().contains(message), "{told:?}");
        assert_eq!(hand.import(&event).await, told);
    }
}

#[tokio::test]
async fn events_that_are_refused_at_the_edge_are_counted_by_code() {
    let hand = Hand::new();
    let large = format!("{{\"metrictype\":\"m\",\"timestamp\":1,\"x\":\"{}\"}}\n{EVENTS}", "x".repeat(2 << 20));
    let event = hand.put("inbox/acme/large.json", large).await;
    let told = hand.import(&event).await;
    assert_eq!((told[0].accepted, told[0].rejected.get("event_too_large")), (3, Some(&1)));
    assert_eq!(told[0].first_rejections[0].0, 0);
}

#[tokio::test]
async fn a_queue_takes_back_only_the_messages_that_failed() {
    let hand = Hand::new();
    let events = [hand.put("inbox/acme/a.json", EVENTS).await, event("away", "inbox/acme/b.json"), json!("hello")];
    let answer = hand.function().call(queued(&events), SOON).await.unwrap();
    assert_eq!(answer.to_string(), r#"{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m2"}]}"#);
    assert_eq!(hand.in_stream().await, 3);
    // Nobody takes back a part of an event that no queue sent.
    let failed = hand.function().call(event("away", "inbox/acme/b.json"), SOON).await.unwrap_err();
    assert!(failed.is_retryable());
}
