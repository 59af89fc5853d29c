//! Gaps of an archive that lists late: they close by themselves, or have stood for so long that what is in them is lost.

use std::collections::BTreeSet;

use fineo_core::{Position, ShardId};
use fineo_ingest::{Listing, Missing};

/// Behind this position of a shard segments were not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) shard: ShardId,
    /// The last position before it; none for the very first.
    pub(crate) after: Option<Position>,
    /// When a run met it first, in microseconds.
    pub(crate) since: i64,
}

/// What a run misses of an archive: of each shard the first gap.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// All of them, with when they were met first: also where this run does not know that the archive lists late.
    pub(crate) all: Vec<Gap>,
    /// What will not come any more.
    pub(crate) lost: Vec<Missing>,
    /// In how many shards something is still on its way.
    pub(crate) shards_waiting: u64,
}

impl Gaps {
    /// Tells apart what is `missing`, by the gaps that earlier runs met.
    ///
    /// What is behind a gap's beginning was archived when a run met it first: if it still begins there when the archive has
    /// had its time, it is lost. When events arrived says less, for they may be passed on long after.
    pub(crate) fn of(missing: Vec<Missing>, known: &[Gap], listing: Listing) -> Self {
        let mut gaps = Self::default();
        let mut waiting = BTreeSet::new();
        for missing in missing {
            let is_same = |gap: &&Gap| gap.shard == missing.shard && gap.after == missing.after;
            let since = known.iter().find(is_same).map_or(listing.begun_at().micros(), |gap| gap.since);
            let is_lost = listing.has_all_until(since);
            gaps.all.push(Gap { shard: missing.shard.clone(), after: missing.after, since });
            if is_lost {
                gaps.lost.push(missing);
            } else {
                waiting.insert(missing.shard);
            }
        }
        gaps.shards_waiting = waiting.len() as u64;
        gaps
    }
}
