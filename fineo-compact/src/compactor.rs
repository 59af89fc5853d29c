//! Compaction as a whole: who has something to do, one tenant after the other, once or for as long as it is wanted.

mod round;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use fineo_core::{
    Archive, Clock, Cover, Entropy, Error, ErrorKind, MetricId, NearlineStore, Result, SchemaRepo, TenantId,
    archive::Stage,
    repo::{Keep, Subject},
};
use fineo_ingest::{Claim, Claimed, Lease, Listing, Missing, Noted, archived};
use fineo_schema::SchemaStore;
use fineo_table::Tables;
use round::{Round, Share};
use tokio::sync::watch;

use crate::{
    CompactOptions, CompactReport, FailedTenant, Fresh, Notifier, Rewrite, Selection, TenantReport,
    behind::{self, AllBehind, BEHIND_MAX},
    expire::{self, Left},
    progress::Progress,
    tenant::{Ran, Segment, TenantRun},
    upkeep::Due,
    waiting,
};

/// How often a tenant's run begins anew when somebody else was faster.
const ATTEMPTS_MAX: u32 = 4;

/// The stores that compaction works on. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct CompactorParts {
    /// Where segments are.
    pub archive: Arc<dyn Archive>,
    /// Where leases, checkpoints and the progress are.
    pub repo: Arc<dyn SchemaRepo>,
    /// The tenants' schemas.
    pub schemas: SchemaStore,
    /// Where files go.
    pub tables: Tables,
    /// Where recent rows are.
    pub nearline: Arc<dyn NearlineStore>,
    /// Who hears of news; nobody for none.
    pub notifier: Option<Arc<dyn Notifier>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// What became of a tenant's new records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// They had their turn.
    Over,
    /// They are few and young, and wait for more.
    Waits,
    /// They are not in files, or not all of them: it failed, or somebody else has the tenant.
    Behind,
}

/// Makes columnar files of what stage staged archived.
///
/// Any number of compactors may work on one instance: each takes a tenant's lease before it works for the tenant. Nothing
/// hangs on the lease but work done twice: the commit of a table is what counts, and of two made on one state of
/// the table one is refused.
#[derive(Clone)]
pub struct Compactor {
    parts: CompactorParts,
    options: CompactOptions,
    owner: Arc<str>,
}

impl Compactor {
    /// Works on `parts` as `options` say.
    pub fn new(parts: CompactorParts, options: CompactOptions) -> Self {
        let owner = match &options.owner {
            Some(owner) => owner.as_str().into(),
            None => format!("{:032x}", u128::from_be_bytes(parts.entropy.id())).into(),
        };
        Self { parts, options, owner }
    }

    /// Compacts what was archived so far; `on_progress` hears of every tenant that is done.
    ///
    /// A tenant for whom it fails is named in the report and keeps nobody else waiting; so is a metric with a damaged file, of
    /// which nothing is compacted until that is mended. How far such a tenant is stays noted, and the archive keeps what is left to
    /// be done. Running again is always safe.
    ///
    /// Of an archive that lists late it compacts what comes before everything that is not listed yet, for nothing is read any
    /// more that comes before what was compacted. The rest stays nearline until a later run. Of a shard nothing is read behind
    /// its first gap, so that one that stands for long costs no more than one that does not.
    ///
    /// # Errors
    ///
    /// When the archive or the repository cannot be read at all; `Cold`, before anything was done, when a segment has to be
    /// restored first that nobody has read yet; `Corrupt` when segments are missing, or one is damaged so that nobody can
    /// tell whose events it has, after what comes before them was compacted: rows behind them stay nearline. Of an archive
    /// that lists late they are missing when somebody noted so long ago that they were archived.
    pub async fn run(&self, on_progress: &(dyn Fn(&TenantReport) + Send + Sync)) -> Result<CompactReport> {
        let (mut everybody, round) = Box::pin(self.round()).await?;
        let mut report = CompactReport { undelivered: round.gaps.shards_waiting, ..CompactReport::default() };
        let (mut waiting, mut behind) = (BTreeSet::new(), everybody.behind.clone());
        for (tenant, segments) in self.tenants(&round).await? {
            let failed_before = report.failed.len();
            let turn = Box::pin(self.tenant(&tenant, segments, &round, &mut report)).await;
            if turn != Turn::Waits
                && let Some(done) = report.tenants.last().filter(|done| done.tenant == tenant.as_str())
            {
                on_progress(done);
            }
            match turn {
                Turn::Over => drop(behind.remove(&tenant)),
                Turn::Waits => {
                    waiting.insert(tenant);
                    report.waiting += 1;
                }
                Turn::Behind => {
                    let failed = report.failed[failed_before..].to_vec();
                    let is_tried = round.older.contains_key(&tenant);
                    let now = self.parts.clock.now();
                    behind::note(&mut behind, (tenant, &everybody.reached), (failed, is_tried), now);
                }
            }
        }
        if self.options.selection == Selection::All && behind.len() <= BEHIND_MAX {
            let done = waiting::done_by_all(&round.segments, &waiting, &round.to);
            everybody.listed_from = Some(round.next_from);
            self.note_all(&mut everybody, (&done, behind), &mut report).await?;
        }
        Missing::check_lost(&round.gaps.lost)?;
        match round.damaged {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// Notes what is archived by now, for whoever replays or backs up: without it they cannot tell what is lost. Answers what is noted
    /// of stage staged.
    async fn note_archived(&self, staged: &Cover) -> Result<Noted> {
        if self.parts.archive.capabilities().listed_within.is_none() {
            return Ok(Noted::default());
        }
        let (repo, pipeline) = (&*self.parts.repo, &self.options.pipeline);
        let raw = archived(repo, pipeline, Stage::Raw).await?;
        // After both were read: by then they were archived.
        let listing = Listing::begin(&*self.parts.archive, &*self.parts.clock);
        Noted::with(repo, pipeline, Stage::Raw, (&raw, listing)).await?;
        Noted::with(repo, pipeline, Stage::Staged, (staged, listing)).await
    }

    /// Notes how far everybody's records were compacted, and lets go of what the archive need not keep any more.
    async fn note_all(
        &self,
        everybody: &mut Progress,
        (done, behind): (&Cover, AllBehind),
        report: &mut CompactReport,
    ) -> Result<()> {
        let now = self.parts.clock.now();
        if !everybody.reached.includes(done) || everybody.behind != behind {
            everybody.advance_beside(done, behind, now, self.options.retire_after());
            everybody.retired = everybody.cover.clone();
            everybody.write(&*self.parts.repo, now).await?;
        }
        if !expire::is_due(&self.options, everybody.upkeep.expired_at, now) {
            return Ok(());
        }
        // What those lack who are behind is not among it.
        let in_files = everybody.cover_for(self.options.retire_after(), now);
        match self.expire(&in_files, report).await {
            // The next run goes on.
            Ok(Left::More) => Ok(()),
            Ok(Left::Nothing) => {
                everybody.upkeep.expired_at = now.micros();
                everybody.write(&*self.parts.repo, now).await
            }
            // What was compacted is noted all the same.
            Err(error) => {
                tracing::warn!(%error, "old segments stay in the archive until the next run");
                Ok(())
            }
        }
    }

    /// Lets go of segments that are old enough: of all of them where nobody knows when the next run comes.
    async fn expire(&self, in_files: &Cover, report: &mut CompactReport) -> Result<Left> {
        loop {
            let before = report.expired_segments;
            let left = expire::expire(&self.parts, &self.options, in_files, report).await?;
            // What is still listed although it was removed would be removed without end.
            if left == Left::Nothing || self.options.few_records > 0 || report.expired_segments == before {
                return Ok(left);
            }
        }
    }

    /// Runs again and again, `every` so often, until `stop` says so; `on_report` hears of every run that did something, and when
    /// more or fewer shards wait for segments that are not listed.
    pub async fn watch(
        &self,
        every: Duration,
        mut stop: watch::Receiver<bool>,
        on_report: &(dyn Fn(&Result<CompactReport>) + Send + Sync),
    ) {
        let mut undelivered = 0;
        loop {
            // What a run left unfinished the next one does.
            let ran = tokio::select! {
                ran = self.run(&|_| {}) => ran,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let waiting = ran.as_ref().map_or(undelivered, |report| report.undelivered);
            match &ran {
                Ok(report) if report.is_idle() && waiting == undelivered => {}
                Ok(_) | Err(_) => on_report(&ran),
            }
            undelivered = waiting;
            tokio::select! {
                () = self.parts.clock.sleep(every) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// The tenants that may have something to do, with their segments.
    async fn tenants(&self, round: &Round) -> Result<BTreeMap<TenantId, Vec<Segment>>> {
        let mut tenants: BTreeMap<TenantId, Vec<Segment>> = BTreeMap::new();
        match &self.options.selection {
            Selection::Tenant(tenant) => {
                // Of somebody of whom there is nothing, nothing is noted: it would make a tenant of a slip of the pen.
                let has_new = || round.segments.iter().any(|segment| segment.1.tenants().contains(&tenant.as_str()));
                if has_new() || self.parts.repo.tenants().await?.contains(tenant) {
                    tenants.insert(tenant.clone(), round.segments.clone());
                }
            }
            Selection::All => {
                for tenant in self.parts.repo.tenants().await? {
                    tenants.insert(tenant, Vec::new());
                }
                tenants.extend(round.behind.keys().map(|tenant| (tenant.clone(), Vec::new())));
                for segment in &round.segments {
                    for name in segment.1.tenants() {
                        tenants.entry(TenantId::new(name)?).or_default().push(Arc::clone(segment));
                    }
                }
            }
        }
        Ok(tenants)
    }

    /// A tenant's turn; what came of it goes to `report`.
    async fn tenant(&self, tenant: &TenantId, new: Vec<Segment>, round: &Round, report: &mut CompactReport) -> Turn {
        let share = match round.share(tenant, new) {
            Ok(share) => share,
            Err(failed) => {
                for failed in failed {
                    self.note_failed(failed, report).await;
                }
                return Turn::Behind;
            }
        };
        let failed_of = |metric: Option<&MetricId>, error: &Error| FailedTenant {
            tenant: tenant.to_string(),
            metric: metric.map(MetricId::to_string),
            error: error.to_string(),
        };
        let (mut turn, mut failed) = (Turn::Over, share.held.clone());
        match self.leased(tenant, share, round, &mut turn).await {
            Ok(None) => {
                report.busy.push(tenant.to_string());
                Turn::Behind
            }
            Ok(Some(ran)) => {
                failed.extend(ran.failed);
                for (metric, error) in &failed {
                    self.note_failed(failed_of(Some(metric), error), report).await;
                }
                if !ran.report.is_idle() {
                    report.tenants.push(ran.report);
                }
                if turn == Turn::Over && !failed.is_empty() { Turn::Behind } else { turn }
            }
            Err(error) => {
                self.note_failed(failed_of(None, &error), report).await;
                Turn::Behind
            }
        }
    }

    /// Notes in `report` that a tenant's run failed, as a whole or for one metric, and tells it.
    async fn note_failed(&self, failed: FailedTenant, report: &mut CompactReport) {
        let FailedTenant { tenant, metric, error } = &failed;
        tracing::error!(%error, %tenant, ?metric, "compaction failed and begins anew with the next run");
        if let Some(notifier) = &self.parts.notifier
            && let Err(error) = notifier.commit_failed(&failed).await
        {
            tracing::error!(%error, %tenant, "nobody could be told that compaction failed");
        }
        report.failed.push(failed);
    }

    /// Runs for a tenant under its lease; none when somebody else has that. Notes in `turn` that new records wait.
    async fn leased(&self, tenant: &TenantId, share: Share<'_>, round: &Round, turn: &mut Turn) -> Result<Option<Ran>> {
        let repo = &*self.parts.repo;
        let has_tables = round.with_tables.contains(tenant);
        let Share { mut segments, from: everybody, held, may_wait } = share;
        if segments.is_empty() && !has_tables {
            return Ok(Some(Ran::default()));
        }
        if has_tables && self.options.fresh == Fresh::None {
            let progress = Progress::read(repo, &self.options.pipeline, Some(tenant)).await?;
            segments.retain(|segment| !progress.cover.contains(&segment.0.name.shard, segment.0.name.last));
        }
        let mut to = &round.to;
        if may_wait && waiting::may_wait(tenant, &segments, &self.options, self.parts.clock.now()) {
            *turn = Turn::Waits;
            (segments, to) = (Vec::new(), everybody);
        }
        if segments.is_empty() && !(has_tables && self.is_wanted(tenant).await?) {
            return Ok(Some(Ran::default()));
        }
        let subject = Subject::tenant(tenant, &format!("lease/{}/compaction", self.options.pipeline), Keep::Latest)?;
        let (parts, options, segments, expired, held) = (&self.parts, &self.options, &*segments, &round.expired, &held);
        let threads = &round.threads;
        let run = TenantRun { parts, options, threads, tenant, segments, everybody, to, expired, held };
        for attempt in 1..=ATTEMPTS_MAX {
            let claim = Claim { owner: &self.owner, hold_for: self.options.lease_for, at_once: self.options.is_alone };
            let claimed = Lease::claim(repo, subject.clone(), claim, self.parts.clock.now()).await?;
            let Claimed::Held(mut lease) = claimed else { return Ok(None) };
            let ran = run.run(&mut lease).await;
            if let Err(error) = lease.release(repo, self.parts.clock.now()).await {
                tracing::debug!(%error, %tenant, "a lease could not be given back, it will run out");
            }
            match ran {
                Ok(ran) => return Ok(Some(ran)),
                Err(error) if error.kind() == ErrorKind::Cancelled && attempt < ATTEMPTS_MAX => {
                    tracing::debug!(%error, %tenant, "somebody else was faster");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether a tenant without new records has something to do all the same.
    async fn is_wanted(&self, tenant: &TenantId) -> Result<bool> {
        if self.options.rewrite != Rewrite::Never || self.options.fresh != Fresh::None {
            return Ok(true);
        }
        let progress = Progress::read(&*self.parts.repo, &self.options.pipeline, Some(tenant)).await?;
        if self.parts.notifier.is_some() && !progress.untold.is_empty() {
            return Ok(true);
        }
        let due = progress.cover_for(self.options.retire_after(), self.parts.clock.now());
        let is_due = !due.is_empty() && !progress.retired.includes(&due);
        let schema = self.parts.schemas.snapshot(tenant).await?;
        let upkeep = Due::of(&progress.upkeep, &schema, &self.options, self.parts.clock.now());
        Ok(is_due || upkeep.is_any())
    }
}

impl fmt::Debug for Compactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compactor").field("owner", &self.owner).field("options", &self.options).finish_non_exhaustive()
    }
}
