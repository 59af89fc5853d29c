//! Lets go of archived segments that are older than they are to be kept, once nothing needs them any more.

use std::{collections::BTreeMap, time::Duration};

use fineo_core::{
    Cover, Error, ErrorKind, Position, Result, ShardId, Timestamp,
    archive::{Availability, SegmentInfo, SegmentKind, SegmentQuery, Stage},
};
use fineo_ingest::{Expired, SegmentReader, archived};
use futures::TryStreamExt;

use crate::{CompactOptions, CompactReport, CompactorParts, tenant::before};

/// So many segments of a stage go at once.
const SEGMENTS_MAX: usize = 1_000;
/// Old segments are looked for so often, or so many times while one ages.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);
const LOOKS_MIN: u32 = 24;

/// What a segment tells of its age.
struct Old {
    /// The last position before it; of one that was not read, its first.
    after: Option<Position>,
    arrived_until: i64,
    /// Whether what comes right before it is unknown: it is cold. That would be old enough too.
    is_unread: bool,
}

/// Segments that go.
struct Going {
    segments: Vec<SegmentInfo>,
    /// Up to where nothing is left.
    cover: Cover,
    /// When the last of their records arrived.
    arrived_until: i64,
}

/// What is left of what may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// All of it is gone.
    Nothing,
    /// More than goes at once.
    More,
}

/// Each shard's first segments, in order of their positions.
#[derive(Debug, Default)]
struct Queues(BTreeMap<ShardId, BTreeMap<(Position, Position, Timestamp), SegmentInfo>>);

impl Queues {
    /// Takes one in; of more than can go at once a shard's last is let go of.
    fn add(&mut self, info: SegmentInfo) {
        let queue = self.0.entry(info.name.shard.clone()).or_default();
        queue.insert((info.name.first, info.name.last, info.name.time), info);
        if queue.len() > SEGMENTS_MAX {
            queue.pop_last();
        }
    }

    /// Of all shards' first ones that whose events arrived first.
    fn pop(&mut self) -> Option<SegmentInfo> {
        let firsts = self.0.values_mut().filter_map(BTreeMap::first_entry);
        Some(firsts.min_by_key(|entry| entry.get().name.time)?.remove())
    }

    /// Lets go of all of a shard.
    fn stop(&mut self, shard: &ShardId) {
        self.0.remove(shard);
    }
}

/// Whether old segments are to be looked for again.
pub(crate) fn is_due(options: &CompactOptions, looked_at: i64, now: Timestamp) -> bool {
    let is_over = |retain: Duration| looked_at <= before(now, EXPIRE_EVERY.min(retain / LOOKS_MIN)).micros();
    options.archive_retain.is_some_and(is_over)
}

/// Removes the segments of what the stages received that are older than `options` want; notes it before. Of each stage so many at
/// most: what is left goes the next time.
///
/// Of stage staged only those whose records are all in files since so long that their rows have left the nearline store:
/// `in_files`. Of stage raw only those that the stage has passed. Errors stay, as their rows do.
pub(crate) async fn expire(
    parts: &CompactorParts,
    options: &CompactOptions,
    in_files: &Cover,
    report: &mut CompactReport,
) -> Result<Left> {
    let Some(retain) = options.archive_retain else { return Ok(Left::Nothing) };
    // What comes before a segment that is so old is listed, too, or lost.
    let retain = retain.max(parts.archive.capabilities().listed_within.unwrap_or_default());
    let (repo, now) = (&*parts.repo, parts.clock.now());
    let passed = archived(repo, &options.pipeline, Stage::Raw).await?;
    let mut left = Left::Nothing;
    for (stage, reach) in [(Stage::Raw, &passed), (Stage::Staged, in_files)] {
        let mut expired = Expired::read(repo, &options.pipeline, stage).await?;
        let horizon = before(now, retain);
        let queues = old_segments(parts, stage, reach, horizon).await?;
        let Going { segments, cover, arrived_until } = going(parts, queues, expired.cover(), horizon).await?;
        if !expired.cover().includes(&cover) {
            expired.advance(repo, &cover, Timestamp::from_micros(arrived_until)?, now).await?;
        }
        if segments.len() >= SEGMENTS_MAX {
            left = Left::More;
        }
        for info in segments {
            let is_gone = parts.archive.remove(&info.name).await.into_result()?;
            report.expired_segments += u64::from(is_gone);
            report.expired_bytes += if is_gone { info.bytes } else { 0 };
        }
    }
    Ok(left)
}

/// The segments of `stage` within `reach` that began before `horizon`.
async fn old_segments(parts: &CompactorParts, stage: Stage, reach: &Cover, horizon: Timestamp) -> Result<Queues> {
    let mut listed = parts.archive.segments(SegmentQuery::new(stage, SegmentKind::Received));
    let mut queues = Queues::default();
    while let Some(info) = listed.try_next().await? {
        // They come in order of the arrival of their first records.
        if info.name.time >= horizon {
            break;
        }
        if reach.contains(&info.name.shard, info.name.last) {
            queues.add(info);
        }
    }
    Ok(queues)
}

/// Those of the oldest in `queues` that follow one another without a gap behind `from`, shard by shard, and are old enough.
async fn going(parts: &CompactorParts, mut queues: Queues, from: &Cover, horizon: Timestamp) -> Result<Going> {
    let mut going = Going { segments: Vec::new(), cover: from.clone(), arrived_until: i64::MIN };
    while going.segments.len() < SEGMENTS_MAX {
        let Some(info) = queues.pop() else { break };
        let shard = info.name.shard.clone();
        let found = looked_at(parts, &info).await?.filter(|old| old.arrived_until < horizon.micros());
        match found.filter(|old| old.is_unread || old.after <= going.cover.last(&shard)) {
            Some(old) => {
                going.cover.advance(&shard, info.name.last);
                going.arrived_until = going.arrived_until.max(old.arrived_until);
                going.segments.push(info);
            }
            // Nothing behind it goes before it.
            None => queues.stop(&shard),
        }
    }
    Ok(going)
}

/// What a segment tells of its age. Nobody pays for the restore of what goes: of a cold one that is when it was written.
async fn looked_at(parts: &CompactorParts, info: &SegmentInfo) -> Result<Option<Old>> {
    let cold = match SegmentReader::open(&*parts.archive, info).await {
        Ok(reader) => {
            let (after, arrived_until) = (reader.after(), reader.arrived_until());
            return Ok(Some(Old { after, arrived_until, is_unread: false }));
        }
        Err(error) if error.kind() == ErrorKind::Cold => parts.archive.availability(&info.name, None).await?,
        Err(error) => return Err(error),
    };
    Ok(match cold {
        Availability::Cold { written_at } | Availability::Restoring { written_at } => {
            Some(Old { after: Some(info.name.first), arrived_until: written_at.micros(), is_unread: true })
        }
        // It is back since: the next run reads it.
        Availability::Ready => None,
    })
}

/// Refuses to make tables anew that may have events which the archive no longer has.
pub(crate) fn check_fresh(expired: &Expired, rows: u64) -> Result<()> {
    match expired.arrived_until() {
        Some(until) if rows > 0 => Err(Error::invalid(
            "the archive no longer has every event of the table, so it cannot be made anew: nothing was changed",
        )
        .with("code", "archive_expired")
        .with("gone_until", until)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
