//! How much of a stream is in memory at a time, and that nothing of it is missed.

use std::time::Duration;

use bytes::BytesMut;
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{EventId, SeededEntropy, Stores, Stream, SystemClock, TenantId, stream::Entry};

use super::*;
use crate::{
    Pipeline, PipelineOptions, PipelineParts,
    envelope::{Circumstances, Format, write_head},
};

const EVENTS: u64 = 5_000;
/// So many entries a stream in memory delivers at a time.
const READ_MAX: usize = 1_024;
const SOON: Duration = Duration::from_secs(60);

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// A pipeline that has passed on as many events as there are, and archived none of them.
async fn backlog() -> (Pipeline, MemoryStream) {
    let raw = MemoryStream::new("raw", 1);
    let stores = Stores {
        raw: Arc::new(raw.clone()),
        staged: Arc::new(MemoryStream::new("staged", 1)),
        archive: Arc::new(MemoryArchive::new()),
        nearline: Arc::new(MemoryNearline::new()),
        repo: Arc::new(MemoryRepo::new()),
    };
    let parts = PipelineParts::new(stores, Arc::new(SystemClock), Arc::new(SeededEntropy::new(1)));
    let options = PipelineOptions::default().with_cut_after(Duration::from_secs(3_600));
    let pipeline = Pipeline::start(parts, options).await.unwrap();
    let entry = |number: u64| {
        let mut payload = BytesMut::new();
        let id = EventId(u128::from(number).to_be_bytes());
        write_head(id.0, Timestamp::default(), Format::Json, &Circumstances::default(), &mut payload);
        payload.extend_from_slice(format!(r#"{{"metrictype":"m","timestamp":1,"v":{number}}}"#).as_bytes());
        Entry { tenant: acme(), key: 0, payload: payload.freeze() }
    };
    raw.append((0..EVENTS).map(entry).collect()).await;
    pipeline.drain(SOON).await.unwrap();
    (pipeline, raw)
}

/// The positions of everything that `source` still has, never more than `records_max` of them in memory.
async fn rest(source: &mut Source<'_>, records_max: usize) -> Vec<Position> {
    let mut found = Vec::new();
    while let Some((_, records)) = source.next(100).await.unwrap() {
        found.extend(records.iter().map(|record| record.delivery.position));
        let left = source.open.as_ref().map_or(0, |(_, records)| records.len());
        assert!(records.len() + left <= records_max, "{left}");
    }
    source.check_whole().await.unwrap();
    found
}

fn positions(numbers: std::ops::RangeInclusive<u64>) -> Vec<Position> {
    numbers.map(Position::from).collect()
}

// B1
#[tokio::test(start_paused = true)]
async fn a_backlog_is_read_piece_by_piece() {
    let (pipeline, raw) = backlog().await;
    let request = ReplayRequest::new(Stage::Raw, acme());
    let mut source = Source::new(pipeline.shared(), &request);
    let (_, first) = source.next(10).await.unwrap().unwrap();
    assert_eq!(first.len(), 10);
    // What comes after the beginning is not waited for.
    raw.append(vec![Entry { tenant: acme(), key: 0, payload: "none".into() }]).await;
    assert_eq!(rest(&mut source, READ_MAX).await, positions(11..=EVENTS));
}

#[tokio::test(start_paused = true)]
async fn what_is_archived_and_trimmed_while_a_replay_reads_is_read_from_the_archive() {
    let (pipeline, _) = backlog().await;
    let shared = Arc::clone(pipeline.shared());
    let request = ReplayRequest::new(Stage::Raw, acme());
    let mut source = Source::new(&shared, &request);
    let (_, first) = source.next(READ_MAX).await.unwrap().unwrap();
    pipeline.stop().await.unwrap();
    // All of it is in one segment.
    let found = rest(&mut source, usize::MAX).await;
    assert_eq!(found, positions(first.len() as u64 + 1..=EVENTS));
}

#[tokio::test(start_paused = true)]
async fn what_is_archived_and_trimmed_before_a_shard_is_first_read_is_read_from_the_archive() {
    let (pipeline, _) = backlog().await;
    let shared = Arc::clone(pipeline.shared());
    let request = ReplayRequest::new(Stage::Raw, acme());
    let mut source = Source::new(&shared, &request);
    source.tails = Some(source.tails().await.unwrap());
    // It was listed while nothing was in it.
    source.segments = Some(futures::stream::empty().boxed());
    pipeline.stop().await.unwrap();
    assert_eq!(rest(&mut source, usize::MAX).await, positions(1..=EVENTS));
}

#[tokio::test(start_paused = true)]
async fn positions_that_are_not_wanted_are_passed_over_in_the_archive_and_in_the_stream() {
    let (pipeline, _) = backlog().await;
    let shared = Arc::clone(pipeline.shared());
    let request = ReplayRequest::new(Stage::Raw, acme());
    let shard = ShardId::new("s0").unwrap();
    let within = [(shard.clone(), Position::from(2_000), Position::from(2_002)), (shard, 9_u64.into(), 9_u64.into())];
    let wanted = [positions(9..=9), positions(2_000..=2_002)].concat();
    assert_eq!(rest(&mut Source::new(&shared, &request).within(&within), READ_MAX).await, wanted);
    pipeline.stop().await.unwrap();
    assert_eq!(rest(&mut Source::new(&shared, &request).within(&within), READ_MAX).await, wanted);
}
