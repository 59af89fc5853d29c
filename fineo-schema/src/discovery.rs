//! What events brought in: the stored names of every metric, counted as rows are stored.

mod save;
mod saved;
mod tracker;
mod union;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fineo_core::{Clock, MetricId, Result, SchemaRepo, ShardId, TenantId, nearline::Rows};

use crate::SeenNames;
use saved::Key;
use tracker::Tracker;

/// Tracks names and their statistics; shared by whoever stores rows and whoever asks.
///
/// In-process state is visible at once; [`Discovery::save`] puts it into the repository together with the
/// positions that it counts, so that a restart counts every row once. One process at a time counts a shard.
#[derive(Clone)]
pub struct Discovery(Arc<Inner>);

struct Inner {
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<dyn Clock>,
    tenants: Mutex<HashMap<TenantId, TenantTrackers>>,
}

#[derive(Debug, Default)]
struct TenantTrackers {
    metrics: BTreeMap<MetricId, HashMap<ShardId, Tracker>>,
    /// Answers that still hold, with the sum of the generations that they are of.
    seen: HashMap<Vec<MetricId>, (u64, Arc<SeenNames>)>,
    is_loaded: bool,
}

/// Answers for this many sets of metrics are kept per tenant.
const SEEN_KEPT_MAX: usize = 256;

impl Discovery {
    /// Keeps its state in `repo`.
    pub fn new(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { repo, clock, tenants: Mutex::new(HashMap::new()) }))
    }

    /// Counts the names of the rows that `is_new` holds for and whose positions were not counted before.
    ///
    /// [`Discovery::load`] comes first, once per tenant: without it, what was saved is counted again.
    pub fn observe(&self, tenant: &TenantId, metric: &MetricId, rows: &Rows, is_new: &dyn Fn(usize) -> bool) {
        let mut tenants = self.tenants();
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.clone(), TenantTrackers::default());
        }
        let Some(trackers) = tenants.get_mut(tenant) else { return };
        if !trackers.metrics.contains_key(metric) {
            trackers.metrics.insert(metric.clone(), HashMap::new());
        }
        let Some(shards) = trackers.metrics.get_mut(metric) else { return };
        if !shards.contains_key(rows.shard()) {
            shards.insert(rows.shard().clone(), Tracker::default());
        }
        if let Some(tracker) = shards.get_mut(rows.shard()) {
            tracker.observe(rows, is_new);
        }
    }

    /// The names that the rows of `metrics` bore so far, in order of first sight.
    pub fn seen(&self, tenant: &TenantId, metrics: &[MetricId]) -> Arc<SeenNames> {
        let mut tenants = self.tenants();
        let Some(trackers) = tenants.get_mut(tenant) else { return Arc::default() };
        let of_metrics: Vec<&Tracker> = trackers.of(metrics).collect();
        let generation = of_metrics.iter().map(|tracker| tracker.generation).sum();
        if let Some((known, seen)) = trackers.seen.get(metrics)
            && *known == generation
        {
            return Arc::clone(seen);
        }
        let seen = Arc::new(union::union(&of_metrics));
        if trackers.seen.len() >= SEEN_KEPT_MAX {
            trackers.seen.clear();
        }
        trackers.seen.insert(metrics.to_vec(), (generation, Arc::clone(&seen)));
        seen
    }

    /// Whether no row of `metrics` bore both names; none when that is not tracked for them.
    pub fn is_never_together(&self, tenant: &TenantId, metrics: &[MetricId], left: &str, right: &str) -> Option<bool> {
        let tenants = self.tenants();
        let mut is_known = false;
        for tracker in tenants.get(tenant)?.of(metrics) {
            let has_both = tracker.numbers.contains_key(left) && tracker.numbers.contains_key(right);
            if has_both && !tracker.is_never_together(left, right)? {
                return Some(false);
            }
            is_known = true;
        }
        is_known.then_some(true)
    }

    /// Takes in what was saved for `tenant`; nothing when that happened before.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn load(&self, tenant: &TenantId) -> Result<()> {
        if self.tenants().get(tenant).is_some_and(|trackers| trackers.is_loaded) {
            return Ok(());
        }
        self.refresh(tenant).await
    }

    /// Takes in what other processes saved for `tenant` since.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn refresh(&self, tenant: &TenantId) -> Result<()> {
        let keys = saved::keys(&*self.0.repo, tenant).await?;
        let mut read = HashSet::new();
        for key in keys {
            if read.insert((key.metric.clone(), key.shard.clone())) {
                self.reload(&key).await?;
            }
        }
        self.tenants().entry(tenant.clone()).or_default().is_loaded = true;
        Ok(())
    }

    /// Brings one tracker together with what is saved of it; whether that was not known.
    async fn reload(&self, key: &Key) -> Result<bool> {
        let known = self.tracker(key).map(|tracker| (tracker.head_version, tracker.generation));
        let mut loaded = Tracker::default();
        if let Some((head_version, _)) = known {
            loaded.head_version = head_version;
        }
        if !saved::load_into(&*self.0.repo, key, &mut loaded).await? {
            return Ok(false);
        }
        let mut tenants = self.tenants();
        let shards = tenants.entry(key.tenant.clone()).or_default().metrics.entry(key.metric.clone()).or_default();
        match shards.get_mut(&key.shard) {
            Some(tracker) => tracker.take_in(loaded),
            None => {
                shards.insert(key.shard.clone(), loaded);
            }
        }
        Ok(true)
    }

    fn tracker(&self, key: &Key) -> Option<Tracker> {
        let tenants = self.tenants();
        tenants.get(&key.tenant)?.metrics.get(&key.metric)?.get(&key.shard).cloned()
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, TenantTrackers>> {
        self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantTrackers {
    fn of<'a>(&'a self, metrics: &'a [MetricId]) -> impl Iterator<Item = &'a Tracker> {
        metrics.iter().filter_map(|metric| self.metrics.get(metric)).flat_map(HashMap::values)
    }

    fn get_mut(&mut self, key: &Key) -> Option<&mut Tracker> {
        self.metrics.get_mut(&key.metric)?.get_mut(&key.shard)
    }

    fn changed<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = Key> + 'a {
        self.metrics.iter().flat_map(move |(metric, shards)| {
            let changed = shards.iter().filter(|(_, tracker)| tracker.generation != tracker.saved_generation);
            changed.map(move |(shard, _)| Key { tenant: tenant.clone(), metric: metric.clone(), shard: shard.clone() })
        })
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("repo", &self.0.repo).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
