//! What a run has before it: up to where everybody is, the segments, and each tenant's share of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fineo_core::{Cover, Error, Result, ShardId, TenantId, Timestamp, archive::Stage};
use fineo_ingest::{Expired, Listing, Noted, archived};

use super::Compactor;
use crate::{
    FailedTenant, Fresh, Selection,
    behind::{self, AllBehind, Older, lowest},
    listed::{self, ByShard, UpToGaps},
    progress::Progress,
    tenant::{Failed, Segment, before},
    threads::Threads,
    undelivered::{Gap, Gaps},
};

/// The segments of the next run are looked for from so long on before the oldest one of this run.
const LATE_MAX: Duration = Duration::from_secs(3600);

/// What all tenants' turns of a run share.
pub(super) struct Round {
    /// The records at or before it of everybody who is not behind were compacted.
    pub(super) everybody: Cover,
    /// Up to where the stage has archived what it received, and nothing is missing.
    pub(super) to: Cover,
    /// Who has tables.
    pub(super) with_tables: BTreeSet<TenantId>,
    /// What the archive no longer has.
    pub(super) expired: Expired,
    /// The segments behind everybody.
    pub(super) segments: Vec<Segment>,
    /// Who is behind; nobody where all is read from the first segment on.
    pub(super) behind: AllBehind,
    /// What is read of those of them who are tried again.
    pub(super) older: Older,
    /// Where what takes the processor's time is done.
    pub(super) threads: Threads,
    /// What a run has to tell of gaps.
    pub(super) gaps: Gaps,
    /// When the segments begin that the next run most likely needs.
    pub(super) next_from: Timestamp,
    /// What it has to tell of a segment that is damaged: its shard has nothing behind it.
    pub(super) damaged: Option<Error>,
}

/// What a run looks for in the archive.
struct Look<'a> {
    /// Where everybody is who is wanted, but for those who are behind.
    from: &'a Cover,
    /// Where everybody is who is wanted.
    lowest: &'a Cover,
    /// Up to where the stage has archived what it received.
    to: &'a Cover,
    /// Since when that is so.
    noted: &'a Noted,
    /// The gaps that are known.
    known: &'a [Gap],
}

/// What a run finds in the archive.
struct Seen {
    listing: Listing,
    /// What is not behind everybody.
    old: ByShard,
    /// The segments behind everybody, up to the gaps.
    segments: Vec<Segment>,
    /// Up to where nothing is missing.
    to: Cover,
    expired: Expired,
    gaps: Gaps,
    /// The shards of which a segment has to be restored first.
    cold: BTreeMap<ShardId, Error>,
    /// What there is to tell of a segment that is damaged.
    damaged: Option<Error>,
}

impl Seen {
    /// Whether it is certain that no segment is needed but those that were listed: each tells where the one before it ends, so that one
    /// that is not listed is missed. What is still on its way is waited for.
    fn is_all(&self) -> bool {
        let is_first = |segment: &Segment| segment.1.after().is_none();
        let is_known = self.gaps.lost.is_empty() && self.cold.is_empty() && self.damaged.is_none();
        is_known && !self.segments.iter().any(is_first)
    }

    /// When the segments begin that the next run most likely needs: what came meanwhile, and what waits.
    fn next_from(&self) -> Timestamp {
        let times = self.segments.iter().map(|segment| segment.0.name.time);
        let earliest = times.fold(self.listing.begun_at(), Ord::min);
        before(earliest, LATE_MAX + self.listing.within().unwrap_or_default())
    }
}

/// A tenant's share of a round.
pub(super) struct Share<'a> {
    pub(super) segments: Vec<Segment>,
    /// The tenant's records at or before it were compacted, but for those of what is held.
    pub(super) from: &'a Cover,
    /// Metrics that failed before and are not tried again.
    pub(super) held: Failed,
    /// Whether few new records may wait for more.
    pub(super) may_wait: bool,
}

impl Round {
    /// What `tenant` has to do, of whom `new` segments have records; what failed before when it is not tried again.
    pub(super) fn share(
        &self,
        tenant: &TenantId,
        new: Vec<Segment>,
    ) -> std::result::Result<Share<'_>, Vec<FailedTenant>> {
        let share = Share { segments: new, from: &self.everybody, held: Failed::new(), may_wait: true };
        let Some(behind) = self.behind.get(tenant) else { return Ok(share) };
        match self.older.get(tenant) {
            Some((from, Ok(older))) => {
                let mut segments = older.clone();
                segments.extend(share.segments);
                segments.sort_by(|one, other| one.0.name.cmp(&other.0.name));
                Ok(Share { segments, from, may_wait: false, ..share })
            }
            Some((_, Err(error))) => match behind.metrics() {
                Some(metrics) => {
                    let held = metrics.into_keys().map(|metric| (metric, error.clone())).collect();
                    Ok(Share { held, ..share })
                }
                None => Err(vec![FailedTenant { tenant: tenant.to_string(), metric: None, error: error.to_string() }]),
            },
            None => match behind.metrics() {
                Some(held) => Ok(Share { held, ..share }),
                None => Err(behind.failed.clone()),
            },
        }
    }
}

impl Compactor {
    /// Looks at how far everybody is, and at the archive; notes the gaps.
    pub(super) async fn round(&self) -> Result<(Progress, Round)> {
        let (archive, repo, pipeline) = (&*self.parts.archive, &*self.parts.repo, &self.options.pipeline);
        let to = archived(repo, pipeline, Stage::Staged).await?;
        let mut everybody = Progress::read(repo, pipeline, None).await?;
        let (everybody_from, behind) = self.everybody(&everybody);
        let mut from = everybody_from.clone();
        if let (Selection::Tenant(tenant), Fresh::None) = (&self.options.selection, &self.options.fresh) {
            from.merge(&Progress::read(repo, pipeline, Some(tenant)).await?.cover);
        }
        let wanted = self.wanted(&behind).await;
        self.note_tried(&mut everybody, &wanted).await?;
        let noted = self.note_archived(&to).await?;
        let lowest = lowest(&from, wanted.values());
        let look = Look { from: &from, lowest: &lowest, to: &to, noted: &noted, known: &everybody.gaps };
        let is_of_all = self.options.selection == Selection::All && self.options.fresh == Fresh::None;
        let seen = match everybody.listed_from.filter(|_| is_of_all && wanted.is_empty()) {
            Some(begin) => self.look_from(begin, &look).await?,
            None => self.look(None, &look).await?,
        };
        let next_from = seen.next_from();
        let Seen { old, segments, to, expired, gaps, cold, damaged, .. } = seen;
        if self.options.selection == Selection::All && everybody.gaps != gaps.all {
            everybody.gaps.clone_from(&gaps.all);
            everybody.write(repo, self.parts.clock.now()).await?;
        }
        // Gaps are noted by then: what lies behind them may go cold.
        if let Some(error) = cold.into_values().next() {
            return Err(error);
        }
        let older = behind::older(archive, old, wanted, &segments, (expired.cover(), &to)).await;
        let with_tables = self.parts.tables.tenants().await?;
        let threads = Threads::new(self.options.jobs)?;
        let round = Round {
            everybody: everybody_from,
            to,
            with_tables,
            expired,
            segments,
            behind,
            older,
            threads,
            gaps,
            next_from,
            damaged,
        };
        Ok((everybody, round))
    }

    /// Looks at the segments from `begin` on, and at all where those are not all that are needed: an archive of years is listed in
    /// hours.
    async fn look_from(&self, begin: Timestamp, look: &Look<'_>) -> Result<Seen> {
        let seen = self.look(Some(begin), look).await?;
        if seen.is_all() { Ok(seen) } else { self.look(None, look).await }
    }

    /// Looks at the segments from `begin` on.
    async fn look(&self, begin: Option<Timestamp>, look: &Look<'_>) -> Result<Seen> {
        let (archive, repo, pipeline) = (&*self.parts.archive, &*self.parts.repo, &self.options.pipeline);
        let listing = Listing::begin(archive, &*self.parts.clock);
        let listed = listed::segments(archive, look.lowest, look.to, begin).await?;
        // After that: what is not listed any more was noted before it went.
        let expired = Expired::read(repo, pipeline, Stage::Staged).await?;
        let mut kept_from = look.from.clone();
        kept_from.merge(expired.cover());
        let (old, new) = listed::split(listed, look.from);
        let found = listed::up_to_gaps(archive, new, &kept_from, look.to, look.known).await?;
        let to = found.before_all(look.to);
        let UpToGaps { mut segments, missing, cold, damaged } = found;
        // What lies behind a gap waits for what is in it.
        segments.retain(|segment| to.contains(&segment.0.name.shard, segment.0.name.first));
        let mut gaps = Gaps::of(missing, look.noted, listing);
        let is_unknown = |gap: &&Gap| cold.contains_key(&gap.shard) || damaged.contains_key(&gap.shard);
        gaps.all.extend(look.known.iter().filter(is_unknown).cloned());
        let damaged = damaged.into_values().next().map(|(_, error)| error);
        Ok(Seen { listing, old, segments, to, expired, gaps, cold, damaged })
    }

    /// Up to where everybody is who is wanted, but for those who are behind.
    fn everybody(&self, everybody: &Progress) -> (Cover, AllBehind) {
        match &self.options.selection {
            // What is made anew is read from the first segment on.
            Selection::All | Selection::Tenant(_) if self.options.fresh != Fresh::None => Default::default(),
            Selection::All => (everybody.reached.clone(), everybody.behind.clone()),
            Selection::Tenant(tenant) => (everybody.reached_by(tenant).clone(), AllBehind::new()),
        }
    }

    /// Notes who is tried before it is done: a run that takes longer than it may is not the first of many.
    async fn note_tried(&self, everybody: &mut Progress, wanted: &BTreeMap<TenantId, Cover>) -> Result<()> {
        if self.options.few_records == 0 || wanted.is_empty() {
            return Ok(());
        }
        let now = self.parts.clock.now();
        for (_, behind) in everybody.behind.iter_mut().filter(|(tenant, _)| wanted.contains_key(*tenant)) {
            behind.tried = now.micros();
        }
        everybody.write(&*self.parts.repo, now).await
    }

    /// Those of who is behind whose older records are tried again, with how far they are. Who runs once tries all.
    async fn wanted(&self, behind: &AllBehind) -> BTreeMap<TenantId, Cover> {
        let (repo, pipeline) = (&*self.parts.repo, &self.options.pipeline);
        let (is_once, now) = (self.options.few_records == 0, self.parts.clock.now());
        let mut wanted = BTreeMap::new();
        for (tenant, behind) in behind.iter().filter(|(_, behind)| is_once || behind.is_due(now)) {
            let mut from = behind.cover.clone();
            match Progress::read(repo, pipeline, Some(tenant)).await {
                // Somebody may have run for this tenant alone.
                Ok(progress) => from.merge(&progress.cover),
                // The tenant's turn tells it.
                Err(error) => tracing::debug!(%error, %tenant, "how far a tenant is cannot be read"),
            }
            wanted.insert(tenant.clone(), from);
        }
        wanted
    }
}
