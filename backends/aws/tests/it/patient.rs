//! A stream whose caller sends again what was not taken, as the edge and the stages do.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use fineo_core::{
    ErrorKind, Outcome, Position, Result, ShardId, Stream,
    stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
};
use futures::stream::BoxStream;

/// Sends again what was not taken for want of room.
#[derive(Debug)]
pub(crate) struct Patient(pub(crate) Arc<dyn Stream>);

impl fmt::Display for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_for_now(outcome: &Outcome<Appended>) -> bool {
    let kinds = [ErrorKind::Throttled, ErrorKind::Unavailable];
    matches!(outcome, Outcome::NotDone(error) if kinds.contains(&error.kind()))
}

#[async_trait]
impl Stream for Patient {
    fn capabilities(&self) -> StreamCapabilities {
        self.0.capabilities()
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        let mut outcomes = self.0.append(entries.clone()).await;
        loop {
            let again: Vec<usize> = (0..outcomes.len()).filter(|index| is_for_now(&outcomes[*index])).collect();
            if again.is_empty() {
                return outcomes;
            }
            let entries = again.iter().map(|index| entries[*index].clone()).collect();
            for (index, outcome) in again.into_iter().zip(self.0.append(entries).await) {
                outcomes[index] = outcome;
            }
        }
    }

    async fn sync(&self) -> Outcome<()> {
        self.0.sync().await
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        self.0.shards().await
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        self.0.read(shard, from)
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        self.0.tail(shard).await
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        self.0.trim(shard, through).await
    }
}
