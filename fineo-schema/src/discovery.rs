//! What events brought in: the stored names of every metric, counted as rows are stored.

mod names;
mod save;
mod saved;
mod times;
mod tracker;
mod union;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fineo_core::{Clock, MetricId, Result, SchemaRepo, ShardId, TenantId, Timestamp, nearline::Rows, repo::Version};
use futures::{StreamExt, TryStreamExt, stream};

use crate::SeenNames;
use names::Names;
use saved::Key;
pub use times::TimesSeen;
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
    is_alone: bool,
    tenants: Mutex<HashMap<TenantId, TenantTrackers>>,
}

/// Answers by metrics, with the sum of the generations that they are of.
type Kept = HashMap<Vec<MetricId>, (u64, Arc<SeenNames>)>;

#[derive(Debug, Default)]
struct TenantTrackers {
    metrics: BTreeMap<MetricId, HashMap<ShardId, Tracker>>,
    /// Answers, as long as they hold.
    seen: Kept,
    /// When what is saved was last taken in.
    looked_at: Option<Timestamp>,
}

/// Who asks looks at what others saved when that was so long ago.
const LOOK_MICROS: i64 = 10_000_000;
/// So many trackers are read at once.
const READS_MAX: usize = 16;
/// Answers for this many sets of metrics are kept per tenant.
const SEEN_KEPT_MAX: usize = 256;

impl Discovery {
    /// Keeps its state in `repo`.
    pub fn new(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>) -> Self {
        Self::in_company(repo, clock, true)
    }

    /// As [`Discovery::new`], where other processes may store rows too.
    pub fn beside_others(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>) -> Self {
        Self::in_company(repo, clock, false)
    }

    fn in_company(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>, is_alone: bool) -> Self {
        Self(Arc::new(Inner { repo, clock, is_alone, tenants: Mutex::new(HashMap::new()) }))
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
        let (generation, names, is_full) = {
            let tenants = self.tenants();
            let Some(trackers) = tenants.get(tenant) else { return Arc::default() };
            let generation = trackers.of(metrics).map(|tracker| tracker.generation).sum();
            if let Some((known, seen)) = trackers.seen.get(metrics)
                && *known == generation
            {
                return Arc::clone(seen);
            }
            let names: Vec<Names> = trackers.of(metrics).map(|tracker| tracker.names.clone()).collect();
            (generation, names, trackers.of(metrics).any(|tracker| tracker.is_full))
        };
        // There may be very many: whoever stores rows does not wait for the work on them, nor for it to be let go.
        let seen = Arc::new(union::union(&names, is_full));
        let let_go = self.tenants().get_mut(tenant).map(|trackers| trackers.keep(metrics, generation, &seen));
        drop(let_go);
        seen
    }

    /// What the times of the rows of `metrics` tell.
    pub fn times(&self, tenant: &TenantId, metrics: &[MetricId]) -> TimesSeen {
        let tenants = self.tenants();
        tenants.get(tenant).map(|trackers| trackers.of(metrics).map(|tracker| tracker.times).sum()).unwrap_or_default()
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
        match self.looked_at(tenant) {
            Some(_) => Ok(()),
            None => self.refresh(tenant).await,
        }
    }

    /// As [`Discovery::load`], for who asks: beside others also what they saved until some ten seconds ago. What is known serves
    /// while the repository does not answer.
    ///
    /// # Errors
    ///
    /// As [`Discovery::load`].
    pub async fn look(&self, tenant: &TenantId) -> Result<()> {
        let now = self.0.clock.now();
        let young = now.plus_micros(-LOOK_MICROS)..=now;
        match self.looked_at(tenant) {
            None => self.refresh(tenant).await,
            Some(at) if self.0.is_alone || young.contains(&at) => Ok(()),
            Some(_) => {
                // Of all that ask at once one looks.
                self.tenants().entry(tenant.clone()).or_default().looked_at = Some(now);
                if let Err(error) = self.refresh(tenant).await {
                    tracing::warn!(%error, %tenant, "new names could not be looked at");
                }
                Ok(())
            }
        }
    }

    fn looked_at(&self, tenant: &TenantId) -> Option<Timestamp> {
        self.tenants().get(tenant).and_then(|trackers| trackers.looked_at)
    }

    /// Takes in what was saved for `tenant`, for who works on `shard` from now on: of the rows of that shard also what others
    /// saved after the first load.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn load_for(&self, tenant: &TenantId, shard: &ShardId) -> Result<()> {
        match self.looked_at(tenant) {
            Some(_) => self.reload_all(tenant, |key| key.shard == *shard).await,
            None => self.refresh(tenant).await,
        }
    }

    /// Takes in what other processes saved for `tenant` since.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn refresh(&self, tenant: &TenantId) -> Result<()> {
        let now = self.0.clock.now();
        self.reload_all(tenant, |_| true).await?;
        self.tenants().entry(tenant.clone()).or_default().looked_at = Some(now);
        Ok(())
    }

    async fn reload_all(&self, tenant: &TenantId, is_wanted: impl Fn(&Key) -> bool) -> Result<()> {
        let keys = saved::keys(&*self.0.repo, tenant).await?;
        let mut known = HashSet::new();
        let each: Vec<Key> = keys.into_iter().filter(is_wanted).filter(|key| known.insert(key.clone())).collect();
        let reads = stream::iter(each).map(|key| async move { self.reload(&key).await });
        reads.buffer_unordered(READS_MAX).try_collect::<Vec<_>>().await?;
        Ok(())
    }

    /// Brings one tracker together with what is saved of it; whether that was not known.
    async fn reload(&self, key: &Key) -> Result<bool> {
        let mut loaded = Tracker::default();
        loaded.head_version = self.head_version(key);
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

    /// Which version of a tracker is known; none where it is not.
    fn head_version(&self, key: &Key) -> Version {
        let tenants = self.tenants();
        let tracker = tenants.get(&key.tenant).and_then(|trackers| trackers.metrics.get(&key.metric)?.get(&key.shard));
        tracker.map(|tracker| tracker.head_version).unwrap_or_default()
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, TenantTrackers>> {
        self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantTrackers {
    fn of<'a>(&'a self, metrics: &'a [MetricId]) -> impl Iterator<Item = &'a Tracker> {
        metrics.iter().filter_map(|metric| self.metrics.get(metric)).flat_map(HashMap::values)
    }

    /// Keeps an answer for `metrics`, unless a later one is there by now; answers what is let go for it.
    fn keep(&mut self, metrics: &[MetricId], generation: u64, seen: &Arc<SeenNames>) -> Kept {
        if self.seen.get(metrics).is_some_and(|(known, _)| *known > generation) {
            return Kept::default();
        }
        let mut let_go = match self.seen.len() >= SEEN_KEPT_MAX {
            true => std::mem::take(&mut self.seen),
            false => Kept::default(),
        };
        let replaced = self.seen.insert(metrics.to_vec(), (generation, Arc::clone(seen)));
        let_go.extend(replaced.map(|replaced| (metrics.to_vec(), replaced)));
        let_go
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
