//! The cut: archives what a stage received since the last one, makes its effects durable, moves the checkpoint.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use fineo_core::{
    Cover, Error, Position, Result, ShardId, Timestamp,
    archive::{Created, SegmentKind, Stage},
    stream::Delivery,
};

use super::{
    checkpoint::{self, Checkpoint},
    earlier,
    lease::Lease,
    parts::Shared,
    work::Passed,
};
use crate::{
    archive::{Received, Segment, encode_errors},
    errors::{ErrorClass, ErrorRow},
};

/// What was passed on since the last cut.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) received: Received,
    pub(crate) errors: Vec<ErrorRow>,
    pub(crate) records: BTreeMap<String, Arc<str>>,
    pub(crate) bytes: usize,
    /// Where it went on in the staged stream.
    pub(crate) forwarded: Cover,
    /// Behind what of the staged stream everything stands that is forwarded later; nothing where that is not known.
    pub(crate) behind: Cover,
    /// Whether the shard ended behind it.
    pub(crate) is_finished: bool,
}

impl Pending {
    /// Nothing yet of `shard`, which `stage` reads.
    pub(crate) fn new(stage: Stage, shard: &ShardId) -> Self {
        Self {
            received: Received::new(stage, shard.clone()),
            errors: Vec::new(),
            records: BTreeMap::new(),
            bytes: 0,
            forwarded: Cover::default(),
            behind: Cover::default(),
            is_finished: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.received.is_empty() && !self.is_finished
    }

    /// Adds `batch`, of which `passed` came.
    ///
    /// # Errors
    ///
    /// When a delivery is none that an archive takes.
    pub(crate) fn add(&mut self, batch: &[Delivery], passed: Passed) -> Result<()> {
        self.bytes += batch.iter().map(|delivery| delivery.payload.len()).sum::<usize>();
        self.received.push(batch)?;
        self.forwarded.merge(&passed.forwarded);
        self.errors.extend(passed.errors);
        Ok(())
    }
}

/// The right to a shard and how far it was used.
#[derive(Debug)]
pub(crate) struct Ownership {
    pub(crate) stage: Stage,
    pub(crate) shard: ShardId,
    pub(crate) lease: Lease,
    pub(crate) checkpoint: Checkpoint,
    /// Checkpoints that are not trimmed yet, and when they were made.
    passed: VecDeque<(Timestamp, Position)>,
}

impl Ownership {
    pub(crate) fn new(stage: Stage, shard: ShardId, lease: Lease, checkpoint: Checkpoint) -> Self {
        Self { stage, shard, lease, checkpoint, passed: VecDeque::new() }
    }
}

/// Archives `pending` and moves the checkpoint behind it.
pub(crate) async fn cut(shared: Arc<Shared>, mut owned: Ownership, mut pending: Pending) -> Result<Ownership> {
    let position = pending.received.last();
    let is_finished = pending.is_finished;
    let (forwarded, behind) = (std::mem::take(&mut pending.forwarded), std::mem::take(&mut pending.behind));
    let (stage, shard) = (owned.stage, owned.shard.clone());
    let durable = make_durable(&shared, stage, &shard, owned.checkpoint.position, pending);
    keeping(&shared, &mut owned, durable).await?;
    let parts = &shared.parts;
    let position = position.max(owned.checkpoint.position);
    if let Some(noted) = owned.checkpoint.noted.as_mut().filter(|_| !forwarded.is_empty()) {
        // Only the shards that records go to by now: nobody reads the others again.
        noted.forwarded = forwarded;
    }
    owned.checkpoint.settle(&behind);
    owned
        .checkpoint
        .advance(&*parts.repo, &mut owned.lease, position, is_finished, &*parts.clock, &shared.retry)
        .await?;
    if let Some(position) = position {
        shared.progress.checkpointed(stage, &shard, position);
        owned.passed.push_back((parts.clock.now(), position));
        trim(&shared, &mut owned).await;
    }
    Ok(owned)
}

/// Archives `pending`, which stands behind `after`, once what the stage read and made is durable.
async fn make_durable(
    shared: &Shared,
    stage: Stage,
    shard: &ShardId,
    after: Option<Position>,
    pending: Pending,
) -> Result<()> {
    // First the source: what may still vanish from it must not be archived.
    sync_all(shared, stage).await?;
    for segment in encode(stage, shard.clone(), after, pending).await? {
        write(shared, segment).await?;
    }
    if stage == Stage::Staged {
        shared.retry.until_done(|| async { shared.parts.discovery.save(shard).await }).await?;
    }
    Ok(())
}

/// Does `work` and keeps the lease meanwhile.
pub(crate) async fn keeping(
    shared: &Shared,
    owned: &mut Ownership,
    work: impl Future<Output = Result<()>>,
) -> Result<()> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = shared.parts.clock.sleep(shared.tick()), if !shared.options.is_alone => renew(shared, owned).await?,
        }
    }
}

/// Makes what the stage read and what it made durable.
async fn sync_all(shared: &Shared, stage: Stage) -> Result<()> {
    let parts = &shared.parts;
    let source = shared.source(stage);
    shared.retry.until_done(|| async { source.sync().await.into_result() }).await?;
    if stage == Stage::Raw {
        shared.retry.until_done(|| async { parts.staged.sync().await.into_result() }).await?;
    }
    // Rows, and the error rows of both stages.
    shared.retry.until_done(|| async { parts.nearline.sync().await.into_result() }).await
}

/// Packs the segments off the runtime's threads.
async fn encode(stage: Stage, shard: ShardId, after: Option<Position>, pending: Pending) -> Result<Vec<Segment>> {
    let packed = tokio::task::spawn_blocking(move || {
        let mut segments = Vec::new();
        segments.extend(pending.received.finish(after, &pending.records)?);
        for (kind, class) in
            [(SegmentKind::Malformed, ErrorClass::Malformed), (SegmentKind::Commit, ErrorClass::Commit)]
        {
            let errors: Vec<&ErrorRow> = pending.errors.iter().filter(|error| error.class == class).collect();
            segments.extend(encode_errors(stage, &shard, kind, &errors)?);
        }
        Ok(segments)
    });
    packed.await.map_err(|source| Error::internal("packing a segment broke off").with_source(source))?
}

async fn write(shared: &Shared, segment: Segment) -> Result<()> {
    let Segment { name, bytes } = segment;
    let archive = &shared.parts.archive;
    let created = shared.retry.until_done(|| async { archive.write(&name, bytes.clone()).await.into_result() }).await?;
    match created {
        Created::New | Created::Same => Ok(()),
        Created::Conflict => {
            // The name says which positions are in it, and those never change: another build packed them.
            tracing::warn!(segment = name.path(), "the segment is there with other bytes, it was left alone");
            Ok(())
        }
    }
}

/// Lets go of what every consumer has passed long enough ago. A failure only delays it.
async fn trim(shared: &Shared, owned: &mut Ownership) {
    let Some(retention) = shared.options.retention else {
        owned.passed.clear();
        return;
    };
    let source = shared.source(owned.stage);
    if !source.capabilities().can_trim {
        owned.passed.clear();
        return;
    }
    let before = now_minus(shared.parts.clock.now(), retention);
    let mut due = None;
    while let Some((time, position)) = owned.passed.front().copied() {
        if time > before {
            break;
        }
        due = Some(position);
        owned.passed.pop_front();
    }
    let Some(due) = due else { return };
    let trimmed = trim_to(shared, owned.stage, &owned.shard, due).await;
    if let Err(error) = trimmed {
        tracing::warn!(%error, shard = %owned.shard, "a stream could not be trimmed");
    }
}

async fn trim_to(shared: &Shared, stage: Stage, shard: &ShardId, due: Position) -> Result<()> {
    let repo = &*shared.parts.repo;
    let lowest = checkpoint::lowest(repo, &shared.options.name, stage.as_str(), shard).await?;
    let Some(lowest) = lowest else { return Ok(()) };
    let needed = if stage == Stage::Staged { earlier::needed(shared, shard).await? } else { None };
    let through = needed.map_or(lowest, |needed| needed.min(lowest)).min(due);
    shared.source(stage).trim(shard, through).await.into_result()
}

fn now_minus(now: Timestamp, wait: Duration) -> Timestamp {
    now.plus_micros(-i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}

/// Renews the lease while there is nothing to cut.
pub(crate) async fn renew(shared: &Shared, owned: &mut Ownership) -> Result<()> {
    let parts = &shared.parts;
    let (position, is_finished) = (owned.checkpoint.position, owned.checkpoint.is_finished);
    owned.checkpoint.advance(&*parts.repo, &mut owned.lease, position, is_finished, &*parts.clock, &shared.retry).await
}
