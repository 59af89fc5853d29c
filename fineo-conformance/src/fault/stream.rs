//! A stream behind faults.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use fineo_core::{
    Outcome, Position, Result, ShardId, Stream,
    stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
};
use futures::stream::BoxStream;

use super::{
    Fault, Faults, Operation,
    faults::{Answer, is_masked, weave},
};

/// A [`Stream`] behind faults; without a fault as transparent as glass.
#[derive(Debug)]
pub struct FaultyStream {
    inner: Arc<dyn Stream>,
    faults: Faults,
    // What `tail` answered last, for stale reads.
    tails: Mutex<BTreeMap<ShardId, Option<Position>>>,
}

impl FaultyStream {
    /// `inner` behind `faults`.
    pub fn new(inner: Arc<dyn Stream>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone(), tails: Mutex::default() }
    }

    async fn append_masked(
        &self,
        entries: Vec<Entry>,
        fault: Fault,
        mask: u64,
        is_applied: bool,
    ) -> Vec<Outcome<Appended>> {
        let (inner, count) = (Arc::clone(&self.inner), entries.len());
        let error = fault.error(Operation::StreamAppend);
        let effect = async move {
            if is_applied {
                let mut outcomes = inner.append(entries).await;
                for (index, outcome) in outcomes.iter_mut().enumerate() {
                    if is_masked(mask, index) {
                        *outcome = Outcome::unknown(&error, 1);
                    }
                }
                return outcomes;
            }
            let entries = entries.into_iter().enumerate();
            let passed = entries.filter(|(index, _)| !is_masked(mask, *index)).map(|(_, entry)| entry).collect();
            weave(inner.append(passed).await, mask, count, || Outcome::not_done(&error, 1))
        };
        self.faults.call((Operation::StreamAppend, None), count, effect).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Stream for FaultyStream {
    fn capabilities(&self) -> StreamCapabilities {
        self.inner.capabilities()
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        let fault = self.faults.next(Operation::StreamAppend);
        if let Some(fault @ Fault::Partial { mask, is_applied }) = fault {
            return self.append_masked(entries, fault, mask, is_applied).await;
        }
        let (inner, count) = (Arc::clone(&self.inner), entries.len());
        let effect = async move { inner.append(entries).await };
        self.faults.call((Operation::StreamAppend, fault), count, effect).await
    }

    async fn sync(&self) -> Outcome<()> {
        let inner = Arc::clone(&self.inner);
        let fault = self.faults.next(Operation::StreamSync);
        self.faults.call((Operation::StreamSync, fault), 1, async move { inner.sync().await }).await
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        let inner = Arc::clone(&self.inner);
        let fault = self.faults.next(Operation::StreamShards);
        self.faults.call((Operation::StreamShards, fault), 1, async move { inner.shards().await }).await
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        self.faults.stream(Operation::StreamRead, self.inner.read(shard, from))
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        self.tail_from(shard, None).await
    }

    async fn tail_from(&self, shard: &ShardId, known: Option<Position>) -> Result<Option<Position>> {
        let fault = self.faults.next(Operation::StreamTail);
        let before = self.tails.lock().unwrap_or_else(PoisonError::into_inner).get(shard).copied();
        if let (Some(Fault::Stale), Some(tail)) = (fault, before) {
            return Ok(tail);
        }
        let (inner, of) = (Arc::clone(&self.inner), shard.clone());
        let effect = async move { inner.tail_from(&of, known).await };
        let tail = self.faults.call((Operation::StreamTail, fault), 1, effect).await?;
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).insert(shard.clone(), tail);
        Ok(tail)
    }

    async fn count_after(&self, shard: &ShardId, after: Option<Position>) -> Result<Option<u64>> {
        self.inner.count_after(shard, after).await
    }

    async fn gap_behind(&self, shard: &ShardId, after: Position) -> Result<Option<Position>> {
        self.inner.gap_behind(shard, after).await
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        let (inner, shard) = (Arc::clone(&self.inner), shard.clone());
        let fault = self.faults.next(Operation::StreamTrim);
        let effect = async move { inner.trim(&shard, through).await };
        self.faults.call((Operation::StreamTrim, fault), 1, effect).await
    }
}

impl fmt::Display for FaultyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}
