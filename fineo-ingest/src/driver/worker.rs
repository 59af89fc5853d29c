//! One shard's loop: claim, read, pass on, cut.

mod claim;
mod cutting;

use std::{sync::Arc, time::Duration};

use fineo_core::{
    Error, ErrorKind, Position, Result, ShardId,
    archive::Stage,
    stream::{Delivery, ReadFrom, first_left},
};
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::watch;

use self::{
    claim::claim,
    cutting::{Cutting, begin_cut, finish, settle},
};
use super::{
    caught::caught,
    checkpoint::{self, Checkpoint},
    cut::{Ownership, Pending, keeping, renew},
    earlier::{self, Earlier},
    expired::note_expired,
    lease::Lease,
    loss::{Loss, damaged, note_loss},
    parts::Shared,
    work::Work,
};

/// How long a stop waits for what is under way to be archived. What is not is passed on again after the next start.
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// When a shard is quiet while others of this process forward so many entries, its checkpoint notes that.
const ENTRIES_BEHIND_MAX: u64 = 10_000;
/// So often a stage may fail after it was told to stop.
const FAILURES_AT_STOP_MAX: u32 = 8;

/// How a worker ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was told to stop.
    Stopped,
    /// The shard will never have more.
    Finished,
}

/// Why the loop over deliveries ended.
enum Left {
    Stopped,
    Finished,
    /// What was to be read next is gone.
    Trimmed(Error),
    /// What was to be read next is damaged, up to this position.
    Damaged(Error, Position),
}

/// Works on a shard until it ends or `stop` says so, beginning again after failures.
pub(crate) async fn run(
    shared: Arc<Shared>,
    stage: Stage,
    shard: ShardId,
    mut stop: watch::Receiver<bool>,
) -> (ShardId, Stage, Ended) {
    let mut overdue = std::pin::pin!(overdue(&shared, stop.clone()));
    let (mut failures_at_stop, mut may_be_gone) = (0, false);
    loop {
        let worker = Worker { shared: &shared, stage, shard: &shard, stop: stop.clone(), again_to: None, noted: 0 };
        let ended = tokio::select! {
            ended = caught(worker.begin(may_be_gone)) => ended,
            () = &mut overdue => {
                tracing::warn!(%stage, %shard, "a stop was not waited for any longer: the next start does the rest again");
                return (shard, stage, Ended::Stopped);
            }
        };
        let error = match ended {
            Ok(ended) => return (shard, stage, ended),
            Err(error) => error,
        };
        may_be_gone = error.kind() == ErrorKind::NotFound;
        tracing::error!(%error, %stage, %shard, "the stage failed and begins again at its checkpoint");
        shared.progress.failed(stage, &shard, Some(error));
        let has_stopped = *stop.borrow();
        tokio::select! {
            () = shared.parts.clock.sleep(shared.options.restart_after) => {}
            () = stopped(&mut stop), if !has_stopped => {}
        }
        failures_at_stop += u32::from(has_stopped);
        // What was passed on before the failure is archived before a stop, if that can be.
        let is_settled = shared.progress.unsettled(stage, &shard).is_none();
        if *stop.borrow() && (is_settled || failures_at_stop >= FAILURES_AT_STOP_MAX) {
            return (shard, stage, Ended::Stopped);
        }
    }
}

/// Completes when the pipeline is told to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the pipeline is gone, which is the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Completes when a stop takes too long: a store may be gone for good.
async fn overdue(shared: &Shared, mut stop: watch::Receiver<bool>) {
    stopped(&mut stop).await;
    shared.parts.clock.sleep(STOP_WITHIN).await;
}

struct Worker<'a> {
    shared: &'a Arc<Shared>,
    stage: Stage,
    shard: &'a ShardId,
    stop: watch::Receiver<bool>,
    /// Up to where an earlier run had passed on what it could not archive: this one does it again before it stops.
    again_to: Option<Position>,
    /// How many entries this process had forwarded when the checkpoint noted that.
    noted: u64,
}

impl Worker<'_> {
    async fn begin(self, may_be_gone: bool) -> Result<Ended> {
        if may_be_gone {
            let shards = self.shared.source(self.stage).shards().await?;
            if shards.iter().all(|shard| shard.id != *self.shard) {
                note_expired(self.shared, self.stage, &shards).await?;
                self.shared.progress.gone(self.stage, self.shard);
                return Ok(Ended::Finished);
            }
        }
        self.once().await
    }

    async fn once(mut self) -> Result<Ended> {
        let shared = self.shared;
        let claimed = claim(shared, self.stage, self.shard, &mut self.stop).await?;
        let Some(lease) = claimed else { return Ok(Ended::Stopped) };
        if !shared.options.is_alone {
            shared.progress.holds(self.stage, self.shard, lease.held(&shared.parts.clock));
        }
        let subject = checkpoint::subject(&shared.options.name, self.stage.as_str(), "stage", self.shard)?;
        let mut checkpoint = Checkpoint::read(&*shared.parts.repo, subject).await?;
        checkpoint.is_finished = checkpoint.is_finished && !self.is_open().await?;
        if checkpoint.is_finished {
            self.release(lease).await;
            return Ok(Ended::Finished);
        }
        let mut from = checkpoint.position;
        if let Some(position) = from {
            shared.progress.passed(self.stage, self.shard, position, &fineo_core::Cover::default());
        }
        self.again_to = shared.progress.unsettled(self.stage, self.shard).filter(|position| Some(*position) > from);
        let mut owned = Ownership::new(self.stage, self.shard.clone(), lease, checkpoint);
        // Registers this consumer, and fences whoever held the lease before.
        renew(shared, &mut owned).await?;
        let mut work = Work::new(self.stage, shared, self.shard);
        if self.stage == Stage::Staged {
            keeping(shared, &mut owned, self.note_before(from)).await?;
        }
        if let Work::Raw(raw) = &mut work {
            let Some(earlier) = self.earlier(&mut owned).await? else {
                self.release(owned.lease).await;
                return Ok(Ended::Stopped);
            };
            raw.leave_out(earlier);
            if !shared.options.is_alone {
                raw.hold(owned.lease.held(&shared.parts.clock));
            }
        }
        let mut read_from = from.map_or(ReadFrom::Start, ReadFrom::After);
        loop {
            let deliveries = shared.source(self.stage).read(self.shard, read_from);
            let (left, still_owned) = self.consume(deliveries, owned, &mut work).await?;
            owned = still_owned;
            match left {
                Left::Stopped => {
                    self.release(owned.lease).await;
                    return Ok(Ended::Stopped);
                }
                Left::Finished => {
                    self.release(owned.lease).await;
                    return Ok(Ended::Finished);
                }
                Left::Trimmed(error) => {
                    self.again_to = None;
                    from = owned.checkpoint.position;
                    self.note_trimmed(from, &error).await?;
                    read_from = ReadFrom::Start;
                }
                Left::Damaged(error, last) => {
                    self.note_damaged(&error).await?;
                    self.passed(last, &fineo_core::Cover::default());
                    read_from = ReadFrom::After(last);
                }
            }
        }
    }

    /// What is in the shard of the staged stream behind `from` may be rows already, of whoever had it before.
    async fn note_before(&self, from: Option<Position>) -> Result<()> {
        let tail = self.shared.parts.staged.tail_from(self.shard, from).await?;
        let before = tail.map(|tail| (self.shard.clone(), tail)).into_iter().collect();
        self.shared.progress.forwarded_before(&before);
        Ok(())
    }

    /// Whether the shard takes entries: one that ended may begin again in a directory that is opened with more of them.
    async fn is_open(&self) -> Result<bool> {
        let shards = self.shared.source(self.stage).shards().await?;
        Ok(shards.iter().any(|shard| shard.id == *self.shard && !shard.is_closed))
    }

    /// What an earlier run forwarded, while the lease is kept; none when the pipeline stops before that is known.
    async fn earlier(&mut self, owned: &mut Ownership) -> Result<Option<Earlier>> {
        let (shared, shard, checkpoint) = (self.shared, self.shard, owned.checkpoint.clone());
        let mut reading = std::pin::pin!(Earlier::begin(shared, shard, &checkpoint));
        let mut timer = shared.parts.clock.sleep(shared.tick());
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut self.stop), if self.again_to.is_none() => return Ok(None),
                read = &mut reading => {
                    let (noted, earlier) = read?;
                    if noted.is_some() {
                        owned.checkpoint.noted = noted;
                        renew(shared, owned).await?;
                    }
                    return Ok(Some(earlier));
                }
                () = &mut timer => {
                    timer = shared.parts.clock.sleep(shared.tick());
                    if !shared.options.is_alone {
                        renew(shared, owned).await?;
                    }
                }
            }
        }
    }

    async fn release(&self, lease: Lease) {
        let parts = &self.shared.parts;
        if let Err(error) = lease.release(&*parts.repo, parts.clock.now()).await {
            tracing::warn!(%error, shard = %self.shard, "a lease could not be given back, it will run out");
        }
    }

    /// Passes deliveries on until there are no more or the pipeline stops; everything passed is then checkpointed.
    async fn consume(
        &mut self,
        mut deliveries: BoxStream<'static, Result<Vec<Delivery>>>,
        owned: Ownership,
        work: &mut Work,
    ) -> Result<(Left, Ownership)> {
        let shared = self.shared;
        let mut pending = Pending::new(self.stage, self.shard);
        let mut cutting = Cutting::Idle(owned);
        let clock = &shared.parts.clock;
        let cut_after = i64::try_from(shared.options.cut_after.as_micros()).unwrap_or(i64::MAX);
        let mut cut_at = clock.now().plus_micros(cut_after);
        let mut timer = clock.sleep(shared.tick());
        let left = loop {
            tokio::select! {
                biased;
                () = stopped(&mut self.stop), if self.again_to.is_none() => break Left::Stopped,
                owned = finish(&mut cutting) => cutting = Cutting::Idle(owned?),
                () = &mut timer => {
                    let now = clock.now();
                    let is_due = now >= cut_at;
                    if is_due {
                        cut_at = now.plus_micros(cut_after);
                    }
                    timer = clock.sleep(shared.tick());
                    cutting = self.tick_over(cutting, is_due, &mut pending, work).await?;
                }
                batch = deliveries.next() => match batch {
                    None => {
                        pending.is_finished = true;
                        break Left::Finished;
                    }
                    Some(Err(error)) => match damaged(&error) {
                        Some((_, last)) => break Left::Damaged(error, last),
                        None if first_left(&error).is_some() => break Left::Trimmed(error),
                        None => return Err(error),
                    },
                    Some(Ok(batch)) => {
                        if !self.pass(work, batch, &mut pending, &mut cutting).await? {
                            break Left::Stopped;
                        }
                        if pending.bytes >= shared.options.cut_bytes {
                            cutting = begin_cut(shared, cutting, &mut pending, work).await?;
                        }
                    }
                },
            }
        };
        let owned = settle(shared, cutting, &mut pending, work).await?;
        Ok((left, owned))
    }

    /// Cuts what is due; renews the lease when nothing is.
    async fn tick_over(
        &mut self,
        cutting: Cutting,
        is_due: bool,
        pending: &mut Pending,
        work: &mut Work,
    ) -> Result<Cutting> {
        match cutting {
            Cutting::Busy(busy) => Ok(Cutting::Busy(busy)),
            Cutting::Idle(owned) if is_due && !pending.is_empty() => {
                begin_cut(self.shared, Cutting::Idle(owned), pending, work).await
            }
            Cutting::Idle(mut owned) => {
                let is_quiet = pending.is_empty() && self.stage == Stage::Raw && work.leaves_out_nothing();
                let has_noted = is_quiet && self.note_forwarded(&mut owned, is_due).await?;
                // Nobody else can take a lease from the only worker, so the repository is left in peace.
                if has_noted || !self.shared.options.is_alone {
                    renew(self.shared, &mut owned).await?;
                }
                Ok(Cutting::Idle(owned))
            }
        }
    }

    /// Takes in what others forwarded while this shard is quiet, so that nobody has to read it again; whether that is much.
    async fn note_forwarded(&mut self, owned: &mut Ownership, is_due: bool) -> Result<bool> {
        let shared = self.shared;
        if let Some(noted) = owned.checkpoint.noted.as_ref().filter(|_| is_due && !shared.options.is_alone) {
            let settled = earlier::settled(shared, noted).await?;
            owned.checkpoint.settle(&settled);
        }
        owned.checkpoint.settle(&shared.progress.forwarded());
        let entries = shared.progress.entries();
        let is_much = entries - self.noted >= ENTRIES_BEHIND_MAX;
        if is_much {
            self.noted = entries;
        }
        Ok(is_much)
    }

    /// Passes one batch on; false when the pipeline stopped before that was done.
    async fn pass(
        &mut self,
        work: &mut Work,
        batch: Vec<Delivery>,
        pending: &mut Pending,
        cutting: &mut Cutting,
    ) -> Result<bool> {
        let Some(last) = batch.last().map(|delivery| delivery.position) else { return Ok(true) };
        let mut passing = std::pin::pin!(work.pass(&batch));
        let mut timer = self.shared.parts.clock.sleep(self.shared.tick());
        let passed = loop {
            tokio::select! {
                // What is passed twice is there once, so a batch may be left in the middle.
                biased;
                passed = &mut passing => break passed?,
                // The cut may hold what the batch waits for, such as a store's lock: both go on, or neither would.
                owned = finish(cutting) => *cutting = Cutting::Idle(owned?),
                () = stopped(&mut self.stop), if self.again_to.is_none() => return Ok(false),
                () = &mut timer, if !self.shared.options.is_alone => {
                    timer = self.shared.parts.clock.sleep(self.shared.tick());
                    if let Cutting::Idle(owned) = cutting {
                        renew(self.shared, owned).await?;
                    }
                }
            }
        };
        self.passed(last, &passed.forwarded);
        pending.add(&batch, passed)?;
        Ok(true)
    }

    /// Everything up to `position` is passed on.
    fn passed(&mut self, position: Position, forwarded: &fineo_core::Cover) {
        self.shared.progress.passed(self.stage, self.shard, position, forwarded);
        self.again_to = self.again_to.filter(|to| position < *to);
    }

    /// Keeps the record of entries that were gone before they were read.
    async fn note_trimmed(&self, after: Option<Position>, error: &Error) -> Result<()> {
        tracing::error!(%error, stage = %self.stage, shard = %self.shard, "entries were gone before they were read");
        let first = first_left(error).map(|first| first.to_string());
        self.note(Loss::trimmed(self.shard, after, first.as_deref())).await
    }

    /// Keeps the record of entries that cannot be read any more; what lies behind them goes on.
    async fn note_damaged(&self, error: &Error) -> Result<()> {
        tracing::error!(%error, stage = %self.stage, shard = %self.shard, "entries are damaged and passed over");
        let reason = format!("damaged: {error}");
        self.note(Loss { shard: self.shard.as_str(), after: None, before: None, reason: &reason }).await
    }

    async fn note(&self, loss: Loss<'_>) -> Result<()> {
        note_loss(self.shared, &format!("{}/{}", self.stage, self.shard), &loss).await
    }
}
