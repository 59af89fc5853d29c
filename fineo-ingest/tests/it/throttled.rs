//! A stream whose shards take so many entries each second, as those of a service: what a request has more is waited for (N2).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fineo_backend_memory::MemoryStream;
use fineo_core::{
    Clock as _, Error, ErrorKind, Outcome, Position, Result, SeededEntropy, ShardId, Stream,
    stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
};
use fineo_ingest::{Edge, ImportOptions, ImportSource, Limits, Receipt, Routing};
use futures::stream::BoxStream;

use crate::support::{PausedClock, tenant};

const EVENTS: usize = 10_000;

#[derive(Debug)]
struct Throttled {
    inner: MemoryStream,
    clock: Arc<PausedClock>,
    /// What it takes each second of one key.
    per_second: usize,
    /// Whether all keys are one.
    has_one_shard: bool,
    /// How much of each key was taken in each second.
    taken: Mutex<BTreeMap<(u64, i64), usize>>,
}

impl Throttled {
    fn new(clock: &Arc<PausedClock>, per_second: usize, has_one_shard: bool) -> Arc<Self> {
        let (inner, clock) = (MemoryStream::new("raw", 1), Arc::clone(clock));
        Arc::new(Self { inner, clock, per_second, has_one_shard, taken: Mutex::default() })
    }

    fn takes(&self, key: u64) -> bool {
        let key = if self.has_one_shard { 0 } else { key };
        let mut taken = self.taken.lock().unwrap();
        let taken = taken.entry((key, self.clock.now().micros() / 1_000_000)).or_default();
        *taken += 1;
        *taken <= self.per_second
    }

    fn keys(&self) -> usize {
        self.taken.lock().unwrap().keys().map(|(key, _)| *key).collect::<BTreeSet<_>>().len()
    }
}

#[async_trait]
impl Stream for Throttled {
    fn capabilities(&self) -> StreamCapabilities {
        self.inner.capabilities()
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            if self.takes(entry.key) {
                outcomes.extend(self.inner.append(vec![entry]).await);
            } else {
                outcomes.push(Outcome::NotDone(Error::new(ErrorKind::Throttled, "the shard takes no more just now")));
            }
        }
        outcomes
    }

    async fn sync(&self) -> Outcome<()> {
        self.inner.sync().await
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        self.inner.shards().await
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        self.inner.read(shard, from)
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        self.inner.tail(shard).await
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        self.inner.trim(shard, through).await
    }
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "throttled {}", self.inner)
    }
}

fn edge(clock: &Arc<PausedClock>, stream: &Arc<Throttled>) -> Edge {
    let entropy = Arc::new(SeededEntropy::new(3));
    Edge::new(Arc::clone(stream) as _, Arc::clone(clock) as _, entropy, Limits::default(), Arc::default())
}

/// The most small events that a request may have.
fn events() -> String {
    (0..EVENTS).map(|number| format!("{{\"n\":{number}}}\n")).collect()
}

/// Sends them; answers how long that took, too.
async fn send(clock: &Arc<PausedClock>, stream: &Arc<Throttled>) -> (Receipt, Duration) {
    let begun = clock.now();
    let receipt = edge(clock, stream).ingest(&tenant("acme"), events().into()).await.unwrap();
    let micros = u64::try_from(clock.now().micros() - begun.micros()).unwrap();
    (receipt, Duration::from_micros(micros))
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_request_go_to_many_shards() {
    let clock = Arc::new(PausedClock::new());
    let stream = Throttled::new(&clock, 1_000, false);
    let (receipt, took) = send(&clock, &stream).await;
    assert_eq!((receipt.accepted(), took), (EVENTS, Duration::ZERO));
    assert_eq!(stream.keys(), EVENTS / 500);
}

#[tokio::test(start_paused = true)]
async fn what_a_shard_takes_later_is_waited_for_and_what_it_never_takes_is_not() {
    let clock = Arc::new(PausedClock::new());
    let (receipt, took) = send(&clock, &Throttled::new(&clock, 1_000, true)).await;
    assert_eq!(receipt.accepted(), EVENTS, "{took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let (receipt, took) = send(&clock, &Throttled::new(&clock, 0, true)).await;
    assert_eq!((receipt.accepted(), receipt.failed().len()), (0, EVENTS));
    assert!(receipt.failed().iter().all(|(_, error)| error.kind() == ErrorKind::Throttled));
    assert!((20..60).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_import_goes_on_for_as_long_as_some_of_it_is_taken() {
    let clock = Arc::new(PausedClock::new());
    for (per_second, is_taken) in [(500, true), (0, false)] {
        let options = ImportOptions::new(Routing::Tenant(tenant("acme"))).with_tries_max(8);
        let edge = edge(&clock, &Throttled::new(&clock, per_second, true));
        let imported = edge.import(ImportSource::Bytes(events().into()), options, |_| {}).await;
        assert_eq!(imported.map(|report| report.accepted).ok(), is_taken.then_some(EVENTS as u64));
    }
}
