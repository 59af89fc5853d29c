//! How much is kept of what was forwarded before, and how long it takes to know.

use std::sync::Arc;

use bytes::BytesMut;
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{Clock, EventId, SeededEntropy, Stores, SystemClock, stream::Entry};
use futures::future::BoxFuture;

use super::*;
use crate::{
    Pipeline, PipelineOptions, PipelineParts,
    envelope::{Circumstances, Format, write_head},
};

const BUSY_EVENTS: u128 = 12_000;
const LONG: Duration = Duration::from_secs(25);

/// The paused clock of a test's runtime: it moves when everybody waits.
#[derive(Debug)]
struct PausedClock(tokio::time::Instant);

impl PausedClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the runtime's time enters")]
    fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.0.elapsed().as_micros()).unwrap()).unwrap()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(wait)
    }
}

struct Streams {
    clock: Arc<PausedClock>,
    raw: MemoryStream,
    staged: MemoryStream,
    stores: Stores,
}

impl Streams {
    fn new() -> Self {
        let (raw, staged) = (MemoryStream::new("raw", 2), MemoryStream::new("staged", 1));
        let stores = Stores {
            raw: Arc::new(raw.clone()),
            staged: Arc::new(staged.clone()),
            archive: Arc::new(MemoryArchive::new()),
            nearline: Arc::new(MemoryNearline::new()),
            repo: Arc::new(MemoryRepo::new()),
        };
        Self { clock: Arc::new(PausedClock::new()), raw, staged, stores }
    }

    async fn start(&self, options: PipelineOptions) -> Pipeline {
        let parts =
            PipelineParts::new(self.stores.clone(), Arc::clone(&self.clock) as _, Arc::new(SeededEntropy::new(1)));
        Pipeline::start(parts, options).await.unwrap()
    }

    /// Puts events with these numbers into one of the two raw shards; answers which that is.
    async fn send(&self, key: u64, numbers: std::ops::Range<u128>) -> ShardId {
        let entry = |number: u128| {
            let mut payload = BytesMut::new();
            let id = EventId(number.to_be_bytes());
            write_head(id.0, self.clock.now(), Format::Json, &Circumstances::default(), &mut payload);
            let event = format!(r#"{{"metrictype":"m","timestamp":1,"v":{number}}}"#);
            payload.extend_from_slice(event.as_bytes());
            Entry { tenant: TenantId::new("acme").unwrap(), key, payload: payload.freeze() }
        };
        let appended = self.raw.append(numbers.map(entry).collect()).await;
        appended.into_iter().next_back().unwrap().into_result().unwrap().shard
    }

    /// What a process that begins now keeps of what was forwarded before.
    async fn kept(&self, shard: &ShardId) -> usize {
        let pipeline = self.start(PipelineOptions::default().with_runs_stages(false)).await;
        let shared = pipeline.shared();
        let subject = checkpoint::subject(&shared.options.name, "raw", "stage", shard).unwrap();
        let checkpoint = Checkpoint::read(&*shared.parts.repo, subject).await.unwrap();
        let (_, earlier) = Earlier::begin(shared, shard, &checkpoint).await.unwrap();
        earlier.entries.values().flat_map(HashMap::values).sum::<u32>() as usize
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_shard_keeps_little_of_what_busy_ones_forwarded() {
    for is_alone in [true, false] {
        let streams = Streams::new();
        let pipeline = streams.start(PipelineOptions::default().with_is_alone(is_alone)).await;
        let quiet = streams.send(1, 0..1).await;
        let busy_key = 2;
        pipeline.drain(LONG).await.unwrap();
        streams.clock.sleep(LONG).await;
        assert_ne!(streams.send(busy_key, 1..BUSY_EVENTS).await, quiet);
        pipeline.drain(LONG).await.unwrap();
        streams.clock.sleep(LONG).await;
        // It was forwarded, and died with its process.
        streams.send(busy_key, BUSY_EVENTS..BUSY_EVENTS + 10).await;
        streams.send(1, BUSY_EVENTS + 10..BUSY_EVENTS + 12).await;
        pipeline.drain(LONG).await.unwrap();
        drop(pipeline);
        assert_eq!(streams.kept(&quiet).await, 12, "is alone: {is_alone}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_process_settled_is_noted_too() {
    let streams = Streams::new();
    let pipeline = streams.start(PipelineOptions::default()).await;
    streams.send(1, 0..10).await;
    pipeline.drain(LONG).await.unwrap();
    pipeline.stop().await.unwrap();
    let other = streams.start(PipelineOptions::default().with_runs_stages(false)).await;
    let staged = ShardId::new("s0").unwrap();
    let forwarded = Cover::from_iter([(staged.clone(), Position::ZERO)]);
    let settled = settled(other.shared(), &Noted { forwarded, shards: Some(1), key: Some(0) }).await.unwrap();
    assert_eq!(settled.last(&staged), Some(Position::from(10)));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_shard_that_was_trimmed_from_its_beginning_on() {
    let streams = Streams::new();
    let raw = streams.send(1, 0..1).await;
    let entry = Entry { tenant: TenantId::new("acme").unwrap(), key: 1, payload: "none".into() };
    streams.staged.append(vec![entry]).await;
    let staged = ShardId::new("s0").unwrap();
    streams.staged.trim(&staged, Position::MAX).await.into_result().unwrap();
    let pipeline = streams.start(PipelineOptions::default().with_runs_stages(false)).await;
    let shared = pipeline.shared();
    let subject = checkpoint::subject(&shared.options.name, "raw", "stage", &raw).unwrap();
    let mut checkpoint = Checkpoint::read(&*shared.parts.repo, subject).await.unwrap();
    let forwarded = Cover::from_iter([(staged, Position::ZERO)]);
    checkpoint.noted = Some(Noted { forwarded, shards: Some(1), key: Some(key_of(&raw)) });
    let begun = streams.clock.now();
    let (noted, earlier) = Earlier::begin(shared, &raw, &checkpoint).await.unwrap();
    assert_eq!((noted, earlier.entries.len()), (None, 0));
    assert!(!earlier.is_empty(), "whoever waits for it waits for what was trimmed, too");
    assert_eq!(streams.clock.now(), begun);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_was_not_there_before_is_noted_before_anything_goes_there() {
    let streams = Streams::new();
    let pipeline = streams.start(PipelineOptions::default().with_runs_stages(false)).await;
    let shared = pipeline.shared();
    let subject = checkpoint::subject(&shared.options.name, "raw", "stage", &ShardId::new("s0").unwrap()).unwrap();
    let mut checkpoint = Checkpoint::read(&*shared.parts.repo, subject).await.unwrap();
    // A directory that was opened with other shards: none took over from the one that records went to.
    let other = Cover::from_iter([(ShardId::new("s7").unwrap(), Position::from(5))]);
    checkpoint.noted = Some(Noted { forwarded: other.clone(), shards: Some(8), key: Some(0) });
    let (noted, _) = Earlier::begin(shared, &ShardId::new("s0").unwrap(), &checkpoint).await.unwrap();
    let mut forwarded = other;
    forwarded.advance(&ShardId::new("s0").unwrap(), Position::ZERO);
    assert_eq!(noted, Some(Noted { forwarded, shards: Some(1), key: Some(0) }));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_another_key_may_lead_to_is_noted_before_anything_goes_there() {
    let streams = Streams::new();
    let pipeline = streams.start(PipelineOptions::default().with_runs_stages(false)).await;
    let (shared, raw) = (pipeline.shared(), ShardId::new("s1").unwrap());
    let subject = checkpoint::subject(&shared.options.name, "raw", "stage", &raw).unwrap();
    let mut checkpoint = Checkpoint::read(&*shared.parts.repo, subject).await.unwrap();
    let other = Cover::from_iter([(ShardId::new("s7").unwrap(), Position::from(5))]);
    for (key, is_noted) in [(None, true), (Some(7), true), (Some(1), false)] {
        checkpoint.noted = Some(Noted { forwarded: other.clone(), shards: Some(1), key });
        let (noted, _) = Earlier::begin(shared, &raw, &checkpoint).await.unwrap();
        assert_eq!(noted.is_some_and(|noted| noted.forwarded.last(&ShardId::new("s0").unwrap()).is_some()), is_noted);
    }
}
