//! Which segments a replay needs, as far as that can be told without reading them.

use std::{collections::HashMap, time::Duration};

use fineo_core::{
    Position, ShardId, TimeRange, Timestamp,
    archive::{SegmentInfo, Stage},
};

use super::ReplayRequest;
use crate::Missing;

/// Edges whose clocks are so far ahead of the store's say that an event arrived after it was stored.
const SKEW: Duration = Duration::from_secs(3_600);

fn skew() -> i64 {
    i64::try_from(SKEW.as_micros()).unwrap_or(i64::MAX)
}

/// What a replay needs of an archive.
///
/// Nothing tells of a segment that is not read when the last of its events arrived, and events that were sent late, or replayed
/// before, may be in any later one. So only what was written before the wanted time begins is known to have nothing of it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) stage: Stage,
    time: TimeRange,
    /// Per shard the first and the last position that are wanted; all where there is none.
    positions: Option<HashMap<ShardId, (Position, Position)>>,
    /// Per shard the first segment behind them: it tells whether one before it is missing.
    behind: HashMap<ShardId, SegmentInfo>,
}

impl Wanted {
    /// What `request` needs, of segments that have positions `within` these if there are any.
    pub(super) fn new(request: &ReplayRequest, within: Option<&[(ShardId, Position, Position)]>) -> Self {
        let pointed = request.pointers.as_ref().map(|pointers| {
            pointers.iter().filter_map(|pointer| position_of(request.stage, pointer)).collect::<Vec<_>>()
        });
        let positions = within.map(<[_]>::to_vec).or(pointed).map(|ranges| {
            let mut positions: HashMap<ShardId, (Position, Position)> = HashMap::new();
            for (shard, first, last) in ranges {
                let range = positions.entry(shard).or_insert((first, last));
                *range = (range.0.min(first), range.1.max(last));
            }
            positions
        });
        Self { stage: request.stage, time: request.time, positions, behind: HashMap::new() }
    }

    /// Whether a listed segment may hold wanted positions. Notes the first one behind them.
    pub(super) fn holds(&mut self, info: &SegmentInfo) -> bool {
        let Some(positions) = &self.positions else { return true };
        let Some((first, last)) = positions.get(&info.name.shard) else { return false };
        if info.name.first > *last {
            let behind = self.behind.entry(info.name.shard.clone()).or_insert_with(|| info.clone());
            if info.name.first < behind.name.first {
                *behind = info.clone();
            }
            return false;
        }
        info.name.last >= *first
    }

    /// Whether positions of `shard` behind `after`, up to `last`, may be wanted.
    pub(super) fn may_lie_in(&self, shard: &ShardId, after: Option<Position>, last: Position) -> bool {
        let Some(positions) = &self.positions else { return true };
        positions.get(shard).is_some_and(|(from, to)| *from <= last && after.is_none_or(|after| after < *to))
    }

    /// The last of the positions of `shard` behind `after`, up to `last`, that may be wanted; none where none is.
    pub(super) fn last_of(&self, shard: &ShardId, after: Option<Position>, last: Position) -> Option<Position> {
        let Some(positions) = &self.positions else { return Some(last) };
        let (from, to) = positions.get(shard)?;
        let end = last.min(*to);
        (*from <= end && after < Some(end)).then_some(end)
    }

    /// Whether events that arrived in the wanted time may be among what is missing.
    ///
    /// Of what is still on its way, the neighbours' arrivals say little: of stage staged nothing, for a replay passes on what
    /// arrived long before; of stage raw no more than the edges' clocks and their repeats allow.
    pub(super) fn may_arrive_in(&self, gap: &Missing, is_lost: bool) -> bool {
        let (from, to) = gap.time;
        match (is_lost, self.stage) {
            (true, Stage::Raw | Stage::Staged) => gap.may_overlap(self.time),
            (false, Stage::Raw) => self.time.overlaps(from.saturating_sub(skew()), to.saturating_add(skew())),
            (false, Stage::Staged) => true,
        }
    }

    /// The segments behind what is wanted that tell whether something is missing before them.
    pub(super) fn behind(&self) -> Vec<SegmentInfo> {
        self.behind.values().cloned().collect()
    }

    /// Whether the wanted time had not begun when a segment was written.
    pub(super) fn is_over(&self, written_at: Timestamp) -> bool {
        written_at.micros().saturating_add(skew()) < self.time.from
    }

    /// Whether a segment can be passed over, whenever it was written, because its positions are not wanted.
    pub(super) fn passes_over(&self, info: &SegmentInfo) -> bool {
        let name = &info.name;
        let Some(positions) = &self.positions else { return false };
        let Some((first, last)) = positions.get(&name.shard) else { return true };
        let is_behind =
            name.first > *last && self.behind.get(&name.shard).is_some_and(|behind| behind.name.first < name.first);
        name.last < *first || is_behind
    }
}

/// The position of `stage` that a replay pointer names; none where it is another stage's.
fn position_of(stage: Stage, pointer: &str) -> Option<(ShardId, Position, Position)> {
    let (of, rest) = pointer.split_once('/')?;
    let (shard, position) = rest.split_once('/')?;
    let position = position.parse().ok()?;
    (of == stage.as_str()).then_some((ShardId::new(shard).ok()?, position, position))
}

#[cfg(test)]
mod tests;
