//! How far a pipeline has come, to be shown.

use std::time::Duration;

use fineo_core::{Position, Result, ShardId, archive::Stage, nearline::Damage};

use super::Pipeline;

/// How far the pipeline has come, shard by shard.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PipelineStatus {
    /// Each stage's shards.
    pub shards: Vec<ShardStatus>,
    /// How often entries were gone or damaged before they were read.
    pub losses: u64,
    /// What the nearline store set aside.
    pub damages: Vec<Damage>,
}

/// How far a stage has come on a shard of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStatus {
    /// Which stage.
    pub stage: Stage,
    /// Which shard.
    pub shard: ShardId,
    /// The last position of the shard.
    pub tail: Option<Position>,
    /// What was passed on.
    pub passed: Option<Position>,
    /// What was passed on for good.
    pub checkpoint: Option<Position>,
    /// How many entries of the stream wait to be passed on; none where the stream cannot tell.
    pub waiting: Option<u64>,
    /// Why the stage does not go on, in a line.
    pub failure: Option<String>,
}

impl Pipeline {
    /// Whether a query sees all that was in the streams when this process began to carry the stages; where others carry
    /// them, that is not known and does not count.
    pub fn has_caught_up(&self) -> bool {
        self.shared().progress.has_caught_up()
    }

    /// Completes once [`Pipeline::has_caught_up`], or after `within` all the same.
    pub async fn wait_until_caught_up(&self, within: Duration) {
        let mut changed = self.shared().progress.subscribe();
        let mut timeout = self.shared().parts.clock.sleep(within);
        let mut look = Box::pin(self.look_at_others());
        while !self.has_caught_up() {
            tokio::select! {
                _ = changed.changed() => {}
                () = &mut look => look = Box::pin(self.look_at_others()),
                () = &mut timeout => return,
            }
        }
    }

    /// How far the pipeline has come.
    ///
    /// # Errors
    ///
    /// When a store cannot be reached.
    pub async fn status(&self) -> Result<PipelineStatus> {
        let shared = self.shared();
        let (raw, staged) = shared.progress.covers();
        let mut shards = Vec::new();
        for stage in Stage::ALL {
            let source = shared.source(stage);
            let cover = match stage {
                Stage::Raw => &raw,
                Stage::Staged => &staged,
            };
            for shard in source.shards().await? {
                let passed = cover.last(&shard.id);
                shards.push(ShardStatus {
                    stage,
                    tail: source.tail_from(&shard.id, passed).await?,
                    passed,
                    waiting: source.count_after(&shard.id, passed).await?,
                    checkpoint: shared.progress.checkpoint(stage, &shard.id),
                    failure: shared.progress.failure(stage, &shard.id).map(|error| error.to_string()),
                    shard: shard.id,
                });
            }
        }
        Ok(PipelineStatus { shards, losses: shared.counters.losses(), damages: shared.parts.nearline.damages().await? })
    }
}
