//! Segments: packed, read by tenant, damaged.

use std::{collections::BTreeMap, sync::Arc};

use apache_avro::types::Value;
use bytes::Bytes;
use fineo_backend_memory::MemoryArchive;
use fineo_core::{
    Archive, ErrorKind, Position, SeededEntropy, ShardId, TenantId, TimeRange, Timestamp,
    archive::{SegmentInfo, Stage},
    stream::Delivery,
};

use super::{Received, Segment, SegmentReader};
use crate::envelope::{Circumstances, Format, write_head};

fn deliveries() -> Vec<Delivery> {
    let entropy = SeededEntropy::new(3);
    let delivery = |number: u64| {
        let mut payload = bytes::BytesMut::new();
        let at = Timestamp::from_micros(i64::try_from(number).unwrap()).unwrap();
        let id = fineo_core::Entropy::id(&entropy);
        write_head(id, at, Format::Json, &Circumstances::default(), &mut payload);
        payload.extend_from_slice(format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(8_000)).as_bytes());
        let tenant = TenantId::new(if number.is_multiple_of(3) { "beta" } else { "acme" }).unwrap();
        Delivery { tenant, position: Position::from(number), payload: payload.freeze() }
    };
    (1..200).map(delivery).collect()
}

fn segment() -> Segment {
    let shard = ShardId::new("s0").unwrap();
    let mut received = Received::new(Stage::Raw, shard);
    // However the deliveries come, the segment is the same.
    for batch in deliveries().chunks(17) {
        received.push(batch).unwrap();
    }
    received.finish(None, &BTreeMap::new()).unwrap().unwrap()
}

async fn open(bytes: Bytes) -> (MemoryArchive, fineo_core::Result<SegmentReader>) {
    let archive = MemoryArchive::new();
    let name = segment().name;
    let info = SegmentInfo { name: name.clone(), bytes: bytes.len() as u64 };
    archive.write(&name, bytes).await.into_result().unwrap();
    let reader = SegmentReader::open(&archive, &info).await;
    (archive, reader)
}

#[tokio::test]
async fn a_tenant_is_read_alone_and_exactly() {
    // D2
    let (archive, reader) = open(segment().bytes).await;
    let reader = reader.unwrap();
    assert_eq!(reader.tenants(), ["acme", "beta"]);
    for name in ["acme", "beta"] {
        let tenant = TenantId::new(name).unwrap();
        let read = reader.read(&archive, &tenant, TimeRange::ALL).await.unwrap();
        let expected: Vec<Delivery> = deliveries().into_iter().filter(|sent| sent.tenant == tenant).collect();
        assert_eq!(read.len(), expected.len());
        for (read, sent) in read.iter().zip(&expected) {
            assert_eq!((read.delivery.position, &read.delivery.payload), (sent.position, &sent.payload));
        }
        let some = reader.read(&archive, &tenant, TimeRange { from: 10, to: 20 }).await.unwrap();
        assert!(some.iter().all(|record| (10..20).contains(&record.arrived_at.micros())) && !some.is_empty());
    }
}

#[test]
fn the_same_deliveries_make_the_same_bytes() {
    // R1
    assert_eq!(segment().bytes, segment().bytes);
    let mut at_once = Received::new(Stage::Raw, ShardId::new("s0").unwrap());
    at_once.push(&deliveries()).unwrap();
    assert_eq!(segment().bytes, at_once.finish(None, &BTreeMap::new()).unwrap().unwrap().bytes);
}

#[test]
fn any_avro_library_reads_a_segment() {
    let bytes = segment().bytes;
    let reader = apache_avro::Reader::new(&bytes[..]).unwrap();
    let events = reader.map(|block| {
        let Value::Record(columns) = block.unwrap() else { panic!("a block is a record") };
        match &columns.last().unwrap().1 {
            Value::Array(events) => events.len(),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(events.sum::<usize>(), 199);
}

fn with_schemas(schemas: &[(&str, &str)]) -> Segment {
    let mut received = Received::new(Stage::Raw, ShardId::new("s0").unwrap());
    received.push(&deliveries()).unwrap();
    let schemas: BTreeMap<String, Arc<str>> =
        schemas.iter().map(|(key, schema)| ((*key).to_owned(), Arc::from(*schema))).collect();
    received.finish(None, &schemas).unwrap().unwrap()
}

#[tokio::test]
async fn schemas_that_many_tenants_share_stand_in_a_segment_once() {
    let (one, other) = (r#"{"type":"record","name":"n1","fields":[]}"#, r#"{"type":"record","name":"n2","fields":[]}"#);
    let shared: Vec<(String, &str)> = (0..1_000).map(|number| (format!("t{number:04}/n1/1"), one)).collect();
    let mut all: Vec<(&str, &str)> = shared.iter().map(|(key, schema)| (&**key, *schema)).collect();
    all.extend([("t0007/n1/2", other), ("t0500/n2/1", other), ("t\u{e9}/n\"/1", one)]);
    let bytes = with_schemas(&all).bytes;
    assert_eq!(bytes.windows(one.len()).filter(|part| *part == one.as_bytes()).count(), 1);

    let reader = open(bytes).await.1.unwrap();
    let of = |name: &str| reader.record_schemas_of(&TenantId::new(name).unwrap()).collect::<Vec<_>>();
    assert_eq!(of("t0000"), [("n1/1", one)]);
    assert_eq!(of("t0007"), [("n1/1", one), ("n1/2", other)]);
    assert_eq!(of("t0500"), [("n1/1", one), ("n2/1", other)]);
    assert!(of("t050").is_empty());
}

#[test]
fn a_schema_said_to_be_that_of_nobody_or_of_a_reference_is_refused() {
    for text in
        [r#"{"a/n1/1":"b/n1/1"}"#, r#"{"a/n1/1":"a/n1/1"}"#, r#"{"a/n1/1":"b/n1/1","b/n1/1":"a/n1/1"}"#, "[]", "{"]
    {
        let error = super::read::record_schemas(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}: {error}");
    }
}

#[tokio::test]
async fn a_broken_segment_is_reported_and_never_served() {
    // D7
    let whole = segment().bytes;
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut broken = whole.to_vec();
        broken[at] ^= 0x40;
        let (archive, reader) = open(broken.into()).await;
        let Ok(reader) = reader else { continue };
        for name in ["acme", "beta"] {
            let tenant = TenantId::new(name).unwrap();
            match reader.read(&archive, &tenant, TimeRange::ALL).await {
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid), "{error:?}"),
                Ok(read) => {
                    let sent: Vec<Bytes> = deliveries().into_iter().map(|delivery| delivery.payload).collect();
                    assert!(read.iter().all(|record| sent.contains(&record.delivery.payload)), "byte {at}");
                }
            }
        }
    }
}
