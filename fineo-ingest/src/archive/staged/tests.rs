//! Blocks of staged records are read as they were written.

use fineo_backend_memory::MemoryArchive;
use fineo_core::{MetricId, ShardId, archive::SegmentInfo, stream::Delivery};

use super::*;
use crate::{archive::Received, stage::payload};

#[tokio::test]
async fn a_block_has_the_records_of_its_tenant_and_no_others() {
    let deliveries: Vec<Delivery> = (1..=4_u64).map(delivery).collect();
    let mut received = Received::new(Stage::Staged, ShardId::new("s0").unwrap());
    received.push(&deliveries).unwrap();
    let segment = received.finish(None, &Default::default()).unwrap().unwrap();
    let info = SegmentInfo { name: segment.name.clone(), bytes: segment.bytes.len() as u64 };
    let archive = MemoryArchive::new();
    archive.write(&segment.name, segment.bytes).await.into_result().unwrap();
    let reader = SegmentReader::open(&archive, &info).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    assert_eq!(reader.blocks_of(&acme), 0..1);
    let block = reader.staged_block(&archive, &acme, 0).await.unwrap();
    let records: Vec<_> = block.records().map(|record| record.unwrap()).collect();
    assert_eq!(records.iter().map(|record| record.position.to_u128().unwrap()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(records[0].record, b"record 1");
    assert_eq!((records[0].metric, records[0].schema, records[0].id), ("n1", Version(7), EventId([1; 16])));
    assert_eq!((records[1].record, records[1].id), (&b"record 3"[..], EventId([3; 16])));
    // Another tenant's block is refused.
    assert!(reader.staged_block(&archive, &acme, 1).await.is_err());
}

fn delivery(number: u64) -> Delivery {
    let mut payload = Vec::new();
    let id = EventId([u8::try_from(number).unwrap(); 16]);
    payload::write_head(&MetricId::numbered(1), Version(7), id, Timestamp::default(), &mut payload);
    payload.extend_from_slice(format!("record {number}").as_bytes());
    let tenant = TenantId::new(if number % 2 == 1 { "acme" } else { "beta" }).unwrap();
    Delivery { tenant, position: Position::from(number), payload: payload.into() }
}
