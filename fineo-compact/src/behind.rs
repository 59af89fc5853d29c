//! Tenants for whom compaction failed: everybody else goes on without them, and nothing that they need leaves the archive.

use std::{collections::BTreeMap, sync::Arc};

use fineo_core::{Archive, Cover, Error, MetricId, Result, ShardId, TenantId, Timestamp, archive::SegmentInfo};
use fineo_ingest::{Chain, Missing, SegmentReader};

use crate::{
    FailedTenant,
    listed::ByShard,
    tenant::{Failed, Segment},
};

/// So many are noted at most: where it fails for more, it is no tenant's matter, and everybody waits.
pub(crate) const BEHIND_MAX: usize = 256;
/// While somebody is behind for so long again as it is by now, its older records are tried so many times: the longer, the more
/// segments have to be looked at.
const TRIES: i64 = 24;
/// They are tried so often at least.
const TRY_EVERY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// How far a tenant is for whom compaction failed, or whom somebody else had just then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behind {
    /// All that the tenant sent at or before it is in files.
    pub(crate) cover: Cover,
    /// Since when the same fails, in microseconds.
    pub(crate) since: i64,
    /// When what lies behind the cover was tried last.
    pub(crate) tried: i64,
    /// What failed; nothing where somebody else had the tenant.
    pub(crate) failed: Vec<FailedTenant>,
}

/// The tenants who are behind.
pub(crate) type AllBehind = BTreeMap<TenantId, Behind>;

/// What a run reads of those who are behind and are tried again: from where on, and their older segments.
pub(crate) type Older = BTreeMap<TenantId, (Cover, Result<Vec<Segment>>)>;

impl Behind {
    /// Whether what lies behind the cover is tried again.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let wait = (self.tried.saturating_sub(self.since) / TRIES).min(TRY_EVERY_MICROS);
        // By a clock that was ahead it may have been tried later than now.
        self.tried > now.micros() || self.tried.saturating_add(wait) <= now.micros()
    }

    /// The metrics that failed, and why; none when it was not one metric or another that failed.
    pub(crate) fn metrics(&self) -> Option<Failed> {
        let failed = self.failed.iter().map(|failed| {
            let metric = MetricId::new(failed.metric.as_deref()?).ok()?;
            Some((metric, Error::corrupt(failed.error.clone())))
        });
        failed.collect::<Option<Failed>>().filter(|failed| !failed.is_empty())
    }
}

/// Notes that a tenant is behind, who was at least at `reached` before the run, and what `failed`: `is_tried` when the older
/// records were tried.
pub(crate) fn note(
    behind: &mut AllBehind,
    (tenant, reached): (TenantId, &Cover),
    (failed, is_tried): (Vec<FailedTenant>, bool),
    now: Timestamp,
) {
    let now = now.micros();
    let new = || Behind { cover: reached.clone(), since: now, tried: now, failed: Vec::new() };
    let noted = behind.entry(tenant).or_insert_with(new);
    if failed.is_empty() {
        // Everybody goes on without what was new, of all that the tenant has: what failed before is not all that is missing.
        noted.tried = noted.since;
        noted.failed.clear();
        return;
    }
    let of_what = |failed: &[FailedTenant]| failed.iter().map(|failed| failed.metric.clone()).collect::<Vec<_>>();
    if noted.failed.is_empty() {
        noted.tried = now;
    } else if of_what(&failed) != of_what(&noted.failed) {
        (noted.since, noted.tried) = (now, now);
    } else if is_tried {
        noted.tried = now;
    }
    noted.failed = failed;
}

/// What `cover` and all of `others` have.
pub(crate) fn lowest<'a>(cover: &Cover, others: impl IntoIterator<Item = &'a Cover>) -> Cover {
    others.into_iter().fold(cover.clone(), |lowest, other| {
        let of_both = |(shard, last): (&ShardId, _)| Some((shard.clone(), other.last(shard)?.min(last)));
        lowest.iter().filter_map(of_both).collect()
    })
}

/// What is looked for, for one tenant.
struct Look {
    tenant: TenantId,
    from: Cover,
    chain: Chain,
    found: Result<Vec<Segment>>,
}

/// Reads the headers of what is `listed`, for each of `wanted` behind its cover, as far as everybody else has been; `read` are the
/// segments behind that, up to `to`. What cannot be read, or is missing and not `expired`, fails those who ask for it.
pub(crate) async fn older(
    archive: &dyn Archive,
    listed: ByShard,
    wanted: BTreeMap<TenantId, Cover>,
    read: &[Segment],
    (expired, to): (&Cover, &Cover),
) -> Older {
    let mut looks: Vec<Look> = wanted
        .into_iter()
        .map(|(tenant, from)| {
            let mut chain = Chain::default();
            read.iter().for_each(|segment| chain.add(&segment.1));
            Look { tenant, from, chain, found: Ok(Vec::new()) }
        })
        .collect();
    for info in listed.into_values().flatten() {
        look_at(archive, info, &mut looks).await;
    }
    let checked = looks.into_iter().map(|look| {
        let mut kept_from = look.from.clone();
        kept_from.merge(expired);
        let missing = look.chain.missing(&kept_from, to);
        let found = look.found.and_then(|found| Missing::check_lost(&missing).map(|()| found));
        (look.tenant, (look.from, found))
    });
    checked.collect()
}

async fn look_at(archive: &dyn Archive, info: SegmentInfo, looks: &mut [Look]) {
    let name = &info.name;
    let asks = |look: &&mut Look| look.found.is_ok() && !look.from.contains(&name.shard, name.last);
    let mut asking: Vec<&mut Look> = looks.iter_mut().filter(asks).collect();
    if asking.is_empty() {
        return;
    }
    let opened = SegmentReader::open(archive, &info).await;
    let opened = opened.map(|reader| Arc::new((info, reader)));
    for look in &mut asking {
        match &opened {
            Ok(segment) => {
                look.chain.add(&segment.1);
                if let Ok(found) = &mut look.found
                    && segment.1.tenants().contains(&look.tenant.as_str())
                {
                    found.push(Arc::clone(segment));
                }
            }
            Err(error) => look.found = Err(error.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
