//! Takes in a source to the end and says what became of its events, once all of them can be asked for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use fineo::{
    Cover, ErrorKind, Fineo, ImportOptions, ImportReport, ImportSource, Result, Routing, core::Code,
    ingest::TenantCounts,
};
use serde::{Deserialize, Serialize};

/// How long a wait for the stages lasts before their progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many looks without any progress make a failure.
const LOOKS_MAX: u32 = 240;
/// How many of the events that were refused at the edge, which have no row among the errors, are named.
const REFUSALS_SHOWN: usize = 5;

/// What became of events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Stored, or known already.
    pub accepted: u64,
    /// Not stored as rows, for a reason of their own.
    pub rejected: BTreeMap<String, u64>,
    /// Those of the accepted ones that were known already.
    pub duplicates: u64,
    /// The bytes of the events, no longer compressed.
    pub bytes: u64,
    /// The bytes that were read.
    pub packed_bytes: u64,
    /// What the first events had wrong that were refused at the edge, with their number in their source.
    pub refusals: Vec<(u64, String)>,
}

impl Counts {
    /// The counts of an import that read `report`, when the stages have `counted` so much since it began.
    ///
    /// The edge accepts what can be framed; what stage raw then rejects is rejected here as well.
    pub fn of(report: &ImportReport, counted: &TenantCounts) -> Self {
        let at_edge: u64 = report.rejected.values().sum();
        let mut rejected: BTreeMap<String, u64> =
            counted.rejected.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
        if counted.conflicts > 0 {
            rejected.entry(Code::IdConflict.to_string()).or_insert(counted.conflicts);
        }
        let by_stages = rejected.values().sum::<u64>().saturating_sub(at_edge);
        Self {
            accepted: report.accepted.saturating_sub(by_stages),
            rejected,
            duplicates: counted.duplicates,
            bytes: report.bytes,
            packed_bytes: report.packed_bytes,
            refusals: report.first_rejections.iter().take(REFUSALS_SHOWN).cloned().collect(),
        }
    }

    /// How many were not stored.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Counts `other` as well.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.bytes += other.bytes;
        self.packed_bytes += other.packed_bytes;
        for (code, count) in &other.rejected {
            *self.rejected.entry(code.clone()).or_default() += count;
        }
        self.refusals.extend(other.refusals.iter().cloned());
    }

    /// Whether some of the rejected events were kept, and have a row among the errors.
    pub fn has_kept_rejected(&self) -> bool {
        let of_nobody = [Code::TenantMissing, Code::TenantInvalid].map(|code| code.to_string());
        let of_tenants = self.rejected.iter().filter(|(code, _)| !of_nobody.contains(code));
        let refused = self.refusals.len() as u64;
        of_tenants.map(|(_, count)| count).sum::<u64>() > 0 && self.rejected_total() > refused
    }
}

/// Takes in `source` and waits until all that was accepted can be asked; `show` hears of how far it is, and last, where the
/// source breaks off, of what is kept of it.
///
/// What the stages reject is counted for the tenant as a whole: events that others send to the same tenant meanwhile are
/// among the rejected and the duplicates.
///
/// # Errors
///
/// As [`Fineo::import`], or when the stages make no progress for two minutes.
pub async fn import(
    fineo: &Fineo,
    source: ImportSource,
    options: ImportOptions,
    show: &(dyn Fn(&Counts) + Send + Sync),
) -> Result<Counts> {
    let routing = options.routing.clone();
    // What was under way before must not be counted as this import's.
    wait_until_visible(fineo, &routing, None, &|| {}).await?;
    let before = counted(fineo, &routing);
    let counts_of = |report: &ImportReport| Counts::of(report, &counted(fineo, &routing).since(&before));
    let last = Mutex::new(ImportReport::default());
    let so_far = |report: &ImportReport| {
        show(&counts_of(report));
        last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(report);
    };
    let imported = fineo.import(source, options, &so_far).await;
    let kept = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    let report = imported.as_ref().unwrap_or(&kept);
    let is_empty = report.token.is_empty() && imported.is_err();
    let waited = match is_empty {
        true => Ok(()),
        false => wait_until_visible(fineo, &routing, Some(&report.token), &|| show(&counts_of(report))).await,
    };
    let counts = counts_of(report);
    if let Err(error) = imported {
        // What came before is kept, and counted once the stages have looked at it.
        if counts.bytes > 0 {
            show(&counts);
        }
        return Err(error);
    }
    waited.map(|()| counts)
}

/// Waits until everything up to `token`, or everything accepted so far, can be asked, as long as there is progress.
async fn wait_until_visible(
    fineo: &Fineo,
    routing: &Routing,
    token: Option<&Cover>,
    look: &(dyn Fn() + Send + Sync),
) -> Result<()> {
    let mut looks = 0;
    let mut seen = counted(fineo, routing);
    loop {
        let waited = match token {
            Some(token) => fineo.wait_until_visible(token, LOOK_EVERY).await,
            None => fineo.pipeline().drain(LOOK_EVERY).await,
        };
        let error = match waited {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::LimitExceeded => error,
            Err(error) => return Err(error),
        };
        look();
        let now = counted(fineo, routing);
        looks = if now == seen { looks + 1 } else { 0 };
        seen = now;
        if looks >= LOOKS_MAX {
            return Err(error);
        }
    }
}

/// What became of the events of one tenant, or of all, since the store was opened.
fn counted(fineo: &Fineo, routing: &Routing) -> TenantCounts {
    let counters = fineo.pipeline().counters();
    if let Routing::Tenant(tenant) = routing {
        return counters.tenant(tenant);
    }
    let mut sum = TenantCounts::default();
    for counts in counters.all().into_values() {
        sum.accepted += counts.accepted;
        sum.rows += counts.rows;
        sum.duplicates += counts.duplicates;
        sum.conflicts += counts.conflicts;
        sum.failed += counts.failed;
        for (code, count) in counts.rejected {
            *sum.rejected.entry(code).or_default() += count;
        }
    }
    for (code, count) in counters.without_tenant() {
        *sum.rejected.entry(code).or_default() += count;
    }
    sum
}
