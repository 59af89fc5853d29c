//! Tells which positions are missing between segments: each one says behind which position it begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fineo_core::{Archive, Clock, Cover, Error, Position, Result, ShardId, TimeRange, Timestamp, archive::SegmentName};

use super::{Noted, SegmentReader};

/// The segments of what a stage received that were met, shard by shard.
#[derive(Debug, Default)]
pub struct Chain(BTreeMap<ShardId, Vec<Link>>);

/// What a segment answers for: the positions behind `after`, up to `last`. Of one that was not read, `after` is its first
/// position, which it has, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    after: Option<Position>,
    last: Position,
    /// When its events arrived, in microseconds.
    time_first: i64,
    time_last: i64,
    is_read: bool,
}

/// A look at an archive: when it began, and how late the archive may list what was written before.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    begun_at: Timestamp,
    within: Option<Duration>,
}

/// Positions that a stage archived and no listed segment has: somebody took it away, or it is still on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Whose positions.
    pub shard: ShardId,
    /// The last position before them; none for the very first.
    pub after: Option<Position>,
    /// The last of them.
    pub last: Position,
    /// When their events arrived, as far as the neighbours tell, in microseconds.
    pub time: (i64, i64),
}

impl Chain {
    /// Notes a segment.
    pub fn add(&mut self, segment: &SegmentReader) {
        let times = segment.index.iter().map(|block| (block.time_first, block.time_last));
        let time_first = times.clone().map(|(first, _)| first).min().unwrap_or(i64::MIN);
        let time_last = times.map(|(_, last)| last).max().unwrap_or(i64::MAX);
        let link = Link { after: segment.after, last: segment.name.last, time_first, time_last, is_read: true };
        self.0.entry(segment.name.shard.clone()).or_default().push(link);
    }

    /// Notes a segment that is there and was not read: nothing is known of what comes right before it.
    pub(crate) fn add_unread(&mut self, name: &SegmentName) {
        let time = name.time.micros();
        let (after, last) = (Some(name.first), name.last);
        let link = Link { after, last, time_first: time, time_last: time, is_read: false };
        self.0.entry(name.shard.clone()).or_default().push(link);
    }

    /// What is missing behind `from`, up to `to`.
    pub fn missing(&self, from: &Cover, to: &Cover) -> Vec<Missing> {
        let shards: BTreeSet<&ShardId> = self.0.keys().chain(to.iter().map(|(shard, _)| shard)).collect();
        let mut missing = Vec::new();
        for shard in shards {
            let mut links = self.0.get(shard).cloned().unwrap_or_default();
            links.sort_unstable();
            let (mut reached, mut time_reached) = (from.last(shard), i64::MIN);
            let end = to.last(shard).map(|last| Link {
                after: Some(last),
                last,
                time_first: i64::MAX,
                time_last: 0,
                is_read: true,
            });
            for link in links.into_iter().chain(end) {
                if let Some(last) = link.after.filter(|after| link.is_read && Some(*after) > reached) {
                    let time = (time_reached, link.time_first);
                    missing.push(Missing { shard: shard.clone(), after: reached, last, time });
                }
                reached = reached.max(Some(link.last));
                time_reached = time_reached.max(link.time_last);
            }
        }
        missing
    }
}

impl Listing {
    /// `archive`, which is listed from now on.
    pub fn begin(archive: &dyn Archive, clock: &dyn Clock) -> Self {
        Self { begun_at: clock.now(), within: archive.capabilities().listed_within }
    }

    /// When it began.
    pub fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    /// How late the archive may list what was written; none where it lists at once.
    pub fn within(&self) -> Option<Duration> {
        self.within
    }

    /// Whether somebody else delivers the segments, so that some of those that were written may not be listed yet.
    pub fn is_late(&self) -> bool {
        self.within.is_some()
    }

    /// Whether it has everything that was written at or before this instant, in microseconds: what it lacks of that is lost.
    pub fn has_all_until(&self, micros: i64) -> bool {
        let Some(within) = self.within else { return true };
        let within = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
        micros.saturating_add(within) <= self.begun_at.micros()
    }
}

impl Missing {
    /// Whether events that arrived in `time` may be among what is missing.
    pub fn may_overlap(&self, time: TimeRange) -> bool {
        time.overlaps(self.time.0, self.time.1)
    }

    /// The error that tells of the first of `missing`, if there is any.
    ///
    /// # Errors
    ///
    /// `Corrupt`, with shard and positions, when something is lost by what is `noted`; `Unavailable`, with the same, when all that is
    /// missing may still come.
    pub fn check(missing: &[Self], noted: &Noted, listing: Listing) -> Result<()> {
        let (lost, coming): (Vec<_>, Vec<_>) = missing.iter().cloned().partition(|gap| noted.is_lost(gap, listing));
        Self::check_lost(&lost)?;
        Self::tell(Error::unavailable("segments are still on their way to the archive: try again later"), &coming)
    }

    /// The error that tells of the first of `lost`, none of which will come any more.
    ///
    /// # Errors
    ///
    /// `Corrupt`, with shard and positions.
    pub fn check_lost(lost: &[Self]) -> Result<()> {
        let message =
            "segments are missing from the archive: put back what was taken away, or put aside as undelivered";
        Self::tell(Error::corrupt(message), lost)
    }

    fn tell(error: Error, missing: &[Self]) -> Result<()> {
        let Some(first) = missing.first() else { return Ok(()) };
        let mut error = error
            .with("shard", &first.shard)
            .with("after", first.after.map_or_else(|| "the beginning".to_owned(), |after| after.to_string()))
            .with("last", first.last);
        // The ends of time are no instants.
        for (name, micros) in [("arrived_after", first.time.0), ("arrived_before", first.time.1)] {
            if let Ok(instant) = Timestamp::from_micros(micros) {
                error = error.with(name, instant);
            }
        }
        Err(if missing.len() > 1 { error.with("gaps", missing.len()) } else { error })
    }
}
