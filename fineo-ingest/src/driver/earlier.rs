//! What an earlier run forwarded behind its checkpoint: given again, it goes no further, whatever the schema says by now.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use fineo_core::{
    ContentHash, Cover, Error, EventId, Position, Result, ShardId, Stream, TenantId, Timestamp,
    archive::Stage,
    stream::{Delivery, ReadFrom, Shard, first_left},
};
use fineo_schema::RecordLayout;
use foldhash::fast::RandomState;
use futures::StreamExt;

use super::{
    checkpoint::{self, Checkpoint},
    loss::damaged,
    parts::Shared,
    work::key_of,
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

/// What a checkpoint notes of the staged stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Behind what of its shards the records of later events are. The first position stands for the beginning.
    pub(crate) forwarded: Cover,
    /// How many of its shards were open then: when they are others, so may be those that records go to.
    pub(crate) shards: Option<usize>,
    /// The key of what is forwarded: another one may lead to another shard.
    pub(crate) key: Option<u64>,
}

impl Noted {
    /// What is to be noted before anything goes to `shards` under `key`, of which `before` may tell some; none where that is all
    /// noted.
    async fn now(shared: &Shared, shards: &[Shard], key: u64, before: Option<&Self>) -> Result<Option<Self>> {
        let open = shards.iter().filter(|shard| !shard.is_closed).count();
        if before.is_some_and(|before| before.shards == Some(open) && before.key == Some(key)) {
            return Ok(None);
        }
        let mut forwarded = before.map(|before| before.forwarded.clone()).unwrap_or_default();
        let known: HashSet<ShardId> = of_this(shards, &forwarded).into_iter().cloned().collect();
        for shard in shards.iter().filter(|shard| !known.contains(&shard.id)) {
            forwarded
                .advance(&shard.id, end(shared, &*shared.parts.staged, &shard.id, None).await?.unwrap_or_default());
        }
        Ok(Some(Self { forwarded, shards: Some(open), key: Some(key) }))
    }

    /// Behind what a shard of the staged stream may have what this tells of; none where it has nothing of it.
    fn behind(&self, shard: &ShardId, shards: &[Shard]) -> Option<Position> {
        let took_over = || of_this(shards, &self.forwarded).contains(shard);
        self.forwarded.last(shard).or_else(|| took_over().then(Position::default))
    }
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
    let shards = shared.parts.staged.shards().await?;
    let mut needed: Option<Position> = None;
    for shard in raw.shards().await? {
        let subject = checkpoint::subject(&shared.options.name, Stage::Raw.as_str(), "stage", &shard.id)?;
        let checkpoint = Checkpoint::read(repo, subject).await?;
        let Some(last) = checkpoint.noted.as_ref().and_then(|noted| noted.behind(of_staged, &shards)) else {
            continue;
        };
        // What is settled is not given again.
        if !checkpoint.is_finished && raw.tail_from(&shard.id, checkpoint.position).await? > checkpoint.position {
            needed = Some(needed.map_or(last, |needed| needed.min(last)));
        }
    }
    Ok(needed)
}

/// What stage staged has settled, by whichever process, of the shards that a quiet shard's checkpoint notes: it is there, and
/// nothing of the quiet one comes before it any more.
///
/// # Errors
///
/// What keeps the checkpoints from being read.
pub(crate) async fn settled(shared: &Shared, noted: &Noted) -> Result<Cover> {
    let (parts, name) = (&shared.parts, &shared.options.name);
    let mut settled = Cover::default();
    for (shard, _) in noted.forwarded.iter() {
        let subject = checkpoint::subject(name, Stage::Staged.as_str(), "stage", shard)?;
        let read = || async { Checkpoint::read(&*parts.repo, subject.clone()).await };
        if let Some(position) = shared.retry.until_done(read).await?.position {
            settled.advance(shard, position);
        }
    }
    Ok(settled)
}

impl Earlier {
    /// What is known of `shard` of the raw stream behind `checkpoint`, and what is to be noted before anything is forwarded.
    ///
    /// # Errors
    ///
    /// What keeps the streams from being read.
    pub(crate) async fn begin(
        shared: &Shared,
        shard: &ShardId,
        checkpoint: &Checkpoint,
    ) -> Result<(Option<Noted>, Self)> {
        let staged = &*shared.parts.staged;
        let shards = shared.retry.until_done(|| async { staged.shards().await }).await?;
        let noted = checkpoint.noted.as_ref();
        let earlier = match noted {
            Some(noted) => Self::read(shared, shard, checkpoint.position, noted, &shards).await?,
            None => Self::default(),
        };
        Ok((Noted::now(shared, &shards, key_of(shard), noted).await?, earlier))
    }

    /// What was forwarded of `shard` of the raw stream behind `position`. Whoever waits for events that are left out waits for
    /// all of it.
    async fn read(
        shared: &Shared,
        shard: &ShardId,
        position: Option<Position>,
        noted: &Noted,
        shards: &[Shard],
    ) -> Result<Self> {
        let to = end(shared, &**shared.source(Stage::Raw), shard, position).await?;
        let mut earlier = Self { to, ..Self::default() };
        if to <= position {
            return Ok(earlier);
        }
        for of_staged in of_this(shards, &noted.forwarded) {
            let after = noted.forwarded.last(of_staged).unwrap_or_default();
            let known = Some(after).filter(|after| *after > Position::default());
            if let Some(end) = end(shared, &*shared.parts.staged, of_staged, known).await? {
                earlier.read_staged(shared, of_staged, after, end).await?;
                earlier.ends.advance(of_staged, end);
            }
        }
        shared.progress.forwarded_too(&earlier.ends);
        Ok(earlier)
    }

    /// Reads a shard of the staged stream from behind `at` to its `end`.
    async fn read_staged(&mut self, shared: &Shared, shard: &ShardId, mut at: Position, end: Position) -> Result<()> {
        // The first position is asked for, too: a stream tells what it trimmed, and from its start on it may wait.
        let mut from = ReadFrom::After(at);
        while at < end {
            let mut deliveries = shared.parts.staged.read(shard, from);
            while at < end {
                let next = tokio::select! {
                    next = deliveries.next() => next,
                    () = shared.parts.clock.sleep(QUIET) => match at {
                        // All of it was trimmed, by a stream that does not tell of its beginning.
                        Position::ZERO => None,
                        at => {
                            let error = Error::unavailable("what was forwarded before cannot be read yet");
                            return Err(error.with("shard", shard).with("after", at).with("to", end));
                        }
                    },
                };
                match next {
                    Some(Ok(batch)) => {
                        batch.iter().for_each(|delivery| self.add(delivery));
                        at = batch.last().map_or(at, |last| last.position);
                    }
                    Some(Err(error)) => {
                        (at, from) = match (damaged(&error), first_left(&error)) {
                            (Some((_, last)), _) => (last, ReadFrom::After(last)),
                            // What was trimmed is settled; what is left may not be.
                            (None, Some(first)) if first > end => return Ok(()),
                            (None, Some(_)) => (Position::ZERO, ReadFrom::Start),
                            (None, None) => return Err(error),
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

#[cfg(test)]
mod tests;
