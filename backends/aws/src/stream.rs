//! A stream on Kinesis.
//!
//! An entry is one record: its tenant is the partition key, its payload the data, byte by byte, and its key chooses
//! the shard by an explicit hash key, so that a tenant's entries spread over all shards.

mod append;
mod fan_out;
mod plan;
mod read;
mod sequence;
mod shards;
mod tail;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Durability, Outcome, Position, Result, ShardId, Stream, TenantId,
    stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
};
use futures::stream::BoxStream;

use crate::{AwsOptions, connect::Clients};

/// The largest record, with its partition key.
const RECORD_BYTES_MAX: usize = 1 << 20;
const ENTRY_BYTES_MAX: usize = RECORD_BYTES_MAX - TenantId::LEN_MAX;
const ENTRIES_MAX: usize = 5_000;

/// A [`Stream`] on Kinesis. Clones share what they know of its shards.
#[derive(Clone)]
pub struct KinesisStream {
    name: Arc<str>,
    clients: Clients,
    options: AwsOptions,
    /// The last position of each shard that this process has seen there.
    seen: Arc<Mutex<HashMap<ShardId, Position>>>,
    consumer: Arc<fan_out::Consumer>,
}

impl KinesisStream {
    pub(crate) fn new(name: String, clients: Clients, options: AwsOptions) -> Self {
        Self { name: name.into(), clients, options, seen: Arc::default(), consumer: Arc::default() }
    }

    /// Its name on AWS.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn last_seen(&self, shard: &ShardId) -> Option<Position> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(shard).copied()
    }

    fn saw(&self, shard: &ShardId, position: Position) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = seen.entry(shard.clone()).or_default();
        *last = position.max(*last);
    }
}

/// The position that a record's sequence number stands for.
///
/// # Errors
///
/// `Corrupt` when it is no number of at most 192 bits.
pub fn position(sequence_number: &str) -> Result<Position> {
    sequence::position(sequence_number)
}

/// The delivery that a record stands for, whoever read it.
///
/// # Errors
///
/// `Corrupt` when the partition key is no tenant: then something else writes to the stream.
pub fn delivery(partition_key: &str, position: Position, payload: Bytes) -> Result<Delivery> {
    let tenant = plan::tenant(partition_key).map_err(|error| error.with("position", position))?;
    Ok(Delivery { tenant, position, payload })
}

#[async_trait]
impl Stream for KinesisStream {
    fn capabilities(&self) -> StreamCapabilities {
        StreamCapabilities {
            durability: Durability::ZoneLoss,
            entry_bytes_max: ENTRY_BYTES_MAX,
            entries_max: ENTRIES_MAX,
            can_trim: false,
        }
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        let outcomes = if self.options.is_ordered {
            append::in_order(self, &entries).await
        } else {
            append::in_batches(self, &entries).await
        };
        for outcome in &outcomes {
            if let Outcome::Done(appended) = outcome {
                self.saw(&appended.shard, appended.position);
            }
        }
        outcomes
    }

    /// A record is durable when Kinesis answers for it.
    async fn sync(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        shards::list(self).await
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        read::deliveries(self.clone(), shard.clone(), from)
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        tail::tail(self, shard).await
    }

    async fn tail_from(&self, shard: &ShardId, known: Option<Position>) -> Result<Option<Position>> {
        if let Some(known) = known {
            self.saw(shard, known);
        }
        tail::tail(self, shard).await
    }

    async fn gap_behind(&self, shard: &ShardId, after: Position) -> Result<Option<Position>> {
        tail::gap_behind(self, shard, after).await
    }

    /// Retention is the service's own: nothing is let go of, which the contract allows.
    async fn trim(&self, _shard: &ShardId, _through: Position) -> Outcome<()> {
        Outcome::Done(())
    }
}

impl fmt::Display for KinesisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kinesis stream {}", self.name)
    }
}

impl fmt::Debug for KinesisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisStream").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
