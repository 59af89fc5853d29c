//! The contract of a stream: an ordered, sharded, replayable sequence of entries.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};

use crate::{Durability, Error, ErrorKind, Outcome, Position, Result, ShardId, TenantId};

/// What is appended: some tenant's bytes.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whose bytes they are.
    pub tenant: TenantId,
    /// Entries of one key go to one shard; any hash of what should stay together.
    pub key: u64,
    /// The bytes, at most [`StreamCapabilities::entry_bytes_max`] of them.
    pub payload: Bytes,
}

/// What is read: an entry and where it stands.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whose bytes they are.
    pub tenant: TenantId,
    /// Where they stand in the shard.
    pub position: Position,
    /// The bytes as appended.
    pub payload: Bytes,
}

/// Where an entry was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The shard that took it.
    pub shard: ShardId,
    /// Its position there.
    pub position: Position,
}

/// A part of the stream as [`Stream::shards`] tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// The shards whose key range it took over: to be read to their end first.
    pub parents: Vec<ShardId>,
    /// Whether nothing will be appended any more.
    pub is_closed: bool,
}

/// From where [`Stream::read`] begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the oldest entry that is still there.
    Start,
    /// At the first entry after this position.
    After(Position),
}

/// Limits and powers of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCapabilities {
    /// What entries survive once [`Stream::sync`] is done.
    pub durability: Durability,
    /// The largest payload.
    pub entry_bytes_max: usize,
    /// The most entries of one append.
    pub entries_max: usize,
    /// Whether [`Stream::trim`] frees space; else the service's own retention does.
    pub can_trim: bool,
}

/// An ordered, sharded, replayable sequence of entries of many tenants.
///
/// # Guarantees
///
/// 1. **Outcomes.** [`append`](Self::append) answers one outcome per entry, in order of the entries. An
///    entry may be done while its neighbour is not.
/// 2. **Order.** Positions grow strictly within a shard, in the order of appends; a read delivers them in
///    that order. Entries of one `append` that share a key keep their order.
/// 3. **Fidelity.** A delivery carries the tenant and the bytes of its entry, unchanged.
/// 4. **Durability.** Whatever was appended before a [`sync`](Self::sync) that is done survives the faults
///    of [`StreamCapabilities::durability`].
/// 5. **Early reads.** A read may deliver an entry before it is durable. Such an entry may vanish in a
///    crash; its position is never given to another entry.
/// 6. **At least once.** A read from `After(p)` delivers every durable entry behind `p` that was not
///    trimmed, and nothing at or before `p`. Reading again delivers again.
/// 7. **Tailing.** A read of an open shard does not end: it waits for more. It ends after the last entry of
///    a closed shard.
/// 8. **Tail.** [`tail`](Self::tail) is the position of the last entry that a read begun now would deliver
///    without waiting.
/// 9. **Trimming.** [`trim`](Self::trim) removes only entries at or before the position. A read from before
///    the trimmed part fails with [`ErrorKind::NotFound`] and the context
///    `first`, the first position that is left (or, when none is left, the next); it never skips silently.
///    A read from [`ReadFrom::Start`] begins behind what was trimmed.
/// 10. **Unknown.** An append whose outcome is unknown was applied once or not at all.
/// 11. **Cancellation.** Dropping a call or a stream of deliveries leaves the stream intact.
/// 12. **Damage.** A read that meets entries that are not as they were written fails with
///     [`ErrorKind::Corrupt`] and the contexts `from` and `to`, their first and last
///     positions, and delivers none of them. A read from behind them goes on.
#[async_trait]
pub trait Stream: Debug + Display + Send + Sync + 'static {
    /// Limits and powers.
    fn capabilities(&self) -> StreamCapabilities;

    /// Puts `entries` at the end of their shards and says, one by one, what became of them.
    ///
    /// An entry beyond a limit is not done, with [`ErrorKind::Invalid`]; the
    /// others are not touched by that.
    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>>;

    /// Makes everything appended before this call durable. Concurrent calls share one flush.
    async fn sync(&self) -> Outcome<()>;

    /// The shards that there are, parents before children.
    ///
    /// # Errors
    ///
    /// When the stream cannot be reached.
    async fn shards(&self) -> Result<Vec<Shard>>;

    /// The deliveries of `shard`, in batches of at most a few megabytes. An empty one says that the read goes on through
    /// something without entries. Errors end the stream.
    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>>;

    /// The position of the last entry of `shard`; none when it never held any.
    ///
    /// # Errors
    ///
    /// When the stream cannot be reached or has no such shard.
    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>>;

    /// The same, for someone who knows of an entry at `known`: a service that does not tell its last entry looks for it from
    /// there on.
    ///
    /// # Errors
    ///
    /// As [`tail`](Self::tail).
    async fn tail_from(&self, shard: &ShardId, known: Option<Position>) -> Result<Option<Position>> {
        let _ = known;
        self.tail(shard).await
    }

    /// How many entries of `shard` there are behind `after`, all that are left for none of it; none where the stream cannot
    /// tell.
    ///
    /// # Errors
    ///
    /// As [`tail`](Self::tail).
    async fn count_after(&self, shard: &ShardId, after: Option<Position>) -> Result<Option<u64>> {
        let _ = (shard, after);
        Ok(None)
    }

    /// The first position that is left of `shard` where some of the entries behind `after` may have been trimmed; none where
    /// all of them are there. For someone who knows of an entry behind `after`: else it may wait for one.
    ///
    /// # Errors
    ///
    /// As [`tail`](Self::tail).
    async fn gap_behind(&self, shard: &ShardId, after: Position) -> Result<Option<Position>> {
        let mut deliveries = self.read(shard, ReadFrom::After(after));
        loop {
            return match deliveries.next().await {
                Some(Ok(batch)) if batch.is_empty() => continue,
                Some(Ok(_)) | None => Ok(None),
                // What cannot be read is there.
                Some(Err(error)) if error.kind() == ErrorKind::Corrupt => Ok(None),
                Some(Err(error)) => first_left(&error).map(Some).ok_or(error),
            };
        }
    }

    /// Lets go of the entries of `shard` up to `through`. May keep some of them.
    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()>;
}

/// The first position that is left of a shard, by the error that tells of trimmed entries.
pub fn first_left(error: &Error) -> Option<Position> {
    error.value("first").filter(|_| error.kind() == ErrorKind::NotFound).and_then(|text| text.parse().ok())
}
