//! How far each stage has come, for whoever waits for it.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use fineo_core::{Cover, Error, Position, ShardId, archive::Stage};
use tokio::sync::watch;

use super::lease::Held;

/// How far a pipeline has come.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    /// How many entries this process forwarded.
    entries: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// What stage raw has passed on.
    raw: Cover,
    /// What it made of that, in the staged stream.
    forwarded: Cover,
    /// What was in each shard of the staged stream before this process began to work on it.
    before: Cover,
    /// What stage staged has made visible.
    staged: Cover,
    backlog: Backlog,
    checkpoints: BTreeMap<(Stage, ShardId), Position>,
    failures: BTreeMap<(Stage, ShardId), Error>,
    /// The leases of this process, where others may take them.
    leases: BTreeMap<(Stage, ShardId), Held>,
}

/// What was in the raw stream when this process began, as far as a query may not see it yet.
#[derive(Debug, Default)]
enum Backlog {
    #[default]
    None,
    /// Stage raw must come so far.
    Raw(Cover),
    /// Stage staged must come so far.
    Staged(Cover),
}

impl State {
    fn note_backlog(&mut self) {
        if matches!(&self.backlog, Backlog::Raw(tails) if self.raw.includes(tails)) {
            self.backlog = Backlog::Staged(self.forwarded.clone());
        }
        if matches!(&self.backlog, Backlog::Staged(target) if self.staged.includes(target)) {
            self.backlog = Backlog::None;
        }
    }
}

/// Where the wait for a token stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Stage raw has not come so far.
    Raw,
    /// Stage staged must come so far.
    Staged(Cover),
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(0), entries: AtomicU64::new(0) }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        {
            let mut state = self.state();
            change(&mut state);
            state.note_backlog();
        }
        self.changed.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Everything of `stage` up to `position` is passed on; stage raw says where to.
    pub(crate) fn passed(&self, stage: Stage, shard: &ShardId, position: Position, forwarded: &Cover) {
        self.change(|state| match stage {
            Stage::Raw => {
                state.forwarded.merge(forwarded);
                state.raw.advance(shard, position);
            }
            Stage::Staged => state.staged.advance(shard, position),
        });
    }

    /// What was in the staged stream before this process began, or began to work on a shard of it.
    pub(crate) fn forwarded_before(&self, forwarded: &Cover) {
        self.change(|state| {
            state.forwarded.merge(forwarded);
            state.before.merge(forwarded);
        });
    }

    /// What is in the staged stream already of what is passed on next.
    pub(crate) fn forwarded_too(&self, forwarded: &Cover) {
        self.change(|state| state.forwarded.merge(forwarded));
    }

    /// Up to where the staged stream holds what was forwarded, as far as this process knows.
    pub(crate) fn forwarded(&self) -> Cover {
        self.state().forwarded.clone()
    }

    /// So many entries more went to the staged stream.
    pub(crate) fn forwarded_more(&self, entries: usize) {
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
    }

    /// How many entries this process forwarded.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// What is in the raw stream up to `tails` was there before this process began.
    pub(crate) fn begun_behind(&self, tails: Cover) {
        self.change(|state| state.backlog = Backlog::Raw(tails));
    }

    /// Whether a query sees all that was in the streams before this process began.
    pub(crate) fn has_caught_up(&self) -> bool {
        matches!(self.state().backlog, Backlog::None)
    }

    /// The last position of a staged shard before this process began to work on it.
    pub(crate) fn before(&self, shard: &ShardId) -> Option<Position> {
        self.state().before.last(shard)
    }

    pub(crate) fn checkpointed(&self, stage: Stage, shard: &ShardId, position: Position) {
        self.change(|state| {
            state.checkpoints.insert((stage, shard.clone()), position);
            state.failures.remove(&(stage, shard.clone()));
        });
    }

    pub(crate) fn failed(&self, stage: Stage, shard: &ShardId, error: Option<Error>) {
        self.change(|state| {
            let key = (stage, shard.clone());
            match error {
                Some(error) => {
                    state.failures.insert(key, error);
                }
                None => {
                    state.failures.remove(&key);
                }
            }
        });
    }

    /// A shard is gone: what was never read of it is not waited for.
    pub(crate) fn gone(&self, stage: Stage, shard: &ShardId) {
        self.change(|state| {
            state.failures.remove(&(stage, shard.clone()));
            let awaited = match (stage, &state.backlog) {
                (Stage::Raw, Backlog::Raw(tails)) => tails.last(shard),
                (Stage::Raw, _) => None,
                (Stage::Staged, _) => state.forwarded.last(shard),
            };
            let passed = if stage == Stage::Raw { &mut state.raw } else { &mut state.staged };
            awaited.into_iter().for_each(|last| passed.advance(shard, last));
        });
    }

    /// What the wait for `token` is for next; `target` is what an earlier call answered. None when it is over.
    pub(crate) fn waiting(&self, token: &Cover, target: Option<&Cover>) -> Option<Waiting> {
        let state = self.state();
        let target = match target {
            Some(target) => target.clone(),
            None if !state.raw.includes(token) => return Some(Waiting::Raw),
            None => state.forwarded.clone(),
        };
        if state.staged.includes(&target) { None } else { Some(Waiting::Staged(target)) }
    }

    /// This process works on a shard while its lease is held.
    pub(crate) fn holds(&self, stage: Stage, shard: &ShardId, lease: Held) {
        self.state().leases.insert((stage, shard.clone()), lease);
    }

    /// Whether this process itself works on every shard that the wait for `token` and `target` is for.
    pub(crate) fn is_ours(&self, token: &Cover, target: Option<&Cover>) -> bool {
        let state = self.state();
        let (stage, awaited, passed) = match target {
            None => (Stage::Raw, token, &state.raw),
            Some(target) => (Stage::Staged, target, &state.staged),
        };
        let is_held =
            |shard: &ShardId| state.leases.get(&(stage, shard.clone())).is_some_and(|lease| lease.is_sure_now());
        awaited.iter().all(|(shard, position)| passed.contains(shard, position) || is_held(shard))
    }

    pub(crate) fn covers(&self) -> (Cover, Cover) {
        let state = self.state();
        (state.raw.clone(), state.staged.clone())
    }

    pub(crate) fn checkpoint(&self, stage: Stage, shard: &ShardId) -> Option<Position> {
        self.state().checkpoints.get(&(stage, shard.clone())).copied()
    }

    /// Up to where `stage` has passed on what no checkpoint covers yet.
    pub(crate) fn unsettled(&self, stage: Stage, shard: &ShardId) -> Option<Position> {
        let state = self.state();
        let passed = match stage {
            Stage::Raw => state.raw.last(shard),
            Stage::Staged => state.staged.last(shard),
        };
        passed.filter(|passed| state.checkpoints.get(&(stage, shard.clone())).is_none_or(|settled| settled < passed))
    }

    pub(crate) fn failure(&self, stage: Stage, shard: &ShardId) -> Option<Error> {
        self.state().failures.get(&(stage, shard.clone())).cloned()
    }
}
