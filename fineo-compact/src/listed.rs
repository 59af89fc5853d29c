//! The segments that a run reads: shard by shard, up to the first gap.

use std::{collections::BTreeMap, sync::Arc};

use fineo_core::{
    Archive, Cover, Error, ErrorKind, Position, Result, ShardId, Timestamp,
    archive::{SegmentInfo, SegmentKind, SegmentQuery, Stage},
};
use fineo_ingest::{Chain, Missing, SegmentReader};
use fineo_table::Snapshot;
use futures::TryStreamExt;

use crate::{tenant::Segment, undelivered::Gap};

/// The segments of a shard.
pub(crate) type ByShard = BTreeMap<ShardId, Vec<SegmentInfo>>;

/// What stage staged received behind `from`, up to `to`, as far as it is listed from `begin` on.
pub(crate) async fn segments(
    archive: &dyn Archive,
    from: &Cover,
    to: &Cover,
    begin: Option<Timestamp>,
) -> Result<ByShard> {
    let query = SegmentQuery::new(Stage::Staged, SegmentKind::Received).with_from(begin);
    let mut listed = archive.segments(query);
    let mut by_shard = ByShard::new();
    while let Some(info) = listed.try_next().await? {
        let name = &info.name;
        if !from.contains(&name.shard, name.last) && to.contains(&name.shard, name.first) {
            by_shard.entry(name.shard.clone()).or_default().push(info);
        }
    }
    Ok(by_shard)
}

/// Parts what is `listed` at or before `cover` from what lies behind it.
pub(crate) fn split(listed: ByShard, cover: &Cover) -> (ByShard, ByShard) {
    let (mut before, mut behind) = (ByShard::new(), ByShard::new());
    for (shard, infos) in listed {
        let (old, new) = infos.into_iter().partition(|info| cover.contains(&shard, info.name.last));
        before.insert(shard.clone(), old);
        behind.insert(shard, new);
    }
    (before, behind)
}

/// What a run reads of an archive.
#[derive(Default)]
pub(crate) struct UpToGaps {
    /// The segments whose headers were read.
    pub(crate) segments: Vec<Segment>,
    /// Of each shard the first gap.
    pub(crate) missing: Vec<Missing>,
    /// The shards of which a segment has to be restored first, with the error that says which: nothing is known of their gaps.
    pub(crate) cold: BTreeMap<ShardId, Error>,
    /// The shards of which a segment is damaged, with the last position before it and the error that says which.
    pub(crate) damaged: BTreeMap<ShardId, (Option<Position>, Error)>,
}

impl UpToGaps {
    /// As `to`, but nowhere behind what is missing or damaged.
    pub(crate) fn before_all(&self, to: &Cover) -> Cover {
        let reach = |(shard, last): (&ShardId, Position)| {
            let gap = self.missing.iter().find(|missing| missing.shard == *shard).map(|missing| missing.after);
            let gap = gap.or_else(|| self.damaged.get(shard).map(|(after, _)| *after));
            Some((shard.clone(), gap.unwrap_or(Some(last))?))
        };
        to.iter().filter_map(reach).collect()
    }
}

/// Reads the headers of what is `listed` behind `from`, of each shard until one tells of a gap before it, or is cold or damaged: which
/// is nothing to tell of one behind a gap that is among those `known` and still stands.
///
/// # Errors
///
/// A failure of the archive.
pub(crate) async fn up_to_gaps(
    archive: &dyn Archive,
    listed: ByShard,
    from: &Cover,
    to: &Cover,
    known: &[Gap],
) -> Result<UpToGaps> {
    let (mut found, mut chain) = (UpToGaps::default(), Chain::default());
    for (shard, mut infos) in listed {
        infos.sort_by_key(|info| (info.name.first, info.name.last));
        let (mut reached, mut gap_before) = (from.last(&shard), None);
        for info in infos {
            if gap_before.is_some_and(|first| first < info.name.first) {
                break;
            }
            let reader = match SegmentReader::open(archive, &info).await {
                Ok(reader) => reader,
                Err(error) if matches!(error.kind(), ErrorKind::Cold | ErrorKind::Corrupt) => {
                    let is_behind_gap = known.iter().any(|gap| gap.shard == shard && gap.after == reached);
                    match error.kind() {
                        ErrorKind::Cold if is_behind_gap => {}
                        ErrorKind::Cold => drop(found.cold.insert(shard, error)),
                        _ => drop(found.damaged.insert(shard, (reached, error))),
                    }
                    break;
                }
                Err(error) => return Err(error),
            };
            gap_before = (reader.after() > reached).then_some(info.name.first);
            if gap_before.is_none() {
                reached = reached.max(Some(info.name.last));
            }
            chain.add(&reader);
            found.segments.push(Arc::new((info, reader)));
        }
    }
    // As they are listed: what is read first names columns.
    found.segments.sort_by(|one: &Segment, other| one.0.name.cmp(&other.0.name));
    found.missing = chain.missing(from, to);
    found
        .missing
        .retain(|missing| !found.cold.contains_key(&missing.shard) && !found.damaged.contains_key(&missing.shard));
    // What lies behind a shard's first gap was not looked at.
    found.missing.dedup_by(|later, first| later.shard == first.shard);
    Ok(found)
}

/// Refuses to make a table anew whose files cover more than the archive answers for, which is `to`: rows behind that would be gone.
pub(crate) fn check_reached(to: &Cover, table: &Snapshot) -> Result<()> {
    if to.includes(&table.cover) {
        return Ok(());
    }
    let message =
        "segments of the table's events are missing from the archive, so it cannot be made anew: nothing was changed";
    Err(Error::corrupt(message).with("metric", &table.metric))
}
