//! What an earlier run forwarded behind its checkpoint: given again, it goes no further, whatever the schema says by now.

use std::{collections::HashMap, time::Duration};

use fineo_core::{
    Cover, Error, EventId, Position, Result, ShardId, Stream, TenantId, Timestamp,
    archive::Stage,
    stream::{Delivery, ReadFrom},
};
use foldhash::fast::RandomState;
use futures::StreamExt;

use super::{
    checkpoint::{self, Checkpoint},
    loss::damaged,
    parts::Shared,
};
use crate::stage::payload;

/// A stream that has an entry delivers it sooner.
const QUIET: Duration = Duration::from_secs(10);

/// The entries of the staged stream behind a checkpoint of stage raw, by what an event of the raw stream tells of them under any
/// schema.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// By tenant, arrival and event id: how many there are.
    entries: HashMap<TenantId, HashMap<(Timestamp, EventId), u32, RandomState>, RandomState>,
    /// Up to where events are given again.
    to: Option<Position>,
}

/// The ends of the staged stream's shards, to be read from when all of it that is forwarded later is wanted.
pub(crate) async fn ends(shared: &Shared) -> Result<Cover> {
    let staged = &*shared.parts.staged;
    let mut ends = Cover::default();
    for shard in shared.retry.until_done(|| async { staged.shards().await }).await? {
        // The first position stands for the beginning.
        ends.advance(&shard.id, end(shared, staged, &shard.id, None).await?.unwrap_or_default());
    }
    Ok(ends)
}

async fn end(shared: &Shared, of: &dyn Stream, shard: &ShardId, known: Option<Position>) -> Result<Option<Position>> {
    shared.retry.until_done(|| async { of.tail_from(shard, known).await }).await
}

/// Behind what of a shard of the staged stream a run may have to read again what was forwarded; none where no run has to.
///
/// # Errors
///
/// What keeps the stream or the checkpoints from being read.
pub(crate) async fn needed(shared: &Shared, of_staged: &ShardId) -> Result<Option<Position>> {
    let (raw, repo) = (shared.source(Stage::Raw), &*shared.parts.repo);
    let mut needed: Option<Position> = None;
    for shard in raw.shards().await? {
        let subject = checkpoint::subject(&shared.options.name, Stage::Raw.as_str(), "stage", &shard.id)?;
        let checkpoint = Checkpoint::read(repo, subject).await?;
        let Some(last) = checkpoint.forwarded.as_ref().and_then(|forwarded| forwarded.last(of_staged)) else {
            continue;
        };
        // What is settled is not given again.
        let is_settled =
            || async { Ok::<_, Error>(raw.tail_from(&shard.id, checkpoint.position).await? <= checkpoint.position) };
        if !checkpoint.is_finished && !is_settled().await? {
            needed = Some(needed.map_or(last, |needed| needed.min(last)));
        }
    }
    Ok(needed)
}

impl Earlier {
    /// What was forwarded of `shard` of the raw stream behind `checkpoint`: nothing after a stop in good order.
    ///
    /// # Errors
    ///
    /// What keeps the streams from being read.
    pub(crate) async fn read(shared: &Shared, shard: &ShardId, checkpoint: &Checkpoint) -> Result<Self> {
        let to = end(shared, &**shared.source(Stage::Raw), shard, checkpoint.position).await?;
        let mut earlier = Self { to, ..Self::default() };
        let Some(forwarded) = checkpoint.forwarded.as_ref().filter(|_| to > checkpoint.position) else {
            return Ok(earlier);
        };
        let staged = &*shared.parts.staged;
        for of_staged in shared.retry.until_done(|| async { staged.shards().await }).await? {
            let last = forwarded.last(&of_staged.id);
            let has_taken_over = of_staged.parents.iter().any(|parent| forwarded.last(parent).is_some());
            // A shard that is neither has the records of other shards.
            if last.is_some() || has_taken_over {
                let after = last.filter(|last| *last > Position::default());
                earlier.read_staged(shared, &of_staged.id, after).await?;
            }
        }
        Ok(earlier)
    }

    async fn read_staged(&mut self, shared: &Shared, shard: &ShardId, after: Option<Position>) -> Result<()> {
        let staged = &*shared.parts.staged;
        let Some(end) = end(shared, staged, shard, after).await? else { return Ok(()) };
        let mut at = after;
        while at.is_none_or(|at| at < end) {
            let mut deliveries = staged.read(shard, at.map_or(ReadFrom::Start, ReadFrom::After));
            while at.is_none_or(|at| at < end) {
                let next = tokio::select! {
                    next = deliveries.next() => next,
                    // All of it was trimmed.
                    () = shared.parts.clock.sleep(QUIET) => None,
                };
                match next {
                    Some(Ok(batch)) => {
                        batch.iter().for_each(|delivery| self.add(delivery));
                        at = batch.last().map(|last| last.position).or(at);
                    }
                    Some(Err(error)) => match damaged(&error) {
                        Some((_, last)) => {
                            at = Some(last);
                            break;
                        }
                        None => return unreadable(shard, error),
                    },
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, delivery: &Delivery) {
        let Ok(entry) = payload::read(&delivery.payload) else { return };
        if !self.entries.contains_key(&delivery.tenant) {
            self.entries.insert(delivery.tenant.clone(), HashMap::default());
        }
        if let Some(entries) = self.entries.get_mut(&delivery.tenant) {
            *entries.entry((entry.arrived_at, entry.id)).or_default() += 1;
        }
    }

    /// Whether nothing was forwarded that is given again.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether an event was forwarded that arrived then and whose id is one of `ids`; that answers for one event.
    pub(crate) fn has(&mut self, tenant: &TenantId, arrived_at: Timestamp, ids: &[EventId]) -> bool {
        let Some(entries) = self.entries.get_mut(tenant) else { return false };
        for id in ids {
            if let Some(count) = entries.get_mut(&(arrived_at, *id)).filter(|count| **count > 0) {
                *count -= 1;
                return true;
            }
        }
        false
    }

    /// Everything up to `position` was given: nothing is remembered beyond what is given again.
    pub(crate) fn passed(&mut self, position: Position) {
        if self.to.is_none_or(|to| to <= position) {
            self.entries.clear();
        }
    }
}

/// What is gone from the staged stream is in the archive and in the rows: only its events' readings may differ.
fn unreadable(shard: &ShardId, error: Error) -> Result<()> {
    if error.kind() == fineo_core::ErrorKind::NotFound {
        tracing::warn!(%error, %shard, "what was forwarded before cannot be told any more");
        return Ok(());
    }
    Err(error)
}
