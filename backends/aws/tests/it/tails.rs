//! The end of a shard, which Kinesis does not tell: how little is read to find it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fineo_backend_aws::Aws;
use fineo_core::{Clock, Position, Result, ShardId, Stream, SystemClock, Timestamp, stream::ReadFrom};
use futures::{StreamExt, future::BoxFuture};
use serde_json::{Value, json};

use crate::{faults::place, stub::Answer};

const HOUR: i64 = 3_600_000;
/// How old the shard is, and how often a record came until it fell quiet, in milliseconds.
const AGE: i64 = 24 * HOUR;
const EVERY: i64 = 100;

/// A clock that stands, by which nobody waits.
#[derive(Debug)]
struct Standing(Timestamp);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A shard of a day that has been quiet for some time, as AWS answers for it.
#[derive(Default)]
struct Shard {
    now: i64,
    quiet: AtomicI64,
    calls: AtomicUsize,
    records: AtomicUsize,
}

impl Shard {
    fn count(&self) -> i64 {
        (AGE - self.quiet.load(Ordering::SeqCst)) / EVERY
    }

    fn arrived(&self, record: i64) -> i64 {
        self.now - AGE + record * EVERY
    }

    fn answer(&self, operation: &str, arguments: &Value) -> (u16, Value) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let number = |name: &str| arguments[name].as_str().and_then(|text| text.parse::<i64>().ok());
        if operation == "GetShardIterator" {
            let first = match arguments["ShardIteratorType"].as_str() {
                Some("AT_SEQUENCE_NUMBER") => number("StartingSequenceNumber").unwrap() - 1,
                Some("AT_TIMESTAMP") => {
                    let instant = (arguments["Timestamp"].as_f64().unwrap() * 1e3) as i64;
                    ((instant - self.arrived(0) + EVERY - 1) / EVERY).clamp(0, self.count())
                }
                _ => 0,
            };
            return (200, json!({ "ShardIterator": first.to_string() }));
        }
        let first = number("ShardIterator").unwrap();
        let next = (first + arguments["Limit"].as_i64().unwrap()).min(self.count());
        let records: Vec<Value> = (first..next).map(|record| self.record(record)).collect();
        self.records.fetch_add(records.len(), Ordering::SeqCst);
        let behind = if next == self.count() { 0 } else { self.now - self.arrived(next) };
        (200, json!({ "Records": records, "NextShardIterator": next.to_string(), "MillisBehindLatest": behind }))
    }

    fn record(&self, record: i64) -> Value {
        let arrived = self.arrived(record) as f64 / 1e3;
        json!({ "SequenceNumber": (record + 1).to_string(), "PartitionKey": "acme", "Data": "eA==",
            "ApproximateArrivalTimestamp": arrived })
    }
}

/// However long a shard has been quiet, its end is found with little reading.
pub(crate) async fn cheap() -> Result<()> {
    let clock = Arc::new(Standing(SystemClock.now()));
    let shard = Arc::new(Shard { now: clock.now().micros() / 1000, ..Shard::default() });
    let service = Arc::clone(&shard);
    let answer: Answer = Box::new(move |operation, arguments| service.answer(operation, arguments));
    let (aws, _stub) = place(answer).await?;
    let options = aws.options().clone().with_clock(clock);
    let id = ShardId::new("shardId-000000000000")?;
    // One who has known it for long, and one who is new.
    let known = Aws::connect(options.clone()).await?.stream("raw");
    for quiet in [20 * HOUR, 3 * HOUR, HOUR / 6, 61_000, 0] {
        shard.quiet.store(quiet, Ordering::SeqCst);
        let new = Aws::connect(options.clone()).await?.stream("raw");
        // He reads on from what he knows, one page, before he searches.
        for (stream, records_max) in [(&known, 10_000 + 2_000), (&new, 2_000)] {
            let before = (shard.calls.load(Ordering::SeqCst), shard.records.load(Ordering::SeqCst));
            let tail = stream.tail(&id).await?;
            assert_eq!(tail.and_then(Position::to_u128), Some(shard.count().unsigned_abs().into()), "{quiet}");
            let calls = shard.calls.load(Ordering::SeqCst) - before.0;
            let records = shard.records.load(Ordering::SeqCst) - before.1;
            assert!(calls <= 36 && records <= records_max, "quiet for {quiet}: {calls} calls, {records} records");
        }
    }
    // One who reads on from a record that is there knows the end as soon as he has met it.
    let reader = Aws::connect(options.clone()).await?.stream("raw");
    let last = known.tail(&id).await?.unwrap();
    let mut read = reader.read(&id, ReadFrom::After(last));
    let begun = shard.calls.load(Ordering::SeqCst);
    let has_met = async {
        while shard.calls.load(Ordering::SeqCst) < begun + 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        batch = read.next() => panic!("nothing comes: {batch:?}"),
        () = has_met => {}
    }
    drop(read);
    // So does one who is told of it, as by a checkpoint.
    let told = Aws::connect(options).await?.stream("raw");
    for (stream, known) in [(reader, None), (told, Some(last))] {
        let calls = shard.calls.load(Ordering::SeqCst);
        assert_eq!(stream.tail_from(&id, known).await?, Some(last));
        assert!(shard.calls.load(Ordering::SeqCst) <= calls + 2);
    }
    Ok(())
}
