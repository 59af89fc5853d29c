//! What a replay reads: the archive, then what is not archived yet.

use std::{collections::VecDeque, sync::Arc};

use fineo_core::{
    Cover, ErrorKind, Position, Result, ShardId, Timestamp,
    archive::{Availability, SegmentInfo, SegmentKind, SegmentQuery, Stage},
    stream::Delivery,
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use super::{
    ReplayRequest, cold,
    tail::{Next, Tail},
    wanted::Wanted,
};
use crate::{
    ArchivedRecord, Chain, Expired, Listing, Missing, Noted, SegmentReader,
    driver::{
        checkpoint::{self, Checkpoint},
        parts::Shared,
    },
    envelope,
    stage::payload,
};

type Segments = BoxStream<'static, Result<SegmentInfo>>;
/// Records of a shard, in order.
type Found = (ShardId, Vec<ArchivedRecord>);

/// Deliveries of one tenant, in batches of one shard: no more of them are in memory than a segment or a read of the stream has.
pub(crate) struct Source<'a> {
    shared: &'a Arc<Shared>,
    request: &'a ReplayRequest,
    /// What is to be read of the stream, after the segments; none before it is known.
    tails: Option<VecDeque<Tail>>,
    segments: Option<Segments>,
    /// Behind which position those segments are read that were archived after the reading began; none before it comes to them.
    behind: Option<Position>,
    open: Option<Found>,
    chain: Chain,
    /// When the archive was listed.
    listing: Listing,
    /// Up to where it had everything, if late, before that.
    archived_before: Cover,
    /// Up to where the archive answers: behind that the tails of the stream do.
    archived: Cover,
    /// Per shard the first and the last position that are wanted; all where there is none.
    within: Option<&'a [(ShardId, Position, Position)]>,
    /// What has to be read even where it is cold.
    wanted: Wanted,
}

impl<'a> Source<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, request: &'a ReplayRequest) -> Self {
        Self {
            shared,
            request,
            tails: None,
            segments: None,
            behind: None,
            open: None,
            chain: Chain::default(),
            listing: Listing::begin(&*shared.parts.archive, &*shared.parts.clock),
            archived_before: Cover::default(),
            archived: Cover::default(),
            within: None,
            wanted: Wanted::new(request, None),
        }
    }

    /// Only these positions, which are given per shard, the first and the last.
    pub(crate) fn within(mut self, positions: &'a [(ShardId, Position, Position)]) -> Self {
        self.within = Some(positions);
        self.wanted = Wanted::new(self.request, self.within);
        self
    }

    /// The next deliveries, `count_max` at most. The first call fails with `Cold` when segments have to be restored before.
    pub(crate) async fn next(&mut self, count_max: usize) -> Result<Option<Found>> {
        // What is archived meanwhile may then be met twice, which is harmless; the other way round it would be missed.
        if self.tails.is_none() {
            let (repo, pipeline) = (&*self.shared.parts.repo, &self.shared.options.name);
            self.archived_before = checkpoint::archived(repo, pipeline, self.request.stage).await?;
            self.listing = Listing::begin(&*self.shared.parts.archive, &*self.shared.parts.clock);
            self.wanted = cold::survey(self.shared, &self.wanted).await?.check()?;
            self.archived = checkpoint::archived(repo, pipeline, self.request.stage).await?;
            self.tails = Some(self.tails().await?);
        }
        loop {
            if let Some((shard, mut records)) = self.open.take() {
                let rest = records.split_off(records.len().min(count_max));
                if !rest.is_empty() {
                    self.open = Some((shard.clone(), rest));
                }
                return Ok(Some((shard, records)));
            }
            self.open = match self.next_segment().await? {
                Some(found) => Some(found),
                None => match self.tails.as_mut().and_then(VecDeque::pop_front) {
                    Some(tail) => self.next_of(tail).await?,
                    None => return Ok(None),
                },
            };
        }
    }

    /// When the last event arrived of what was let go of the archive because it is old; none when that is nothing of what
    /// was asked for.
    pub(crate) async fn expired_until(&mut self) -> Result<Option<Timestamp>> {
        let until = self.expired().await?.arrived_until();
        Ok(until.filter(|until| self.request.time.from <= until.micros()))
    }

    async fn expired(&mut self) -> Result<Expired> {
        Expired::read(&*self.shared.parts.repo, &self.shared.options.name, self.request.stage).await
    }

    /// Fails when something is missing of what was asked for, once everything that is there was read: `Corrupt` when
    /// somebody took it away, `Unavailable` when it may still be on its way.
    pub(crate) async fn check_whole(&mut self) -> Result<()> {
        let expired = self.expired().await?;
        let mut missing = self.chain.missing(expired.cover(), &self.archived);
        if missing.is_empty() {
            return Ok(());
        }
        let (repo, pipeline) = (&*self.shared.parts.repo, &self.shared.options.name);
        let before = (&self.archived_before, self.listing);
        let noted = Noted::with(repo, pipeline, self.request.stage, before).await?;
        missing.retain(|gap| {
            self.wanted.may_arrive_in(gap, noted.is_lost(gap, self.listing))
                && is_within(self.within, &gap.shard, gap.after, gap.last)
                && self.wanted.may_lie_in(&gap.shard, gap.after, gap.last)
        });
        Missing::check(&missing, &noted, self.listing)
    }

    fn list(&self) -> Segments {
        let query = SegmentQuery::new(self.request.stage, SegmentKind::Received);
        self.shared.parts.archive.segments(query)
    }

    async fn next_segment(&mut self) -> Result<Option<Found>> {
        let mut segments = self.segments.take().unwrap_or_else(|| self.list().fuse().boxed());
        let found = self.first_wanted(&mut segments).await;
        self.segments = Some(segments);
        found
    }

    /// What the first of `segments` has that has something wanted.
    async fn first_wanted(&mut self, segments: &mut Segments) -> Result<Option<Found>> {
        while let Some(info) = segments.try_next().await? {
            match self.read_segment(&info).await {
                Ok(records) if records.is_empty() => {}
                Ok(records) => return Ok(Some((info.name.shard, records))),
                // It was let go since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound && self.is_expired(&info).await? => {}
                Err(error) if error.kind() == ErrorKind::Cold && self.passes_over(&info).await? => {
                    self.chain.add_unread(&info.name);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether a cold segment is known to have nothing that is wanted.
    async fn passes_over(&mut self, info: &SegmentInfo) -> Result<bool> {
        if self.wanted.passes_over(info) {
            return Ok(true);
        }
        match self.shared.parts.archive.availability(&info.name, None).await? {
            Availability::Cold { written_at } | Availability::Restoring { written_at } => {
                Ok(self.wanted.is_over(written_at))
            }
            Availability::Ready => Ok(false),
        }
    }

    async fn is_expired(&mut self, info: &SegmentInfo) -> Result<bool> {
        Ok(self.expired().await?.cover().contains(&info.name.shard, info.name.last))
    }

    /// The records of a segment that are wanted.
    async fn read_segment(&mut self, info: &SegmentInfo) -> Result<Vec<ArchivedRecord>> {
        let archive = &*self.shared.parts.archive;
        let reader = SegmentReader::open(archive, info).await?;
        self.chain.add(&reader);
        if !is_within(self.within, &info.name.shard, Some(info.name.first), info.name.last) {
            return Ok(Vec::new());
        }
        let mut records = reader.read(archive, &self.request.tenant, self.request.time).await?;
        records.retain(|record| {
            let position = record.delivery.position;
            Some(position) > self.behind && is_within(self.within, &info.name.shard, Some(position), position)
        });
        Ok(records)
    }

    /// What is behind the checkpoints now, as far as something wanted may be in it.
    async fn tails(&mut self) -> Result<VecDeque<Tail>> {
        let mut tails = VecDeque::new();
        let source = self.shared.source(self.request.stage);
        for shard in source.shards().await? {
            let after = self.checkpoint(&shard.id).await?;
            // What was archived since this began is read from the archive, which may not list it yet.
            if let Some(after) = after {
                self.archived.advance(&shard.id, after);
            }
            let tail = source.tail_from(&shard.id, after).await?.filter(|tail| Some(*tail) > after);
            let end = tail.and_then(|tail| self.wanted.last_of(&shard.id, after, tail));
            tails.extend(end.map(|end| Tail::new(shard.id, after, end)));
        }
        Ok(tails)
    }

    async fn checkpoint(&mut self, shard: &ShardId) -> Result<Option<Position>> {
        let stage = self.request.stage.as_str();
        let subject = checkpoint::subject(&self.shared.options.name, stage, "stage", shard)?;
        Ok(Checkpoint::read(&*self.shared.parts.repo, subject).await?.position)
    }

    /// What comes next of `tail`, the rest of which comes after that; none where nothing of it is wanted.
    async fn next_of(&mut self, mut tail: Tail) -> Result<Option<Found>> {
        let found = match self.next_in(&mut tail).await? {
            Next::End => return Ok(None),
            Next::Batch(batch) => {
                let records = batch.into_iter().filter_map(|delivery| self.record(&tail.shard, delivery)).collect();
                Some((tail.shard.clone(), records)).filter(|(_, records): &Found| !records.is_empty())
            }
            Next::Trimmed => {
                self.read_archived_since(&mut tail).await?;
                None
            }
        };
        if let Some(tails) = &mut self.tails {
            tails.push_front(tail);
        }
        Ok(found)
    }

    /// As [`Tail::next`], but who reads from the start of a shard is not told of what was let go of there, and would wait for what
    /// comes behind it: what was archived since the reading began may be gone.
    async fn next_in(&mut self, tail: &mut Tail) -> Result<Next> {
        let is_from_start = tail.at.is_none();
        if is_from_start && self.checkpoint(&tail.shard).await?.is_some() {
            return Ok(Next::Trimmed);
        }
        let next = tail.next(&**self.shared.source(self.request.stage)).await?;
        if is_from_start && self.checkpoint(&tail.shard).await?.is_some() {
            tail.begin_anew();
            return Ok(Next::Trimmed);
        }
        Ok(next)
    }

    /// Has the segments read that were archived since the reading began and have what `tail` does not have any more.
    async fn read_archived_since(&mut self, tail: &mut Tail) -> Result<()> {
        let (shard, begun, at, end) = (tail.shard.clone(), tail.archived, tail.at, tail.end);
        let archived = self.checkpoint(&shard).await?.map(|archived| archived.min(end));
        tail.go_on_behind(archived)?;
        if let Some(archived) = archived {
            self.archived.advance(&shard, archived);
        }
        self.behind = at;
        // Those before `at`, too: they tell that nothing is missing.
        let is_one = move |info: &SegmentInfo| {
            info.name.shard == shard && Some(info.name.last) > begun && info.name.first <= end
        };
        let segments = self.list().try_filter(move |info| std::future::ready(is_one(info)));
        self.segments = Some(segments.fuse().boxed());
        Ok(())
    }

    fn record(&self, shard: &ShardId, delivery: Delivery) -> Option<ArchivedRecord> {
        let arrived_at = arrival(self.request.stage, &delivery);
        let is_wanted = delivery.tenant == self.request.tenant
            && self.request.time.contains(arrived_at)
            && is_within(self.within, shard, Some(delivery.position), delivery.position);
        is_wanted.then_some(ArchivedRecord { delivery, arrived_at })
    }
}

/// Whether positions of `shard` from `first` to `last` are wanted.
fn is_within(
    within: Option<&[(ShardId, Position, Position)]>,
    shard: &ShardId,
    first: Option<Position>,
    last: Position,
) -> bool {
    let is_met = |(of, from, to): &(ShardId, Position, Position)| {
        of == shard && *from <= last && first.is_none_or(|first| first <= *to)
    };
    within.is_none_or(|within| within.iter().any(is_met))
}

fn arrival(stage: Stage, delivery: &Delivery) -> Timestamp {
    match stage {
        Stage::Raw => envelope::read(&delivery.payload).map(|read| read.arrived_at).unwrap_or_default(),
        Stage::Staged => payload::read(&delivery.payload).map(|read| read.arrived_at).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
