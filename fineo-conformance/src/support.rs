//! Words that many cases share.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use fineo_core::{
    Archive, Durability, Error, Outcome, Position, Result, ShardId, Stream, TenantId, Timestamp,
    archive::Created,
    stream::{Appended, Delivery, Entry, ReadFrom},
};
use futures::{StreamExt, future};

use crate::{Place, Restart, Verdict, fault::CancelAt};

/// How many tasks race for one thing.
pub(crate) const RACERS: usize = 32;

/// At how many polls a call is dropped.
pub(crate) const CANCEL_POLLS_MAX: u64 = 8;

/// Names and texts that have confused somebody: separators, keywords, other scripts, equal hashes in Java,
/// case, blanks, control characters.
pub(crate) const AWKWARD: [&str; 18] = [
    "PM2.5", "select", "温度", "Aa", "BB", "aa", "a b", "a/b", "a\"b", "a'b", "a,b", "a\\b", "a\u{0}b", "a\nb", "%_*",
    "_fineo_x", "🚀", "null",
];

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("the cases name tenants correctly")
}

pub(crate) fn shard(name: &str) -> ShardId {
    ShardId::new(name).expect("the cases name shards correctly")
}

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::saturating_from_micros(micros)
}

pub(crate) fn entry(key: u64, payload: impl Into<Bytes>) -> Entry {
    Entry { tenant: tenant("acme"), key, payload: payload.into() }
}

/// Text that looks like nothing else, of `len` bytes.
pub(crate) fn filler(len: usize) -> String {
    (0..len).map(|index| char::from(b'a' + u8::try_from(index * 7 % 26).expect("below 26"))).collect()
}

/// Whether `archive` lists what is written only later.
pub(crate) fn is_late(archive: &Arc<dyn Archive>) -> bool {
    archive.capabilities().listed_within.is_some()
}

/// What a write to `archive` answers where one that lists at once answers `at_once`: one that lists late cannot tell.
pub(crate) fn answer(archive: &Arc<dyn Archive>, at_once: Created) -> Created {
    if is_late(archive) { Created::New } else { at_once }
}

/// Appends and expects every entry to be done.
pub(crate) async fn append(stream: &Arc<dyn Stream>, entries: Vec<Entry>) -> Result<Vec<Appended>> {
    let count = entries.len();
    let outcomes = stream.append(entries).await;
    assert_eq!(outcomes.len(), count, "one outcome per entry");
    outcomes.into_iter().map(Outcome::into_result).collect()
}

/// Everything that a read of `shard` from `from` delivers up to the present tail.
pub(crate) async fn read_to_tail(stream: &Arc<dyn Stream>, shard: &ShardId, from: ReadFrom) -> Result<Vec<Delivery>> {
    let Some(tail) = stream.tail(shard).await? else { return Ok(Vec::new()) };
    if let ReadFrom::After(position) = from
        && position >= tail
    {
        return Ok(Vec::new());
    }
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut batches = stream.read(shard, from);
    while deliveries.last().is_none_or(|last| last.position < tail) {
        let Some(batch) = batches.next().await else { break };
        deliveries.extend(batch?);
    }
    Ok(deliveries)
}

/// Everything in every shard, in order of shards.
pub(crate) async fn read_all(stream: &Arc<dyn Stream>) -> Result<Vec<(ShardId, Delivery)>> {
    let mut all = Vec::new();
    for shard in stream.shards().await? {
        let deliveries = read_to_tail(stream, &shard.id, ReadFrom::Start).await?;
        all.extend(deliveries.into_iter().map(|delivery| (shard.id.clone(), delivery)));
    }
    Ok(all)
}

pub(crate) fn positions(deliveries: &[Delivery]) -> Vec<Position> {
    deliveries.iter().map(|delivery| delivery.position).collect()
}

/// Runs `futures` as tasks that wait for each other at the start, and answers what they answered, in order.
pub(crate) async fn race<F>(futures: Vec<F>) -> Result<Vec<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(futures.len()));
    let tasks = futures.into_iter().map(|future| {
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            future.await
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let answers = future::join_all(tasks).await;
    answers
        .into_iter()
        .map(|answer| answer.map_err(|error| Error::internal("a racer failed").with_source(error)))
        .collect()
}

/// Drops `future` at its `poll`-th poll; none if it was not done by then.
pub(crate) async fn cancelled_at<F: Future>(poll: u64, future: F) -> Option<F::Output> {
    CancelAt::new(future, poll).await
}

/// Restarts `place`, or says why the case cannot be asked: a store that survives less than the death of its
/// process promises nothing after a restart.
pub(crate) async fn restart(
    place: &mut Box<dyn Place>,
    durability: Durability,
    how: Restart,
) -> Result<Option<Verdict>> {
    let needed = match how {
        Restart::Clean => Durability::ProcessCrash,
        Restart::Crash => Durability::PowerLoss,
    };
    if durability < needed {
        return Ok(Some(Verdict::ignored(format!("the store claims to survive no {needed}: it is {durability}"))));
    }
    if !place.restart(how).await? {
        return Ok(Some(Verdict::ignored(format!("the backend cannot be restarted in this way: {how:?}"))));
    }
    Ok(None)
}
