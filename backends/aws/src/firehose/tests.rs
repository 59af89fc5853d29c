//! Frames, calls, answers, and what is made of what was delivered.

use std::{sync::Arc, time::Duration};

use aws_sdk_firehose::types::{
    BufferingHints, CompressionFormat, DataFormatConversionConfiguration, EncryptionConfiguration,
    ExtendedS3DestinationDescription, ProcessingConfiguration, PutRecordBatchResponseEntry,
    builders::ExtendedS3DestinationDescriptionBuilder,
};
use bytes::Bytes;
use fineo_backend_memory::MemoryArchive;
use fineo_core::{
    Archive, Clock, ErrorKind, Outcome, Position, ShardId, SystemClock, Timestamp,
    archive::{SegmentKind, SegmentName, SegmentQuery, Stage},
};
use futures::{TryStreamExt, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use proptest::prelude::*;

use super::{
    check::check_destination,
    delivered::Delivered,
    frame::{self, RECORD_BYTES_MAX},
    put::{CALL_BYTES_MAX, CALL_RECORDS_MAX, calls, outcome},
};

const WAIT: Duration = Duration::from_secs(25 * 60 * 60);

/// A segment of stage staged that ends at `last`.
fn name(last: u64) -> SegmentName {
    SegmentName {
        stage: Stage::Staged,
        kind: SegmentKind::Received,
        time: Timestamp::from_micros(i64::try_from(last).unwrap()).unwrap(),
        shard: ShardId::new("shardId-000000000000").unwrap(),
        first: Position::from(last),
        last: Position::from(last),
    }
}

/// So many bytes, no two parts of which are the same.
fn bytes(length: usize, seed: u8) -> Bytes {
    let mut bytes = vec![seed; length];
    bytes.chunks_mut(4_096).enumerate().for_each(|(number, chunk)| chunk[0] = number as u8);
    bytes.into()
}

#[test]
fn a_segment_comes_back_out_of_its_frames_whatever_its_length() {
    for length in [0, 1, RECORD_BYTES_MAX - 200, RECORD_BYTES_MAX, 3 * RECORD_BYTES_MAX] {
        let segment = bytes(length, 1);
        let frames = frame::frames(&name(7), &segment);
        assert!(frames.iter().all(|frame| frame.len() <= RECORD_BYTES_MAX), "{length}");
        let mut read = Vec::new();
        for (index, frame) in (0..).zip(&frames) {
            let part = frame::read(&mut frame.clone()).unwrap();
            assert_eq!((&part.whole.name, part.whole.bytes, part.index), (&name(7), length as u64, index));
            assert_eq!(part.whole.parts as usize, frames.len());
            read.extend_from_slice(&part.bytes);
        }
        assert!(read == segment, "{length}");
    }
}

#[test]
fn any_changed_byte_and_any_cut_of_a_frame_is_told() {
    let frame = frame::frames(&name(7), &bytes(40, 1)).remove(0);
    for at in 0..frame.len() {
        let mut changed = frame.to_vec();
        changed[at] ^= 1;
        for damaged in [Bytes::from(changed), frame.slice(..at)] {
            assert_eq!(frame::read(&mut damaged.clone()).unwrap_err().kind(), ErrorKind::Corrupt, "{at}");
        }
    }
}

#[test]
fn calls_keep_to_the_limits_by_bytes_as_sent() {
    let large = calls(frame::frames(&name(7), &bytes(9 << 20, 1)));
    assert_eq!(large.iter().map(Vec::len).sum::<usize>(), 10);
    assert!(large.iter().all(|call| call.iter().map(Bytes::len).sum::<usize>() <= CALL_BYTES_MAX));
    let small = calls(vec![Bytes::from_static(b"x"); 2 * CALL_RECORDS_MAX + 1]);
    assert_eq!(small.iter().map(Vec::len).collect::<Vec<_>>(), [CALL_RECORDS_MAX, CALL_RECORDS_MAX, 1]);
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

#[test]
fn a_delivery_stream_that_would_not_bring_segments_as_they_are_is_refused() {
    type Change = fn(ExtendedS3DestinationDescriptionBuilder) -> ExtendedS3DestinationDescriptionBuilder;
    let cases: [(Change, Option<&str>); 7] = [
        (|s3| s3, None),
        (|s3| s3.prefix("acme/delivered/!{timestamp:yyyy}/"), None),
        (|s3| s3.bucket_arn("arn:aws:s3:::other"), Some("delivers to another bucket")),
        (|s3| s3.prefix("delivered/"), Some("delivers to another folder")),
        (|s3| s3.compression_format(CompressionFormat::Gzip), Some("compresses")),
        (
            |s3| s3.processing_configuration(ProcessingConfiguration::builder().enabled(true).build()),
            Some("processes records"),
        ),
        (
            |s3| {
                let conversion = DataFormatConversionConfiguration::builder().enabled(true);
                s3.data_format_conversion_configuration(conversion.build())
            },
            Some("converts records"),
        ),
    ];
    for (change, told) in cases {
        let s3 = ExtendedS3DestinationDescription::builder()
            .role_arn("arn:aws:iam::000000000000:role/firehose")
            .bucket_arn("arn:aws:s3:::data")
            .prefix("acme/delivered/")
            .buffering_hints(BufferingHints::builder().build())
            .encryption_configuration(EncryptionConfiguration::builder().build())
            .compression_format(CompressionFormat::Uncompressed);
        let checked = check_destination("archive", &change(s3).build().unwrap(), "data", "acme/delivered/");
        let expected = told.map(|told| format!("the delivery stream cannot write the archive: it {told}"));
        assert_eq!(checked.err().map(|error| error.message().to_owned()), expected);
    }
}

/// A bucket in memory that a delivery stream writes to, and the archive in it.
struct Place {
    store: Arc<InMemory>,
    archive: MemoryArchive,
    clock: Arc<dyn Clock>,
}

impl Place {
    fn new() -> Self {
        Self { store: Arc::default(), archive: MemoryArchive::new(), clock: Arc::new(SystemClock) }
    }

    async fn deliver(&self, object: &str, frames: &[Bytes]) {
        let content = frames.concat();
        self.store.put(&Path::from(format!("acme/delivered/{object}")), content.into()).await.unwrap();
    }

    async fn file(&self) {
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        let delivered = Delivered::within(store, &Path::from("acme"), Arc::clone(&self.clock));
        delivered.file(&self.archive, WAIT).await.unwrap();
    }

    /// The last positions of what is filed, after it was compared with what was sent.
    async fn filed(&self) -> Vec<u64> {
        let query = SegmentQuery::new(Stage::Staged, SegmentKind::Received);
        let found: Vec<_> = self.archive.segments(query).try_collect().await.unwrap();
        let mut filed = Vec::new();
        for info in found {
            let last = info.name.time.micros().unsigned_abs();
            assert!(self.archive.read(&info.name, None).await.unwrap() == segment(last), "{last}");
            filed.push(last);
        }
        filed
    }

    async fn content(&self, object: &str) -> Bytes {
        self.store.get(&Path::from(object)).await.unwrap().bytes().await.unwrap()
    }

    async fn objects(&self, folder: &str) -> Vec<String> {
        let found: Vec<_> = self.store.list(Some(&Path::from(folder))).try_collect().await.unwrap();
        let mut paths: Vec<String> = found.into_iter().map(|meta| meta.location.to_string()).collect();
        paths.sort();
        paths
    }
}

/// The segment that ends at `last`: those of odd numbers have three parts.
fn segment(last: u64) -> Bytes {
    bytes(if last % 2 == 1 { 2 * RECORD_BYTES_MAX + 9 } else { 900 }, u8::try_from(last).unwrap())
}

fn frames(last: u64) -> Vec<Bytes> {
    frame::frames(&name(last), &segment(last))
}

#[tokio::test]
async fn a_segment_is_filed_once_all_of_its_parts_came_in_whatever_objects_and_order() {
    let place = Place::new();
    let (one, two, three) = (frames(1), frames(2), frames(3));
    place.deliver("2026/01/02/03/a", &[one[2].clone(), two[0].clone(), three[0].clone()]).await;
    place.deliver("2026/01/02/03/b", &[one[0].clone()]).await;
    place.file().await;
    assert_eq!(place.filed().await, [2]);
    assert_eq!(place.objects("acme/delivered").await.len(), 2, "both have parts of what is not whole");
    place.deliver("2026/01/02/04/a", &[one[1].clone(), one[0].clone()]).await;
    place.file().await;
    assert_eq!(place.filed().await, [1, 2]);
    let left = place.objects("acme/delivered").await;
    assert!(left.len() == 1 && left[0].starts_with("acme/delivered/2026/01/02/03/a-rest-"), "{left:?}");
    assert_eq!(left[0].matches("rest").count(), 1, "names do not grow: {left:?}");
    assert!(place.content(&left[0]).await == three[0], "a part of the third is left, and nothing else");
    place.deliver("2026/01/02/05/a", &three[1..]).await;
    place.file().await;
    assert_eq!(place.filed().await, [1, 2, 3]);
    assert!(place.objects("acme").await.is_empty());
}

#[tokio::test]
async fn what_is_delivered_once_more_is_not_filed_again_and_does_not_stay() {
    let place = Place::new();
    place.deliver("a", &frames(1)).await;
    place.deliver("b", &frames(2)).await;
    place.file().await;
    place.deliver("c", &[frames(1).remove(1)]).await;
    place.deliver("d", &frames(2)).await;
    place.file().await;
    assert_eq!(place.filed().await, [1, 2]);
    assert!(place.objects("acme").await.is_empty());
}

#[tokio::test]
async fn of_two_segments_of_one_name_the_first_stands_and_their_parts_are_not_mixed() {
    let place = Place::new();
    let mut place = place;
    let other = frame::frames(&name(1), &bytes(2 * RECORD_BYTES_MAX + 9, 77));
    let ours = frames(1);
    place.deliver("a", &[other[0].clone(), ours[0].clone(), ours[1].clone()]).await;
    place.deliver("b", &[other[2].clone(), ours[2].clone(), other[1].clone()]).await;
    place.deliver("c", &frames(2)).await;
    place.file().await;
    assert_eq!(place.filed().await, [1, 2]);
    place.deliver("e", &frame::frames(&name(2), &bytes(9, 77))).await;
    place.file().await;
    assert_eq!(place.objects("acme/delivered").await.len(), 3, "the other bytes, of which nothing is filed");
    place.clock = Arc::new(Later(WAIT));
    place.file().await;
    assert_eq!((place.filed().await.len(), place.objects("acme/delivered").await.len()), (2, 0));
    assert_eq!(place.objects("acme/undelivered").await.len(), 3, "they are kept all the same");
}

#[tokio::test]
async fn what_was_removed_does_not_come_back_with_what_stands_beside_it() {
    let place = Place::new();
    place.deliver("a", &[frames(2).remove(0), frames(1).remove(0), Bytes::from_static(b"somebody's")]).await;
    place.file().await;
    assert_eq!(place.filed().await, [2]);
    assert!(place.archive.remove(&name(2)).await.into_result().unwrap());
    for _ in 0..2 {
        place.file().await;
        assert!(place.filed().await.is_empty());
    }
    place.deliver("b", &frames(1)[1..]).await;
    place.file().await;
    assert_eq!(place.filed().await, [1]);
}

/// A clock of another day.
#[derive(Debug)]
struct Later(Duration);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_micros(i64::try_from(self.0.as_micros()).unwrap())
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(wait)
    }
}

#[tokio::test]
async fn damage_keeps_nothing_else_waiting_and_is_put_aside_a_day_later_with_what_lacks_a_part() {
    let mut place = Place::new();
    let mut damaged = frames(4);
    damaged[0] = damaged[0].slice(..damaged[0].len() - 1);
    let behind = [frames(8).remove(0), Bytes::from_static(b"FnS1 is no frame yet"), frames(10).remove(0)];
    place.deliver("2026/a", &[&[frames(2).remove(0), damaged.remove(0)], &behind[..]].concat()).await;
    place.deliver("2026/b", &[frames(1).remove(0), frames(6).remove(0)]).await;
    place.deliver("2026/c", &[Bytes::from_static(b"somebody's")]).await;
    place.file().await;
    assert_eq!(place.filed().await, [2, 6, 8, 10], "what stands behind damage is good");
    assert_eq!(place.objects("acme/delivered").await.len(), 3);
    place.clock = Arc::new(Later(WAIT));
    place.file().await;
    assert!(place.objects("acme/delivered").await.is_empty());
    let aside = place.objects("acme").await;
    let names = ["a-rest-", "b-rest-", "c"].map(|name| format!("acme/undelivered/2026/{name}"));
    assert!(aside.iter().zip(&names).all(|(path, name)| path.starts_with(name)) && aside.len() == 3, "{aside:?}");
    assert!(place.content(&aside[1]).await == frames(1)[0], "nothing is deleted that is not filed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_lost_or_doubled_however_parts_are_parted_over_objects(
        // Of nine parts: which object each goes to, and which come once more.
        objects in proptest::collection::vec(0usize..4, 9),
        again in proptest::collection::vec(0usize..9, 0..5),
        // After which objects somebody files.
        files in proptest::collection::vec(any::<bool>(), 4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let parts: Vec<Bytes> = [1, 3, 4, 5].into_iter().flat_map(frames).take(9).collect();
            let mut delivered: Vec<Vec<Bytes>> = vec![Vec::new(); 4];
            objects.iter().zip(&parts).rev().for_each(|(object, part)| delivered[*object].push(part.clone()));
            again.iter().for_each(|index| delivered[(objects[*index] + 1) % 4].push(parts[*index].clone()));
            for (number, content) in delivered.iter().enumerate() {
                place.deliver(&format!("2026/{number}"), content).await;
                if files[number] {
                    place.file().await;
                }
            }
            place.file().await;
            // Of the fourth segment two parts are on their way.
            assert_eq!(place.filed().await, [1, 3, 4]);
            for part in frames(5).iter().skip(2) {
                place.deliver("2027/last", std::slice::from_ref(part)).await;
            }
            place.file().await;
            assert_eq!(place.filed().await, [1, 3, 4, 5]);
            assert!(place.objects("acme").await.is_empty());
        });
    }
}
