//! Frames, limits and answers.

use aws_sdk_firehose::types::PutRecordBatchResponseEntry;
use bytes::Bytes;
use fineo_core::{
    ErrorKind, Outcome, Position, ShardId, TenantId,
    archive::{SegmentKind, Stage},
    stream::Delivery,
};
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};

use super::{
    SinkEntry, delivered, frame, outcome,
    plan::{self, CALL_BYTES_MAX, CALL_RECORDS_MAX, RECORD_BYTES_MAX},
    read_delivered,
};

fn entry(kind: SegmentKind, position: u64, payload: impl Into<Bytes>) -> SinkEntry {
    let delivery = Delivery {
        tenant: TenantId::new("acme").unwrap(),
        position: Position::from(position),
        payload: payload.into(),
    };
    SinkEntry { stage: Stage::Raw, kind, shard: ShardId::new("shardId-000000000000").unwrap(), delivery }
}

fn framed(entries: &[SinkEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    entries.iter().for_each(|entry| frame::write(entry, &mut out));
    out
}

#[test]
fn a_frame_is_read_as_it_was_written() {
    let entries = [
        entry(SegmentKind::Received, 1, "a"),
        entry(SegmentKind::Commit, u64::MAX, ""),
        entry(SegmentKind::Malformed, 0, "x".repeat(5_000)),
    ];
    let bytes = framed(&entries);
    assert_eq!(bytes.len(), entries.iter().map(frame::len).sum::<usize>());
    let read = delivered::entries(bytes.into()).unwrap();
    assert_eq!(format!("{read:?}"), format!("{entries:?}"));
}

#[test]
fn any_changed_byte_and_any_cut_is_told_with_its_place() {
    let first = framed(&[entry(SegmentKind::Received, 1, "first")]);
    let both = framed(&[entry(SegmentKind::Received, 1, "first"), entry(SegmentKind::Received, 2, "second")]);
    for at in first.len()..both.len() {
        let mut changed = both.clone();
        changed[at] ^= 1;
        for damaged in [changed, both[..at].to_vec()] {
            let Err(error) = delivered::entries(damaged.into()) else {
                assert_eq!(at, first.len(), "a cut between frames is no damage");
                continue;
            };
            let offset = error.context().iter().find(|(name, _)| *name == "offset").map(|(_, text)| text.clone());
            assert_eq!((error.kind(), offset), (ErrorKind::Corrupt, Some(first.len().to_string())));
        }
    }
}

#[test]
fn records_and_calls_keep_to_the_limits_by_bytes_as_sent() {
    let mut entries: Vec<SinkEntry> = (0..3_000).map(|n| entry(SegmentKind::Received, n, "x".repeat(5_000))).collect();
    entries.insert(7, entry(SegmentKind::Received, 9_999, "x".repeat(RECORD_BYTES_MAX)));
    let planned = plan::records(&entries);
    assert_eq!(
        planned.refused.iter().map(|(index, error)| (*index, error.kind())).collect::<Vec<_>>(),
        [(7, ErrorKind::Invalid)]
    );
    let sent: Vec<usize> = planned.records.iter().flat_map(|record| record.entries.clone()).collect();
    assert_eq!(sent, (0..3_001).filter(|index| *index != 7).collect::<Vec<_>>());
    assert!(planned.records.iter().all(|record| record.bytes.len() <= RECORD_BYTES_MAX));
    assert!(planned.records.len() < 17, "records are full: {}", planned.records.len());
    let calls = plan::calls(planned.records);
    assert!(calls.len() > 3);
    for call in &calls {
        assert!(
            call.len() <= CALL_RECORDS_MAX
                && call.iter().map(|record| record.bytes.len()).sum::<usize>() <= CALL_BYTES_MAX
        );
    }
    let small = plan::Record { bytes: Bytes::from_static(b"x"), entries: Vec::new() };
    assert_eq!(plan::calls(vec![small; 1_001]).iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 1]);
}

#[test]
fn a_record_is_done_only_with_an_id_and_without_a_code() {
    let answer = |id: Option<&str>, code: Option<&str>| {
        let answer = PutRecordBatchResponseEntry::builder().set_record_id(id.map(str::to_owned));
        match outcome(&answer.set_error_code(code.map(str::to_owned)).build()) {
            Outcome::Done(()) => "done",
            Outcome::NotDone(error) if error.kind() == ErrorKind::Throttled => "throttled",
            Outcome::NotDone(_) => "not done",
            Outcome::Unknown(error) if error.is_retryable() => "unknown",
            Outcome::Unknown(_) => "lost",
        }
    };
    assert_eq!(answer(Some("id"), None), "done");
    assert_eq!(answer(None, Some("ServiceUnavailableException")), "throttled");
    assert_eq!(answer(Some("id"), Some("ServiceUnavailableException")), "throttled");
    assert_eq!(answer(None, Some("InternalFailure")), "unknown");
    assert_eq!(answer(None, None), "unknown");
}

#[tokio::test]
async fn what_was_delivered_twice_in_any_order_is_read_once_in_order() {
    let store = InMemory::new();
    let received = |n| entry(SegmentKind::Received, n, format!("r{n}"));
    let objects = [
        ("d/2026/01/02/03/b", framed(&[received(5), entry(SegmentKind::Malformed, 4, "bad"), received(2)])),
        ("d/2026/01/02/03/c", framed(&[received(1), received(5)])),
        ("d/2026/01/02/04/a", framed(&[received(9)])),
    ];
    for (path, bytes) in objects {
        store.put(&Path::from(path), bytes.into()).await.unwrap();
    }
    let read = async |folder: &str, kind| {
        let found = read_delivered(&store, folder, (Stage::Raw, kind)).await.unwrap();
        found.into_iter().map(|entry| String::from_utf8(entry.delivery.payload.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(read("d/2026/01/02/03", SegmentKind::Received).await, ["r1", "r2", "r5"]);
    assert_eq!(read("d", SegmentKind::Received).await, ["r1", "r2", "r5", "r9"]);
    assert_eq!(read("d", SegmentKind::Malformed).await, ["bad"]);
    store.put(&Path::from("d/x"), framed(&[entry(SegmentKind::Received, 5, "other")]).into()).await.unwrap();
    let error = read_delivered(&store, "d", (Stage::Raw, SegmentKind::Received)).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Corrupt, "two entries of one position differ"));
}
