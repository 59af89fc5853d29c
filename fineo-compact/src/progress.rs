//! Up to where a tenant's records, or everybody's, were compacted, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fineo_core::{
    Cover, Error, ErrorKind, Position, Result, SchemaRepo, ShardId, TenantId, Timestamp,
    repo::{Compared, Keep, Subject, Version, Write},
};
use serde::{Deserialize, Serialize};

use crate::{
    FailedTenant,
    behind::{AllBehind, Behind, lowest},
    former::Former,
    tenant::before,
    undelivered::Gap,
    untold::Untold,
};

/// A cover as JSON.
type CoverBody = BTreeMap<String, String>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Body {
    cover: CoverBody,
    /// Covers with the time at which they were committed, oldest first.
    #[serde(default)]
    former: Vec<(i64, CoverBody)>,
    /// Up to where rows left the nearline store.
    #[serde(default)]
    retired: CoverBody,
    #[serde(default)]
    upkeep: Upkeep,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<GapBody>,
    /// What those who are not behind have in files; nothing where nobody is behind.
    #[serde(default, skip_serializing_if = "CoverBody::is_empty")]
    reached: CoverBody,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    behind: Vec<BehindBody>,
    #[serde(default, skip_serializing_if = "Untold::is_empty")]
    untold: Untold,
    /// From when on segments are listed first, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listed_from: Option<i64>,
}

/// A [`Behind`] as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BehindBody {
    tenant: String,
    cover: CoverBody,
    since: i64,
    tried: i64,
    failed: Vec<FailedTenant>,
}

/// A [`Gap`] as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct GapBody {
    shard: String,
    after: Option<String>,
}

/// Up to where everybody's records are in files, of the archive of the pipeline called `pipeline`.
///
/// # Errors
///
/// `Corrupt`, or a failure of the repository.
pub async fn in_files(repo: &dyn SchemaRepo, pipeline: &str) -> Result<Cover> {
    Ok(Progress::read(repo, pipeline, None).await?.cover)
}

/// What was done last to keep a tenant's tables small.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upkeep {
    /// When rows that are too old were last looked for.
    pub(crate) aged_at: i64,
    /// The schema under which it was last done.
    pub(crate) schema: u64,
    /// The metrics that failed then: what was deleted is still to be taken out of their tables.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) uncollected: BTreeSet<String>,
    /// When segments that are too old were last looked for; of everybody's.
    #[serde(default)]
    pub(crate) expired_at: i64,
    /// Since when there may be garbage that was not collected.
    pub(crate) garbage_since: Option<i64>,
}

/// How far compaction is.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    subject: Subject,
    version: Version,
    /// Everything at or before it is in files: of everybody's also what those have who are behind.
    pub(crate) cover: Cover,
    former: Former,
    /// Up to where rows left the nearline store.
    pub(crate) retired: Cover,
    pub(crate) upkeep: Upkeep,
    /// What the last run missed of an archive that lists late; of everybody's.
    pub(crate) gaps: Vec<Gap>,
    /// What all but those have in files who are behind; of everybody's.
    pub(crate) reached: Cover,
    /// Who is behind; of everybody's.
    pub(crate) behind: AllBehind,
    /// What was found and is not told yet; of a tenant's.
    pub(crate) untold: Untold,
    /// When the segments begin that the next run most likely needs: it looks whether they are all; of everybody's.
    pub(crate) listed_from: Option<Timestamp>,
}

impl Progress {
    /// How far a tenant's records are compacted; without a tenant, everybody's.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the repository.
    pub(crate) async fn read(repo: &dyn SchemaRepo, pipeline: &str, tenant: Option<&TenantId>) -> Result<Self> {
        let name = format!("compaction/{pipeline}");
        let subject = match tenant {
            Some(tenant) => Subject::tenant(tenant, &name, Keep::Latest)?,
            None => Subject::system(&name, Keep::Latest)?,
        };
        let (version, body) = match repo.latest(&subject).await? {
            None => (Version::NONE, Body::default()),
            Some(found) => {
                let body: Body = serde_json::from_slice(&found.body).map_err(|source| {
                    Error::corrupt("how far compaction is cannot be read").with("subject", &subject).with_source(source)
                })?;
                (found.version, body)
            }
        };
        let former: Result<Former> =
            body.former.iter().map(|(micros, cover)| Ok((*micros, cover_of(cover)?))).collect();
        let (cover, retired) = (cover_of(&body.cover)?, cover_of(&body.retired)?);
        let gaps: Result<Vec<Gap>> = body.gaps.iter().map(gap_of).collect();
        let (former, gaps) = (former?, gaps?);
        let mut reached = cover_of(&body.reached)?;
        reached.merge(&cover);
        let Body { upkeep, untold, behind, listed_from, .. } = body;
        let behind = behind.into_iter().map(behind_of).collect::<Result<AllBehind>>()?;
        let listed_from = listed_from.map(Timestamp::saturating_from_micros);
        Ok(Self { subject, version, cover, former, retired, upkeep, gaps, reached, behind, untold, listed_from })
    }

    /// Notes that everything at or before `cover` is in files since `now`; rows that are there leave the nearline store after `wait`.
    pub(crate) fn advance(&mut self, cover: &Cover, now: Timestamp, wait: Duration) {
        if self.cover.includes(cover) {
            return;
        }
        self.cover.merge(cover);
        self.former.note(self.cover.clone(), now, wait);
    }

    /// As [`Progress::advance`], of everybody: everything at or before `reached`, but for what those lack who are `behind`.
    pub(crate) fn advance_beside(&mut self, reached: &Cover, behind: AllBehind, now: Timestamp, wait: Duration) {
        self.reached.merge(reached);
        self.behind = behind;
        let of_all = lowest(&self.reached, self.behind.values().map(|behind| &behind.cover));
        self.advance(&of_all, now, wait);
    }

    /// What is in files of a tenant's; of everybody's.
    pub(crate) fn reached_by(&self, tenant: &TenantId) -> &Cover {
        self.behind.get(tenant).map_or(&self.reached, |behind| &behind.cover)
    }

    /// What is in files for at least `wait`; of what was noted shortly after it only a part.
    pub(crate) fn cover_for(&self, wait: Duration, now: Timestamp) -> Cover {
        self.former.at(before(now, wait))
    }

    /// Whether there is a cover that rows have not been removed for.
    pub(crate) fn is_retiring(&self) -> bool {
        !self.retired.includes(&self.cover)
    }

    /// Keeps it, unless somebody else was faster: that is no failure, for both say what is true.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub(crate) async fn write(&mut self, repo: &dyn SchemaRepo, now: Timestamp) -> Result<()> {
        if let Compared::Conflict { subject, current } = self.append(repo, now).await? {
            tracing::debug!(%subject, %current, "somebody else noted how far compaction is");
        }
        Ok(())
    }

    /// Keeps it before something is done that hangs on it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`] when somebody else was faster: the run begins anew. Otherwise a failure of the repository.
    pub(crate) async fn write_ahead(&mut self, repo: &dyn SchemaRepo, now: Timestamp) -> Result<()> {
        match self.append(repo, now).await? {
            Compared::Written => Ok(()),
            Compared::Conflict { .. } => {
                Err(Error::new(ErrorKind::Cancelled, "somebody else noted how far compaction is in the meantime"))
            }
        }
    }

    async fn append(&mut self, repo: &dyn SchemaRepo, now: Timestamp) -> Result<Compared> {
        let former = self.former.iter().map(|(micros, cover)| (*micros, body_of(cover))).collect();
        let (cover, retired) = (body_of(&self.cover), body_of(&self.retired));
        let gaps = self.gaps.iter().map(body_of_gap).collect();
        let reached = if self.behind.is_empty() { CoverBody::new() } else { body_of(&self.reached) };
        let behind = self.behind.iter().map(body_of_behind).collect();
        let (upkeep, untold) = (self.upkeep.clone(), self.untold.clone());
        let listed_from = self.listed_from.map(Timestamp::micros);
        let body = Body { cover, former, retired, upkeep, gaps, reached, behind, untold, listed_from };
        let body = serde_json::to_vec(&body).expect("a progress is plain data");
        let write = Write { subject: self.subject.clone(), expected: self.version, body: Some(body.into()) };
        let compared = repo.append(vec![write], now).await.into_result()?;
        if compared == Compared::Written {
            self.version = self.version.next();
        }
        Ok(compared)
    }
}

fn body_of(cover: &Cover) -> CoverBody {
    cover.iter().map(|(shard, position)| (shard.as_str().to_owned(), position.to_string())).collect()
}

fn cover_of(body: &CoverBody) -> Result<Cover> {
    body.iter().map(|(shard, position)| Ok((ShardId::new(shard)?, position.parse::<Position>()?))).collect()
}

fn body_of_behind((tenant, behind): (&TenantId, &Behind)) -> BehindBody {
    let Behind { cover, since, tried, failed } = behind;
    BehindBody {
        tenant: tenant.to_string(),
        cover: body_of(cover),
        since: *since,
        tried: *tried,
        failed: failed.clone(),
    }
}

fn behind_of(body: BehindBody) -> Result<(TenantId, Behind)> {
    let BehindBody { tenant, cover, since, tried, failed } = body;
    Ok((TenantId::new(&tenant)?, Behind { cover: cover_of(&cover)?, since, tried, failed }))
}

fn body_of_gap(gap: &Gap) -> GapBody {
    let after = gap.after.map(|after| after.to_string());
    GapBody { shard: gap.shard.as_str().to_owned(), after }
}

fn gap_of(body: &GapBody) -> Result<Gap> {
    let after = body.after.as_ref().map(|after| after.parse()).transpose()?;
    Ok(Gap { shard: ShardId::new(&body.shard)?, after })
}
