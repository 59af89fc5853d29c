//! Workers of the shards that there are, from their begin to their end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use fineo_core::{Result, ShardId, archive::Stage, stream::Shard};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    driver::{
        expired::note_expired,
        parts::Shared,
        worker::{self, Ended},
    },
    mend,
};

/// A stop gives its workers at least so long to archive and checkpoint what they passed on.
const SETTLE_FOR_MIN: Duration = Duration::from_secs(10);

/// Keeps one worker per shard that can be read; children only after their parents.
pub(super) async fn supervise(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut workers: JoinSet<(ShardId, Stage, Ended)> = JoinSet::new();
    let mut mender = JoinSet::from_iter([mend::run(Arc::clone(&shared), stop.clone())]);
    let mut begun: HashSet<(Stage, ShardId)> = HashSet::new();
    let mut finished: HashSet<(Stage, ShardId)> = HashSet::new();
    loop {
        for stage in Stage::ALL {
            let ready = tokio::select! {
                () = worker::stopped(&mut stop) => break,
                ready = ready(&shared, stage, &begun, &finished) => ready,
            };
            match ready {
                Ok(shards) => {
                    for shard in shards {
                        begun.insert((stage, shard.clone()));
                        workers.spawn(worker::run(Arc::clone(&shared), stage, shard, stop.clone()));
                    }
                }
                Err(error) => tracing::warn!(%error, %stage, "no more shards of a stream can be begun just now"),
            }
        }
        tokio::select! {
            () = worker::stopped(&mut stop) => break,
            Some(ended) = workers.join_next() => match ended {
                Ok((shard, stage, Ended::Finished)) => {
                    finished.insert((stage, shard));
                }
                Ok((_, _, Ended::Stopped)) => {}
                // Its work cannot break off, only what keeps it at work.
                Err(error) => tracing::error!(%error, "a worker broke off: its shard has none until the next start"),
            },
            () = shared.parts.clock.sleep(shared.options.shards_every) => {}
        }
    }
    // What it did not finish the next start does.
    mender.shutdown().await;
    // A worker settles what it passed on; where a backend is down, that has no end.
    let mut deadline = shared.parts.clock.sleep(shared.options.drain_for.max(SETTLE_FOR_MIN));
    loop {
        tokio::select! {
            ended = workers.join_next() => match ended {
                None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => tracing::error!(%error, "a worker broke off while it stopped"),
            },
            () = &mut deadline => {
                tracing::warn!("the pipeline stops before its last work is checkpointed: the next start repeats it");
                workers.shutdown().await;
                break;
            }
        }
    }
}

/// The shards that can be read from now on. What was lost of their parents is noted by then.
async fn ready(
    shared: &Shared,
    stage: Stage,
    begun: &HashSet<(Stage, ShardId)>,
    finished: &HashSet<(Stage, ShardId)>,
) -> Result<Vec<ShardId>> {
    let shards = shared.source(stage).shards().await?;
    let is_there = |id: &ShardId| shards.iter().any(|shard| shard.id == *id);
    let is_finished = |parent: &ShardId| finished.contains(&(stage, parent.clone()));
    let may_begin = |shard: &&Shard| {
        let parents_done = shard.parents.iter().all(|parent| is_finished(parent) || !is_there(parent));
        parents_done && !begun.contains(&(stage, shard.id.clone()))
    };
    let ready: Vec<&Shard> = shards.iter().filter(may_begin).collect();
    if ready.iter().flat_map(|shard| &shard.parents).any(|parent| !is_finished(parent)) {
        note_expired(shared, stage, &shards).await?;
    }
    Ok(ready.into_iter().map(|shard| shard.id.clone()).collect())
}
