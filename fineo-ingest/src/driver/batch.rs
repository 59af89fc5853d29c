//! Carries a stage over batches that somebody else read from a shard, such as an event-source mapping of AWS Lambda.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fineo_core::{Cover, Error, ErrorKind, Position, Result, ShardId, archive::Stage, stream::Delivery};
use fineo_schema::Discovery;

use super::{
    checkpoint::{self, Checkpoint},
    cut::{Ownership, Pending, cut},
    expired::settle_parents,
    lease::{self, Claim, Claimed, Lease},
    loss::{Loss, note_loss},
    parts::{PipelineOptions, PipelineParts, Shared},
    progress::Progress,
    work::Work,
};
use crate::{Counters, pipeline::Looks, retry::Retry};

/// So many deliveries are passed on together: what fails holds back no more than these and those behind them.
const CHUNK_MAX: usize = 500;
/// More shards than this are not remembered.
const SHARDS_MAX: usize = 64;
/// Whose the leases are, unless the options say another name: all batch drivers are one owner, so that the next batch
/// need not wait for the lease of an invocation that broke off.
const OWNER: &str = "batches";

/// What became of a batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchReport {
    /// How many of its deliveries, from the first on, are passed on, archived and checkpointed.
    pub done: usize,
    /// How many of those were so before this call.
    pub redelivered: usize,
    /// Why the others are not; they are to be delivered again.
    pub failure: Option<Error>,
}

/// Runs one stage over batches of deliveries, with the effects of a [`Pipeline`](crate::Pipeline)'s worker and under the
/// same leases and checkpoints, so that both may take turns on one shard.
///
/// # Guarantees
///
/// 1. **Exactly once.** What a report says is done has its effects once, is archived, and lies behind the shard's
///    checkpoint. Passing a batch again, whole, in halves or after any failure, changes nothing.
/// 2. **Prefixes.** What is done is a prefix of the batch. A failure of ours never makes a rejection: it is reported, and
///    holds back what stands behind it.
/// 3. **In time.** A call answers within its time. Dropped at any moment, it leaves nothing that passing the batch again
///    does not finish.
/// 4. **Fencing.** Of two calls for one shard at the same time the later one has the shard. The other may repeat its
///    effects, which changes nothing, but moves no checkpoint: it fails.
///
/// The caller owes every delivery of a shard, in order, and those of a shard's parents before: what lies at or before the
/// checkpoint counts as done. What was trimmed between that and a batch is a loss, and so are parents that are gone unread.
pub struct BatchDriver {
    parts: PipelineParts,
    options: PipelineOptions,
    stage: Stage,
    owner: String,
    counters: Arc<Counters>,
    kept: Mutex<HashMap<ShardId, Kept>>,
}

/// What is known of a shard while nobody else works on it.
struct Kept {
    shared: Arc<Shared>,
    work: Work,
    /// The epoch of the lease under which the last batch was finished.
    epoch: u64,
}

impl BatchDriver {
    /// Carries `stage` over `parts`.
    pub fn new(parts: PipelineParts, options: PipelineOptions, stage: Stage) -> Self {
        let owner = options.owner.clone().unwrap_or_else(|| OWNER.to_owned());
        // Whoever delivers may do so to other processes, too.
        let options = options.with_is_alone(false);
        Self { parts, options, stage, owner, counters: Arc::default(), kept: Mutex::default() }
    }

    /// What became of events since the start.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Passes `batch` on, the next deliveries of `shard` in order of positions, and answers within `within`.
    pub async fn pass(&self, shard: &ShardId, batch: &[Delivery], within: Duration) -> BatchReport {
        // What is cut short by the end of the time is whole up to some chunk, if the cut has time of its own.
        let (pass_within, cut_within) = (within / 4 * 3, within / 16 * 3);
        let begun = self.parts.clock.now();
        let mut turn = match self.timed(pass_within, self.begin(shard, batch, within)).await {
            Ok(turn) => turn,
            Err(error) => return BatchReport { done: 0, redelivered: 0, failure: Some(error) },
        };
        let redelivered = turn.redelivered;
        let spent = u64::try_from(self.parts.clock.now().micros() - begun.micros()).unwrap_or(0);
        let left = pass_within.saturating_sub(Duration::from_micros(spent));
        let mut failure = self.timed(left, turn.pass_on(batch)).await.err();
        let passed = turn.passed;
        let done = match self.timed(cut_within, self.finish(turn, failure.is_none())).await {
            Ok(()) => passed,
            Err(error) => {
                failure = Some(error);
                redelivered
            }
        };
        BatchReport { done, redelivered, failure }
    }

    /// Keeps the record of an entry of `shard` that is none: something else writes to the stream. It is passed over.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn pass_over(&self, shard: &ShardId, position: Position, reason: &str) -> Result<()> {
        let shared = self.shared();
        let before = position.to_string();
        let loss = Loss { shard: shard.as_str(), after: None, before: Some(&before), reason };
        note_loss(&shared, &format!("{}/{shard}", self.stage), &loss).await
    }

    async fn timed<T>(&self, within: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.parts.clock.sleep(within) => {
                let error = Error::unavailable("the time of the batch is up").with("stage", self.stage);
                Err(error.with("hint", "a store is slow: look at it, or give the batch more time or fewer records"))
            }
        }
    }

    /// Takes the shard, and leaves out what is done.
    async fn begin(&self, shard: &ShardId, batch: &[Delivery], within: Duration) -> Result<Turn> {
        if !batch.is_sorted_by(|one, other| one.position < other.position) {
            return Err(Error::invalid("the deliveries of a batch are not in order").with("shard", shard));
        }
        let lease = self.claim(shard, within).await?;
        let subject = checkpoint::subject(&self.options.name, self.stage.as_str(), "stage", shard)?;
        let checkpoint = Checkpoint::read(&*self.parts.repo, subject).await?;
        let redelivered = match checkpoint.position {
            // A worker has read it to its end.
            _ if checkpoint.is_finished => batch.len(),
            position => batch.partition_point(|delivery| Some(delivery.position) <= position),
        };
        let kept = self.kept().remove(shard).filter(|kept| kept.epoch + 1 == lease.epoch());
        let (shared, work) = match kept {
            Some(kept) => (kept.shared, kept.work),
            // Somebody else had the shard, or we failed: this begins as a new process does.
            None => {
                let fresh = self.fresh(shard, batch);
                look_back(&fresh.0, self.stage, shard, &checkpoint, &batch[redelivered..]).await?;
                fresh
            }
        };
        let pending = Pending::new(self.stage, shard);
        let owned = Ownership::new(self.stage, shard.clone(), lease, checkpoint);
        Ok(Turn { shared, work, owned, pending, redelivered, passed: redelivered })
    }

    /// The lease of the shard, for as long as the call may take: it is not renewed on the way.
    async fn claim(&self, shard: &ShardId, within: Duration) -> Result<Lease> {
        let subject = lease::subject(&self.options.name, self.stage.as_str(), shard)?;
        let hold_for = self.options.lease_for.max(within);
        let claim = Claim { owner: &self.owner, hold_for, at_once: false };
        match Lease::claim(&*self.parts.repo, subject, claim, self.parts.clock.now()).await? {
            Claimed::Held(lease) => Ok(lease),
            Claimed::Taken(until) => {
                let error = Error::unavailable("another worker has the shard").with("stage", self.stage);
                Err(error.with("shard", shard).with("until", until))
            }
        }
    }

    fn fresh(&self, shard: &ShardId, batch: &[Delivery]) -> (Arc<Shared>, Work) {
        let shared = self.shared();
        // An attempt that broke off may have stored rows of this batch without saving that it counted their names.
        let mut before = Cover::default();
        if let Some(last) = batch.last() {
            before.advance(shard, last.position);
        }
        shared.progress.forwarded_before(&before);
        let work = Work::new(self.stage, &shared, shard);
        (shared, work)
    }

    fn shared(&self) -> Arc<Shared> {
        // One process at a time counts the names of a shard: what was counted here is forgotten with the shard.
        let discovery = Discovery::new(Arc::clone(&self.parts.repo), Arc::clone(&self.parts.clock));
        Arc::new(Shared {
            parts: PipelineParts { discovery, ..self.parts.clone() },
            options: self.options.clone(),
            owner: self.owner.clone(),
            counters: Arc::clone(&self.counters),
            progress: Progress::new(),
            looks: Looks::default(),
            retry: Retry::new(Arc::clone(&self.parts.clock), Arc::clone(&self.parts.entropy)),
        })
    }

    /// Archives what was passed on and moves the checkpoint.
    async fn finish(&self, mut turn: Turn, is_whole: bool) -> Result<()> {
        let (shard, epoch) = (turn.owned.shard.clone(), turn.owned.lease.epoch());
        if !turn.pending.is_empty() {
            turn.pending.records = turn.work.take_record_schemas();
            let cut = cut(Arc::clone(&turn.shared), turn.owned, turn.pending).await;
            cut.map_err(|error| match error.kind() {
                // To whoever delivers, that is one more reason to deliver again.
                ErrorKind::Cancelled => Error::unavailable("another call took the shard over")
                    .with("hint", "if that comes again and again, two of them deliver parts of the shard: one must do")
                    .with_source(error),
                _ => error,
            })?;
        }
        if is_whole {
            let mut kept = self.kept();
            if kept.len() >= SHARDS_MAX {
                kept.clear();
            }
            kept.insert(shard, Kept { shared: turn.shared, work: turn.work, epoch });
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<ShardId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes what was gone between the checkpoint of a shard and what was delivered next, or before the shard's first delivery.
async fn look_back(
    shared: &Shared,
    stage: Stage,
    shard: &ShardId,
    checkpoint: &Checkpoint,
    next: &[Delivery],
) -> Result<()> {
    let source = shared.source(stage);
    let Some(after) = checkpoint.position else {
        return settle_parents(shared, stage, shard, &source.shards().await?).await;
    };
    if next.is_empty() {
        return Ok(());
    }
    let first = match source.gap_behind(shard, after).await {
        Ok(Some(first)) => first,
        Ok(None) => return Ok(()),
        // What was delivered is the last of a shard that is gone by now.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    tracing::error!(%stage, %shard, %after, %first, "entries were gone before they were read");
    let first = first.to_string();
    note_loss(shared, &format!("{stage}/{shard}"), &Loss::trimmed(shard, Some(after), Some(&first))).await
}

/// One batch on its way.
struct Turn {
    shared: Arc<Shared>,
    work: Work,
    owned: Ownership,
    pending: Pending,
    redelivered: usize,
    /// How many deliveries are passed on, those redelivered among them.
    passed: usize,
}

impl Turn {
    /// Passes chunk after chunk on; what is left when it is dropped is whole chunks.
    async fn pass_on(&mut self, batch: &[Delivery]) -> Result<()> {
        while self.passed < batch.len() {
            let rest = &batch[self.passed..];
            let chunk = &rest[..rest.len().min(CHUNK_MAX)];
            let passed = self.work.pass(chunk).await?;
            self.pending.add(chunk, passed)?;
            self.passed += chunk.len();
        }
        Ok(())
    }
}

impl fmt::Debug for BatchDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchDriver").field("stage", &self.stage).field("parts", &self.parts).finish_non_exhaustive()
    }
}
