//! Whether events get through, told from one look to the next.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Mutex as Turn;

use fineo::{
    Fineo, Result, Stage, Timestamp,
    core::{Code, Position, ShardId},
    ingest::{PipelineStatus, ShardStatus},
};

/// A stage that passes nothing on for so long, though something is there to pass on, does not get events through; for so long
/// a store counts as full after it refused an event.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How long what was found is told again: anybody may ask, as often as he likes, and some streams count who reads them.
const TOLD_FOR: Duration = Duration::from_secs(1);

/// What was seen at earlier looks.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    seen: Mutex<Seen>,
    told: Recent<Option<String>>,
}

/// What was found last, and when. Of many who ask at once one looks.
#[derive(Debug)]
struct Recent<T>(Turn<Option<(Timestamp, T)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Turn::default())
    }
}

impl<T: Clone> Recent<T> {
    async fn get(&self, now: Timestamp, look: impl Future<Output = T>) -> T {
        let mut told = self.0.lock().await;
        if let Some((_, found)) = told.as_ref().filter(|(at, _)| between(*at, now) < TOLD_FOR) {
            return found.clone();
        }
        let found = look.await;
        *told = Some((now, found.clone()));
        found
    }
}

fn between(one: Timestamp, other: Timestamp) -> Duration {
    Duration::from_micros(one.micros().abs_diff(other.micros()))
}

#[derive(Debug, Default)]
struct Seen {
    /// Of each shard on which a stage is behind: what it had passed on, and when that was first seen so.
    behind: BTreeMap<(Stage, ShardId), (Option<Position>, Timestamp)>,
    /// How many events were refused for want of room, and when there were more of them.
    refused: Option<u64>,
    refused_at: Option<Timestamp>,
}

impl Readiness {
    /// Why events do not get through at `now`, if they do not, in words for anybody.
    pub(crate) async fn hindrance(&self, fineo: &Fineo, now: Timestamp) -> Option<String> {
        self.told.get(now, self.look(fineo, now)).await
    }

    async fn look(&self, fineo: &Fineo, now: Timestamp) -> Option<String> {
        let pipeline = fineo.pipeline();
        // Where nothing is to be made durable, this says whether anything could be.
        if let Err(error) = fineo.parts().raw.sync().await.into_result() {
            tracing::warn!(%error, "not ready: the stream takes no events");
            return Some(format!("the stream takes no events: {}", error.message()));
        }
        let Ok(status) = status(fineo).await else { return Some("a stream does not answer".to_owned()) };
        // What others carry, others answer for.
        let stages = if pipeline.options().runs_stages { status.shards } else { Vec::new() };
        let full = Code::StorageFull.as_str();
        let counts = pipeline.counters().all();
        let refused = counts.values().filter_map(|counts| counts.rejected.get(full)).sum();
        let hindrance = self.seen.lock().unwrap_or_else(PoisonError::into_inner).look(&stages, refused, now);
        hindrance.or_else(|| {
            (!pipeline.has_caught_up())
                .then(|| "what was accepted before the start is still being passed on".to_owned())
        })
    }
}

async fn status(fineo: &Fineo) -> Result<PipelineStatus> {
    let pipeline = fineo.pipeline();
    let status = pipeline.status().await?;
    if !pipeline.options().runs_stages || pipeline.options().is_alone || !status.shards.iter().any(is_behind) {
        return Ok(status);
    }
    // How far others have come only those hear who wait for it.
    pipeline.hear_of_others().await;
    pipeline.status().await
}

fn is_behind(shard: &ShardStatus) -> bool {
    shard.passed < shard.tail
}

impl Seen {
    fn look(&mut self, stages: &[ShardStatus], refused: u64, now: Timestamp) -> Option<String> {
        let is_over = |since: Timestamp| between(since, now) >= STUCK_AFTER;
        let mut behind = BTreeMap::new();
        for shard in stages.iter().filter(|shard| is_behind(shard)) {
            let key = (shard.stage, shard.shard.clone());
            let before = self.behind.get(&key).filter(|(passed, _)| *passed == shard.passed);
            behind.insert(key, (shard.passed, before.map_or(now, |(_, since)| *since)));
        }
        self.behind = behind;
        // What was refused before the first look was refused at some time.
        if self.refused.is_some_and(|before| refused > before) {
            self.refused_at = Some(now);
        }
        self.refused = Some(refused);
        if let Some(shard) = stages.iter().find(|shard| shard.failure.is_some()) {
            return Some(format!("stage {} cannot go on", shard.stage));
        }
        if let Some(((stage, _), _)) = self.behind.iter().find(|(_, (_, since))| is_over(*since)) {
            let seconds = STUCK_AFTER.as_secs();
            return Some(format!("stage {stage} has passed nothing on for {seconds} seconds, though events wait"));
        }
        let is_full = self.refused_at.is_some_and(|at| !is_over(at));
        is_full.then(|| "the storage is full: events are refused".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use fineo::Timestamp;

    use super::{Recent, Seen};

    #[tokio::test]
    async fn many_who_ask_within_a_second_have_the_streams_read_once() {
        let (recent, looks) = (Recent::default(), std::cell::Cell::new(0));
        for (millis, count) in [(0, 1), (999, 1), (1_000, 2), (1_500, 2), (2_000, 3), (0, 4)] {
            let now = Timestamp::from_micros(millis * 1_000).unwrap();
            let look = async { looks.replace(looks.get() + 1) + 1 };
            assert_eq!(recent.get(now, look).await, count, "after {millis} ms");
        }
        assert_eq!(looks.get(), 4);
    }

    #[test]
    fn a_store_is_full_for_half_a_minute_after_it_refused_an_event() {
        let mut seen = Seen::default();
        // Of what was refused before the first look nobody knows when.
        for (second, refused, is_full) in [(0, 7, false), (1, 7, false), (2, 8, true), (31, 8, true), (32, 8, false)] {
            let now = Timestamp::from_micros(second * 1_000_000).unwrap();
            let reason = seen.look(&[], refused, now);
            assert_eq!(reason.is_some_and(|reason| reason.contains("full")), is_full, "after {second} s");
        }
    }
}
