//! Gaps of an archive that lists late: they close by themselves, or have stood for so long that what is in them is lost.

use std::collections::BTreeSet;

use fineo_core::{Position, ShardId};
use fineo_ingest::{Listing, Missing, Noted};

/// Behind this position of a shard segments were not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) shard: ShardId,
    /// The last position before it; none for the very first.
    pub(crate) after: Option<Position>,
}

/// What a run misses of an archive: of each shard the first gap.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// All of them: later runs need not read what lies behind them.
    pub(crate) all: Vec<Gap>,
    /// What will not come any more.
    pub(crate) lost: Vec<Missing>,
    /// In how many shards something is still on its way.
    pub(crate) shards_waiting: u64,
}

impl Gaps {
    /// Tells apart what is `missing`, by what is `noted`: as replays and backups do.
    pub(crate) fn of(missing: Vec<Missing>, noted: &Noted, listing: Listing) -> Self {
        let mut gaps = Self::default();
        let mut waiting = BTreeSet::new();
        for missing in missing {
            gaps.all.push(Gap { shard: missing.shard.clone(), after: missing.after });
            if noted.is_lost(&missing, listing) {
                gaps.lost.push(missing);
            } else {
                waiting.insert(missing.shard);
            }
        }
        gaps.shards_waiting = waiting.len() as u64;
        gaps
    }
}
