//! A stream in memory: shards that own ranges of keys, and readers that wait for a change.

mod shard;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use fineo_core::{
    Durability, Error, Outcome, Position, Result, ShardId, Stream,
    stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use shard::{MemoryShard, Next};

const ENTRY_BYTES_MAX: usize = 4 << 20;
const ENTRIES_MAX: usize = 65_536;

/// A [`Stream`] in memory. Clones share its entries.
#[derive(Clone)]
pub struct MemoryStream {
    name: Arc<str>,
    shared: Arc<Shared>,
}

struct Shared {
    shards: Mutex<Vec<MemoryShard>>,
    // Tells the readers that some shard has changed.
    changed: watch::Sender<()>,
}

impl MemoryStream {
    /// An empty stream of `shards` shards, at least one: `s0`, `s1`, …
    pub fn new(name: &str, shards: usize) -> Self {
        let count = shards.max(1) as u128;
        let bound = |index: u128| (index << 64) / count;
        let shards = (0..count)
            .map(|index| MemoryShard::new(shard_id(index), bound(index)..bound(index + 1), Vec::new()))
            .collect();
        let shared = Shared { shards: Mutex::new(shards), changed: watch::Sender::new(()) };
        Self { name: name.into(), shared: Arc::new(shared) }
    }

    /// Closes `shard` and hands its keys over to two new shards.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such shard, `Invalid` when it is closed or too small to split.
    pub fn split_shard(&self, shard: &ShardId) -> Result<[ShardId; 2]> {
        let mut shards = self.shared.shards();
        let count = shards.len() as u128;
        let parent = find(&mut shards, shard)?;
        let keys = parent.keys().clone();
        let middle = keys.start + (keys.end - keys.start) / 2;
        if parent.is_closed() || middle == keys.start {
            return Err(Error::invalid("the shard cannot be split").with("shard", shard));
        }
        parent.close();
        let children = [shard_id(count), shard_id(count + 1)];
        let [low, high] = children.clone();
        shards.push(MemoryShard::new(low, keys.start..middle, vec![shard.clone()]));
        shards.push(MemoryShard::new(high, middle..keys.end, vec![shard.clone()]));
        drop(shards);
        self.shared.changed.send_replace(());
        Ok(children)
    }

    /// Closes two neighbouring shards and hands their keys over to one new shard.
    ///
    /// # Errors
    ///
    /// `NotFound` when one of them does not exist, `Invalid` when one is closed or they are no neighbours.
    pub fn merge_shards(&self, low: &ShardId, high: &ShardId) -> Result<ShardId> {
        let mut shards = self.shared.shards();
        let child = shard_id(shards.len() as u128);
        let (first, second) = (find(&mut shards, low)?.open_keys(), find(&mut shards, high)?.open_keys());
        let keys = match (first, second) {
            (Some(first), Some(second)) if first.end == second.start => first.start..second.end,
            (Some(_) | None, Some(_) | None) => {
                return Err(Error::invalid("not two open shards side by side").with("low", low).with("high", high));
            }
        };
        find(&mut shards, low)?.close();
        find(&mut shards, high)?.close();
        shards.push(MemoryShard::new(child.clone(), keys, vec![low.clone(), high.clone()]));
        drop(shards);
        self.shared.changed.send_replace(());
        Ok(child)
    }

    /// Closes `shard` without an heir: its readers end, and appends of its keys are not done from now on.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such shard.
    pub fn close_shard(&self, shard: &ShardId) -> Result<()> {
        find(&mut self.shared.shards(), shard)?.close();
        self.shared.changed.send_replace(());
        Ok(())
    }

    /// Loses power: entries appended since the last sync are gone, and their positions are not used again.
    pub fn crash(&self) {
        for shard in self.shared.shards().iter_mut() {
            shard.crash();
        }
        self.shared.changed.send_replace(());
    }
}

impl Shared {
    fn shards(&self) -> MutexGuard<'_, Vec<MemoryShard>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shard_id(number: u128) -> ShardId {
    ShardId::new(&format!("s{number}")).expect("a letter and digits make a shard id")
}

fn find<'a>(shards: &'a mut [MemoryShard], id: &ShardId) -> Result<&'a mut MemoryShard> {
    let found = shards.iter_mut().find(|shard| shard.id() == id);
    found.ok_or_else(|| Error::not_found("no such shard").with("shard", id))
}

/// Spreads keys over the range of `u64`, so that small numbers do not all meet in the first shard.
fn spread(key: u64) -> u128 {
    let mixed = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u128::from(mixed ^ (mixed >> 31))
}

fn append_one(shards: &mut [MemoryShard], entry: Entry) -> Outcome<Appended> {
    if entry.payload.len() > ENTRY_BYTES_MAX {
        let error = Error::invalid("the entry is too large").with("bytes", entry.payload.len());
        return Outcome::NotDone(error.with("bytes_max", ENTRY_BYTES_MAX));
    }
    let key = spread(entry.key);
    let Some(shard) = shards.iter_mut().find(|shard| !shard.is_closed() && shard.keys().contains(&key)) else {
        return Outcome::NotDone(Error::unavailable("no open shard takes the key").with("key", entry.key));
    };
    let position = shard.append(entry.tenant, entry.payload);
    Outcome::Done(Appended { shard: shard.id().clone(), position })
}

#[async_trait]
impl Stream for MemoryStream {
    fn capabilities(&self) -> StreamCapabilities {
        StreamCapabilities {
            durability: Durability::Volatile,
            entry_bytes_max: ENTRY_BYTES_MAX,
            entries_max: ENTRIES_MAX,
            can_trim: true,
        }
    }

    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        let mut shards = self.shared.shards();
        let mut outcomes = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            outcomes.push(if index < ENTRIES_MAX {
                append_one(&mut shards, entry)
            } else {
                Outcome::NotDone(Error::invalid("too many entries at once").with("entries_max", ENTRIES_MAX))
            });
        }
        drop(shards);
        self.shared.changed.send_replace(());
        outcomes
    }

    async fn sync(&self) -> Outcome<()> {
        for shard in self.shared.shards().iter_mut() {
            shard.sync();
        }
        Outcome::Done(())
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        // Children are added behind their parents.
        Ok(self.shared.shards().iter().map(MemoryShard::describe).collect())
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        let reader = Reader {
            changed: self.shared.changed.subscribe(),
            shared: Arc::clone(&self.shared),
            shard: shard.clone(),
            from,
        };
        stream::try_unfold(reader, |mut reader| async move {
            let batch = reader.next().await?;
            Ok(batch.map(|batch| (batch, reader)))
        })
        .boxed()
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        Ok(find(&mut self.shared.shards(), shard)?.tail())
    }

    async fn count_after(&self, shard: &ShardId, after: Option<Position>) -> Result<Option<u64>> {
        Ok(Some(find(&mut self.shared.shards(), shard)?.count_after(after)))
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        find(&mut self.shared.shards(), shard).map(|shard| shard.trim(through)).into()
    }
}

struct Reader {
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
    shard: ShardId,
    from: ReadFrom,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Vec<Delivery>>> {
        loop {
            // Marked as seen before looking, so that a change after the look wakes this reader.
            self.changed.mark_unchanged();
            let next = find(&mut self.shared.shards(), &self.shard)?.next(self.from)?;
            match next {
                Next::Batch(batch) => {
                    let last = batch.last().expect("a batch is not empty");
                    self.from = ReadFrom::After(last.position);
                    return Ok(Some(batch));
                }
                Next::End => return Ok(None),
                Next::Later => {}
            }
            if self.changed.changed().await.is_err() {
                return Err(Error::internal("the stream went away under its reader"));
            }
        }
    }
}

impl fmt::Display for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory stream {}", self.name)
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStream").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
