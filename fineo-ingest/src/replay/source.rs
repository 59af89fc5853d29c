//! What a replay reads: the archive, then what is not archived yet.

use std::{collections::VecDeque, sync::Arc};

use fineo_core::{
    Cover, Error, ErrorKind, Position, Result, ShardId, Timestamp,
    archive::{Availability, SegmentInfo, SegmentKind, SegmentQuery, Stage},
    stream::{Delivery, ReadFrom},
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use super::{ReplayRequest, cold, wanted::Wanted};
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

/// Deliveries of one tenant, in batches of one shard.
pub(crate) struct Source<'a> {
    shared: &'a Arc<Shared>,
    request: &'a ReplayRequest,
    tails: Option<VecDeque<(ShardId, Vec<ArchivedRecord>)>>,
    segments: Option<Segments>,
    open: VecDeque<(ShardId, Vec<ArchivedRecord>)>,
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
            open: VecDeque::new(),
            chain: Chain::default(),
            listing: Listing::begin(&*shared.parts.archive, &*shared.parts.clock),
            archived_before: Cover::default(),
            archived: Cover::default(),
            within: None,
            wanted: Wanted::new(request, None),
        }
    }

    /// Only of segments that have some of these positions, which are given per shard, the first and the last.
    pub(crate) fn within(mut self, positions: &'a [(ShardId, Position, Position)]) -> Self {
        self.within = Some(positions);
        self.wanted = Wanted::new(self.request, self.within);
        self
    }

    /// The next deliveries, `count_max` at most. The first call fails with `Cold` when segments have to be restored before.
    pub(crate) async fn next(&mut self, count_max: usize) -> Result<Option<(ShardId, Vec<ArchivedRecord>)>> {
        // What is archived meanwhile is then met twice, which is harmless; the other way round it would be missed.
        if self.tails.is_none() {
            let (repo, pipeline) = (&*self.shared.parts.repo, &self.shared.options.name);
            self.archived_before = checkpoint::archived(repo, pipeline, self.request.stage).await?;
            self.listing = Listing::begin(&*self.shared.parts.archive, &*self.shared.parts.clock);
            self.wanted = cold::survey(self.shared, &self.wanted).await?.check()?;
            self.archived = checkpoint::archived(repo, pipeline, self.request.stage).await?;
            self.tails = Some(self.read_tails().await?);
        }
        loop {
            if let Some((shard, records)) = self.open.front_mut() {
                let batch: Vec<_> = records.drain(..records.len().min(count_max)).collect();
                let shard = shard.clone();
                if records.is_empty() {
                    self.open.pop_front();
                }
                if !batch.is_empty() {
                    return Ok(Some((shard, batch)));
                }
                continue;
            }
            match self.next_segment().await? {
                Some(found) => self.open.push_back(found),
                None => match self.tails.as_mut().and_then(VecDeque::pop_front) {
                    Some(tail) => self.open.push_back(tail),
                    None => return Ok(None),
                },
            }
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

    async fn next_segment(&mut self) -> Result<Option<(ShardId, Vec<ArchivedRecord>)>> {
        let query = SegmentQuery::new(self.request.stage, SegmentKind::Received);
        let archive = &self.shared.parts.archive;
        let mut segments = self.segments.take().unwrap_or_else(|| archive.segments(query).fuse().boxed());
        let found = self.first_wanted(&mut segments).await;
        self.segments = Some(segments);
        found
    }

    /// What the first of `segments` has that has something wanted.
    async fn first_wanted(&mut self, segments: &mut Segments) -> Result<Option<(ShardId, Vec<ArchivedRecord>)>> {
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
        reader.read(archive, &self.request.tenant, self.request.time).await
    }

    async fn read_tails(&mut self) -> Result<VecDeque<(ShardId, Vec<ArchivedRecord>)>> {
        let mut tails = VecDeque::new();
        for shard in self.shared.source(self.request.stage).shards().await? {
            let records = self.read_tail(&shard.id).await?;
            if !records.is_empty() {
                tails.push_back((shard.id, records));
            }
        }
        Ok(tails)
    }

    /// What is behind the checkpoint of `shard` now.
    async fn read_tail(&mut self, shard: &ShardId) -> Result<Vec<ArchivedRecord>> {
        const TRIES_MAX: usize = 5;
        let stage = self.request.stage;
        for _ in 0..TRIES_MAX {
            let subject = checkpoint::subject(&self.shared.options.name, stage.as_str(), "stage", shard)?;
            let after = Checkpoint::read(&*self.shared.parts.repo, subject).await?.position;
            // What was archived since this began is read from the archive, which may not list it yet.
            if let Some(after) = after {
                self.archived.advance(shard, after);
            }
            let source = self.shared.source(stage);
            let Some(tail) = source.tail(shard).await?.filter(|tail| Some(*tail) > after) else {
                return Ok(Vec::new());
            };
            let mut deliveries = source.read(shard, after.map_or(ReadFrom::Start, ReadFrom::After));
            let mut records = Vec::new();
            loop {
                match deliveries.next().await {
                    None => return Ok(records),
                    // It was archived and trimmed meanwhile: look again.
                    Some(Err(error)) if error.kind() == fineo_core::ErrorKind::NotFound => break,
                    Some(Err(error)) => return Err(error),
                    Some(Ok(batch)) => {
                        let is_last = batch.last().is_some_and(|delivery| delivery.position >= tail);
                        records.extend(batch.into_iter().filter_map(|delivery| self.record(delivery)));
                        if is_last {
                            return Ok(records);
                        }
                    }
                }
            }
        }
        Err(Error::unavailable("the stream is trimmed faster than it can be read").with("shard", shard))
    }

    fn record(&self, delivery: Delivery) -> Option<ArchivedRecord> {
        let arrived_at = arrival(self.request.stage, &delivery);
        let is_wanted = delivery.tenant == self.request.tenant && self.request.time.contains(arrived_at);
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
