//! The pipeline of one process: the edge and a worker per shard of each stage.

mod looks;
mod status;
mod supervise;

use std::{fmt, sync::Arc, time::Duration};

use fineo_core::{Cover, Error, ErrorKind, Position, Result, ShardId, archive::Stage};
use futures::{StreamExt, TryStreamExt};
use tokio::{sync::watch, task::JoinHandle};

pub(crate) use looks::Looks;
pub use status::{PipelineStatus, ShardStatus};
use supervise::supervise;

use crate::{
    Counters, Edge,
    driver::{
        checkpoint::{self, Checkpoint},
        parts::{PipelineOptions, PipelineParts, Shared},
        progress::{Progress, Waiting},
    },
    retry::Retry,
};

/// How often what a start must know is asked for: who opens an instance is told what keeps it, a stage tries for ever.
const START_TRIES_MAX: u32 = 5;
/// How many shards of a stream are asked for their last positions at a time.
const TAILS_AT_ONCE: usize = 16;
/// So often whoever waits looks how far other processes have come.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The running stages. Dropping it abandons what is under way, which a restart repeats; [`Pipeline::stop`] ends it
/// in order.
pub struct Pipeline {
    shared: Arc<Shared>,
    edge: Edge,
    stop: watch::Sender<bool>,
    supervisor: JoinHandle<()>,
}

/// Whether a wait begins anew when its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    WhileNearing,
}

impl Pipeline {
    /// Begins to work at the checkpoints.
    ///
    /// # Errors
    ///
    /// When a stream or the repository cannot be reached.
    pub async fn start(parts: PipelineParts, options: PipelineOptions) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let retry = Retry::new(Arc::clone(&parts.clock), Arc::clone(&parts.entropy));
        let owner = options.owner.clone().unwrap_or_else(|| {
            let id = u128::from_be_bytes(parts.entropy.id());
            format!("{id:032x}")
        });
        let edge = Edge::new(
            Arc::clone(&parts.raw),
            Arc::clone(&parts.clock),
            Arc::clone(&parts.entropy),
            options.limits,
            Arc::clone(&counters),
        );
        let shared = Arc::new(Shared {
            parts,
            options,
            owner,
            counters,
            progress: Progress::new(),
            looks: Looks::default(),
            retry,
        });
        note_tails(&shared).await?;
        let (stop, stopped) = watch::channel(false);
        let supervisor = match shared.options.runs_stages {
            true => tokio::spawn(supervise(Arc::clone(&shared), stopped)),
            false => tokio::spawn(std::future::ready(())),
        };
        Ok(Self { shared, edge, stop, supervisor })
    }

    /// Where events go in.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// What became of events since the start.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// What stage raw has passed on, and what stage staged has: positions of the raw and of the staged stream.
    pub fn applied(&self) -> (Cover, Cover) {
        self.shared.progress.covers()
    }

    /// How the pipeline works.
    pub fn options(&self) -> &PipelineOptions {
        &self.shared.options
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Completes once a query sees everything that `token` stands for: as rows, or as errors.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` when that is not so within `within`, with the stage's last failure as its source.
    pub async fn wait_until_queryable(&self, token: &Cover, within: Duration) -> Result<()> {
        self.wait(token, within, Patience::None).await
    }

    /// As [`Pipeline::wait_until_queryable`], for as long as the stages come nearer.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::wait_until_queryable`], when no shard that is waited for moves `within`.
    pub async fn wait_while_nearing(&self, token: &Cover, within: Duration) -> Result<()> {
        self.wait(token, within, Patience::WhileNearing).await
    }

    async fn wait(&self, token: &Cover, within: Duration, patience: Patience) -> Result<()> {
        let mut before = self.lagging(token, None);
        let mut changed = self.shared.progress.subscribe();
        let mut timeout = self.shared.parts.clock.sleep(within);
        let mut target: Option<Cover> = None;
        let mut look = Box::pin(self.look_for(token, None));
        loop {
            changed.mark_unchanged();
            match self.shared.progress.waiting(token, target.as_ref()) {
                None => return Ok(()),
                Some(Waiting::Raw) => {}
                Some(Waiting::Staged(cover)) => {
                    let is_new = target.as_ref() != Some(&cover);
                    target = Some(cover);
                    if is_new {
                        look = Box::pin(self.look_for(token, target.as_ref()));
                        continue;
                    }
                }
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = &mut look => look = Box::pin(self.look_for(token, target.as_ref())),
                () = &mut timeout => {
                    let now = self.lagging(token, target.as_ref());
                    if patience == Patience::None || before == now {
                        return Err(self.too_late(token, target.as_ref()));
                    }
                    before = now;
                    timeout = self.shared.parts.clock.sleep(within);
                }
            }
        }
    }

    /// A look for who waits for `token`, or for `target`; it can only come again where nobody else brings that.
    fn look_for(&self, token: &Cover, target: Option<&Cover>) -> impl Future<Output = ()> + use<'_> {
        let is_ours = self.shared.progress.is_ours(token, target);
        async move {
            match is_ours {
                true => self.shared.parts.clock.sleep(LOOK_EVERY).await,
                false => self.look_at_others().await,
            }
        }
    }

    /// The shards that a wait is for, and how far each is.
    fn lagging(&self, token: &Cover, target: Option<&Cover>) -> Vec<(ShardId, Option<Position>)> {
        let (raw, staged) = self.shared.progress.covers();
        let (wanted, reached) = target.map_or((token, raw), |target| (target, staged));
        let lagging = wanted.iter().filter(|(shard, last)| !reached.contains(shard, *last));
        lagging.map(|(shard, _)| (shard.clone(), reached.last(shard))).collect()
    }

    /// Takes in, a little later, how far other processes have come, by their checkpoints; never completes where there are
    /// no others.
    async fn look_at_others(&self) {
        if self.shared.options.is_alone {
            return std::future::pending().await;
        }
        let next = self.shared.looks.next();
        self.shared.parts.clock.sleep(LOOK_EVERY).await;
        self.look(next).await;
    }

    /// Looks how far other processes have come, where there may be any.
    pub async fn hear_of_others(&self) {
        if !self.shared.options.is_alone {
            self.look(self.shared.looks.next()).await;
        }
    }

    /// Has the look `number`, or a later one, made.
    async fn look(&self, number: u64) {
        if let Err(error) = self.shared.looks.made(number, note_others(&self.shared)).await {
            tracing::warn!(%error, "how far other processes have come cannot be told");
        }
    }

    /// Completes once stage staged has come to `forwarded`.
    pub(crate) async fn wait_until_staged(&self, forwarded: &Cover, within: Duration) -> Result<()> {
        let mut changed = self.shared.progress.subscribe();
        let mut timeout = self.shared.parts.clock.sleep(within);
        let mut look = Box::pin(self.look_for(forwarded, Some(forwarded)));
        loop {
            changed.mark_unchanged();
            if self.shared.progress.waiting(forwarded, Some(forwarded)).is_none() {
                return Ok(());
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = &mut look => look = Box::pin(self.look_for(forwarded, Some(forwarded))),
                () = &mut timeout => return Err(self.too_late(forwarded, Some(forwarded))),
            }
        }
    }

    fn too_late(&self, token: &Cover, target: Option<&Cover>) -> Error {
        let (stage, cover) = match target {
            None => (Stage::Raw, token),
            Some(target) => (Stage::Staged, target),
        };
        let error = Error::new(ErrorKind::LimitExceeded, "freshness_timeout: the events are not queryable yet")
            .with("stage", stage);
        let failure = cover.iter().find_map(|(shard, _)| self.shared.progress.failure(stage, shard));
        match failure {
            Some(failure) => error.with("because", failure.message()).with_source(failure),
            None => error,
        }
    }

    /// Waits until everything that is in the raw stream now is queryable.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::wait_until_queryable`], or when the stream cannot be reached.
    pub async fn drain(&self, within: Duration) -> Result<()> {
        let (passed, _) = self.shared.progress.covers();
        let tails = tails(&*self.shared.parts.raw, &passed).await?;
        self.wait_until_queryable(&tails, within).await
    }

    /// Drains the streams as long as the options allow, archives, checkpoints and ends. What was not drained is
    /// passed on after the next start.
    ///
    /// # Errors
    ///
    /// When a worker broke off; nothing accepted is lost by that.
    pub async fn stop(mut self) -> Result<()> {
        if let Err(error) = self.drain(self.shared.options.drain_for).await {
            tracing::warn!(%error, "the pipeline stops before its streams are drained");
        }
        self.stop.send_replace(true);
        let ended = (&mut self.supervisor).await;
        ended.map_err(|source| Error::internal("a worker of the pipeline broke off").with_source(source))
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// The last positions of every shard of a stream of which `known` are some.
async fn tails(stream: &dyn fineo_core::Stream, known: &Cover) -> Result<Cover> {
    // A service may have to search for each.
    let asked = stream.shards().await?.into_iter().map(|shard| async move {
        let tail = stream.tail_from(&shard.id, known.last(&shard.id)).await?;
        Result::Ok((shard.id, tail))
    });
    let mut found = futures::stream::iter(asked).buffer_unordered(TAILS_AT_ONCE);
    let mut cover = Cover::default();
    while let Some((shard, tail)) = found.try_next().await? {
        if let Some(position) = tail {
            cover.advance(&shard, position);
        }
    }
    Ok(cover)
}

/// What an earlier process forwarded is to be waited for too.
async fn note_tails(shared: &Shared) -> Result<()> {
    let retry = shared.retry.clone().with_tries_max(START_TRIES_MAX);
    let (mut settled, mut known, mut raw) = (Vec::new(), Cover::default(), Cover::default());
    for stage in Stage::ALL {
        let source = shared.source(stage);
        for shard in retry.until_done(|| async { source.shards().await }).await? {
            let subject = checkpoint::subject(&shared.options.name, stage.as_str(), "stage", &shard.id)?;
            let found =
                retry.until_done(|| async { Checkpoint::read(&*shared.parts.repo, subject.clone()).await }).await?;
            let Some(position) = found.position else { continue };
            match stage {
                Stage::Raw => raw.advance(&shard.id, position),
                Stage::Staged => known.advance(&shard.id, position),
            }
            settled.push((stage, shard.id, position));
        }
    }
    // After the checkpoints of stage raw: what these cover is in the staged stream by then.
    let staged = &shared.parts.staged;
    let forwarded = retry.until_done(|| async { tails(&**staged, &known).await }).await?;
    for (stage, shard, position) in settled {
        shared.progress.passed(stage, &shard, position, &forwarded);
        shared.progress.checkpointed(stage, &shard, position);
    }
    shared.progress.forwarded_before(&forwarded);
    if shared.options.runs_stages {
        let source = &shared.parts.raw;
        let arrived = retry.until_done(|| async { tails(&**source, &raw).await }).await?;
        shared.progress.begun_behind(arrived);
    }
    Ok(())
}

/// What other processes have passed on and settled since.
async fn note_others(shared: &Shared) -> Result<()> {
    let (parts, name) = (&shared.parts, &shared.options.name);
    let raw = checkpoint::archived(&*parts.repo, name, Stage::Raw).await?;
    // After the checkpoints of stage raw: what these cover is in the staged stream by then.
    let (_, known) = shared.progress.covers();
    let forwarded = tails(&*parts.staged, &known).await?;
    let staged = checkpoint::archived(&*parts.repo, name, Stage::Staged).await?;
    for (stage, cover) in [(Stage::Raw, &raw), (Stage::Staged, &staged)] {
        for (shard, position) in cover.iter() {
            shared.progress.passed(stage, shard, position, &forwarded);
        }
    }
    Ok(())
}
