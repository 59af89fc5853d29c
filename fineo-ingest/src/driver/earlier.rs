//! What an earlier run forwarded behind its checkpoint: given again, it goes no further, whatever the schema says by now.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use fineo_core::{
    ContentHash, Cover, Error, ErrorKind, EventId, Position, Result, ShardId, Stream, TenantId, Timestamp,
    archive::Stage,
    stream::{Delivery, ReadFrom, Shard},
};
use fineo_schema::RecordLayout;
use foldhash::fast::RandomState;
use futures::StreamExt;

use super::{
    checkpoint::{self, Checkpoint},
    loss::damaged,
    parts::Shared,
};
use crate::stage::{payload, raw::Tells};

/// A stream that has an entry delivers it sooner.
const QUIET: Duration = Duration::from_secs(10);

/// The entries of the staged stream behind a checkpoint of stage raw, by what an event of the raw stream tells of them under any
/// schema.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// By tenant, how many there are of each: no two events of one request are one, nor are two of one key.
    entries: HashMap<TenantId, HashMap<Told, u32, RandomState>, RandomState>,
    /// Up to where events are given again.
    to: Option<Position>,
    /// Up to where the staged stream was read.
    ends: Cover,
}

/// The arrival of an event, what it says, and its id.
type Told = (Timestamp, ContentHash, EventId);

/// The ends of the staged stream's shards, to be read from when all of it that is forwarded later is wanted.
async fn ends(shared: &Shared) -> Result<Cover> {
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
        if !checkpoint.is_finished && raw.tail_from(&shard.id, checkpoint.position).await? > checkpoint.position {
            needed = Some(needed.map_or(last, |needed| needed.min(last)));
        }
    }
    Ok(needed)
}

impl Earlier {
    /// What is known of `shard` of the raw stream behind `checkpoint`, and where the staged stream ends if nobody noted that yet.
    ///
    /// # Errors
    ///
    /// What keeps the streams from being read.
    pub(crate) async fn begin(
        shared: &Shared,
        shard: &ShardId,
        checkpoint: &Checkpoint,
    ) -> Result<(Option<Cover>, Self)> {
        match &checkpoint.forwarded {
            Some(_) => Ok((None, Self::read(shared, shard, checkpoint).await?)),
            None => Ok((Some(ends(shared).await?), Self::default())),
        }
    }

    /// What was forwarded of `shard` of the raw stream behind `checkpoint`. Whoever waits for events that are left out waits for
    /// all of it.
    ///
    /// # Errors
    ///
    /// What keeps the streams from being read.
    async fn read(shared: &Shared, shard: &ShardId, checkpoint: &Checkpoint) -> Result<Self> {
        let raw = shared.source(Stage::Raw);
        let to = end(shared, &**raw, shard, checkpoint.position).await?;
        let mut earlier = Self { to, ..Self::default() };
        let Some(forwarded) = checkpoint.forwarded.as_ref().filter(|_| to > checkpoint.position) else {
            return Ok(earlier);
        };
        let staged = &*shared.parts.staged;
        let shards = shared.retry.until_done(|| async { staged.shards().await }).await?;
        for of_staged in of_this(&shards, forwarded) {
            let after = forwarded.last(of_staged).filter(|last| *last > Position::default());
            if let Some(end) = end(shared, staged, of_staged, after).await? {
                earlier.read_staged(shared, of_staged, after, end).await?;
                earlier.ends.advance(of_staged, end);
            }
        }
        shared.progress.forwarded_too(&earlier.ends);
        Ok(earlier)
    }

    /// Reads a shard of the staged stream from behind `at` to its `end`.
    async fn read_staged(
        &mut self,
        shared: &Shared,
        shard: &ShardId,
        mut at: Option<Position>,
        end: Position,
    ) -> Result<()> {
        while at.is_none_or(|at| at < end) {
            let from = at.map_or(ReadFrom::Start, ReadFrom::After);
            let mut deliveries = shared.parts.staged.read(shard, from);
            while at.is_none_or(|at| at < end) {
                let next = tokio::select! {
                    next = deliveries.next() => next,
                    () = shared.parts.clock.sleep(QUIET) => match at {
                        Some(at) => {
                            let error = Error::unavailable("what was forwarded before cannot be read yet");
                            return Err(error.with("shard", shard).with("after", at).with("to", end));
                        }
                        // All of it was trimmed.
                        None => None,
                    },
                };
                match next {
                    Some(Ok(batch)) => {
                        batch.iter().for_each(|delivery| self.add(delivery));
                        at = batch.last().map(|last| last.position).or(at);
                    }
                    Some(Err(error)) => {
                        at = match damaged(&error) {
                            Some((_, last)) => Some(last),
                            // What was trimmed is settled; what is left may not be.
                            None if error.kind() == ErrorKind::NotFound && at.is_some() => {
                                if first_left(&error).is_some_and(|first| first > end) {
                                    return Ok(());
                                }
                                None
                            }
                            None => return Err(error),
                        };
                        break;
                    }
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, delivery: &Delivery) {
        let Ok(entry) = payload::read(&delivery.payload) else { return };
        let Ok(head) = RecordLayout::read_head(entry.record, entry.id) else { return };
        if !self.entries.contains_key(&delivery.tenant) {
            self.entries.insert(delivery.tenant.clone(), HashMap::default());
        }
        if let Some(entries) = self.entries.get_mut(&delivery.tenant) {
            *entries.entry((entry.arrived_at, head.content, entry.id)).or_default() += 1;
        }
    }

    /// Whether nothing was forwarded that is given again.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.ends.is_empty()
    }

    /// Whether an event that tells so was forwarded; that answers for one event.
    pub(crate) fn has(&mut self, tenant: &TenantId, tells: &Tells) -> bool {
        let Some(entries) = self.entries.get_mut(tenant) else { return false };
        for content in tells.contents {
            for id in tells.ids.iter().copied().chain([EventId(content.0)]) {
                let told = (tells.arrived_at, content, id);
                if let Some(count) = entries.get_mut(&told).filter(|count| **count > 0) {
                    *count -= 1;
                    return true;
                }
            }
        }
        false
    }

    /// Everything up to `position` was given: nothing is remembered beyond what is given again. Answers where the staged stream
    /// has what was left out, once that is all.
    pub(crate) fn passed(&mut self, position: Position) -> Cover {
        match self.to.is_none_or(|to| to <= position) {
            true => std::mem::take(self).ends,
            false => Cover::default(),
        }
    }
}

/// The first position that is left of a shard, by the error that tells of trimmed ones.
fn first_left(error: &Error) -> Option<Position> {
    let found = error.context().iter().find(|(name, _)| *name == "first");
    found.and_then(|(_, text)| text.parse().ok())
}

/// The shards that hold what was forwarded behind `forwarded`, and those that took over from them. The others have the records of
/// other shards.
fn of_this<'a>(shards: &'a [Shard], forwarded: &Cover) -> HashSet<&'a ShardId> {
    let mut found: HashSet<&ShardId> = shards.iter().map(|shard| &shard.id).collect();
    found.retain(|shard| forwarded.last(shard).is_some());
    loop {
        let has_parent = |shard: &&Shard| {
            shard.parents.iter().any(|parent| found.contains(parent) || forwarded.last(parent).is_some())
        };
        let next: Vec<&ShardId> = shards.iter().filter(has_parent).map(|shard| &shard.id).collect();
        let before = found.len();
        found.extend(next);
        if found.len() == before {
            return found;
        }
    }
}
