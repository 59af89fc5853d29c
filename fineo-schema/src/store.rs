//! Schemas in a repository: read through a cache, changed by one compare-and-append.

mod commit;
mod load;
mod plan;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fineo_core::{Clock, Error, ErrorKind, Result, SchemaRepo, TenantId, TimeRange, Timestamp, repo::Version};

use crate::{Applied, Change, ChangeId, ChangeRequest, HistoryEntry, TenantSchema, edit, name};

/// How often a change is thought out anew when others were faster or its outcome stays unknown.
const ATTEMPTS_MAX: usize = 32;
/// So long after the repository did not answer what is cached serves without asking.
const FAILED_MICROS: i64 = 1_000_000;
/// How many former versions of a tenant's schema are kept in memory.
const FORMER_KEPT_MAX: usize = 64;

/// The schemas of all tenants. Cloning is cheap; clones share the cache.
///
/// A cached schema may be older than the latest one, never newer; it never goes backward.
#[derive(Clone)]
pub struct SchemaStore(Arc<Inner>);

struct Inner {
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<dyn Clock>,
    cache: Mutex<HashMap<TenantId, Cached>>,
    /// Whether the schemas of schemas are known to stand in the repository.
    is_prepared: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Default)]
struct Cached {
    latest: Option<Arc<TenantSchema>>,
    /// When the repository last said which is the latest.
    asked_at: Option<Timestamp>,
    /// When it did not answer.
    failed_at: Option<Timestamp>,
    former: HashMap<Version, Arc<TenantSchema>>,
}

impl SchemaStore {
    /// With so many metrics, merged and deleted ones too, events bring in no more.
    pub const DISCOVERED_METRICS_MAX: usize = edit::DISCOVERED_METRICS_MAX;

    /// Keeps schemas in `repo`.
    pub fn new(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>) -> Self {
        let is_prepared = std::sync::atomic::AtomicBool::new(false);
        Self(Arc::new(Inner { repo, clock, cache: Mutex::new(HashMap::new()), is_prepared }))
    }

    /// The schema of `tenant` from the cache; read from the repository the first time.
    ///
    /// # Errors
    ///
    /// A failure of the repository while nothing is cached, or `Corrupt`.
    pub async fn snapshot(&self, tenant: &TenantId) -> Result<Arc<TenantSchema>> {
        match self.cached(tenant) {
            Some(schema) => Ok(schema),
            None => self.refresh(tenant).await,
        }
    }

    /// The schema of `tenant` as it was at most `age` ago, whoever changed it; read from the repository where the cached one
    /// is older. For what must not go on long after it was forbidden.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn snapshot_within(&self, tenant: &TenantId, age: Duration) -> Result<Arc<TenantSchema>> {
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let now = self.0.clock.now();
        // A clock that was set back makes nothing young.
        let young = now.plus_micros(-micros)..=now;
        let is_young = |cached: &&Cached| cached.asked_at.is_some_and(|at| young.contains(&at));
        let found = self.cache().get(tenant).filter(is_young).and_then(|cached| cached.latest.clone());
        match found {
            Some(schema) => Ok(schema),
            None => self.refresh(tenant).await,
        }
    }

    /// As [`SchemaStore::snapshot_within`], but while the repository does not answer the cached one serves, however old it is;
    /// then the repository is asked again at most every second.
    ///
    /// # Errors
    ///
    /// As [`SchemaStore::snapshot_within`], of failures that do not pass, or while nothing is cached.
    pub async fn snapshot_or_cached(&self, tenant: &TenantId, age: Duration) -> Result<Arc<TenantSchema>> {
        let now = self.0.clock.now();
        let just_failed = now.plus_micros(-FAILED_MICROS)..=now;
        let has_failed = |cached: &&Cached| cached.failed_at.is_some_and(|at| just_failed.contains(&at));
        if let Some(known) = self.cache().get(tenant).filter(has_failed).and_then(|cached| cached.latest.clone()) {
            return Ok(known);
        }
        match (self.snapshot_within(tenant, age).await, self.cached(tenant)) {
            (Err(error), Some(known)) if error.is_retryable() => {
                tracing::warn!(%error, %tenant, "the schema could not be looked at");
                self.cache().entry(tenant.clone()).or_default().failed_at = Some(self.0.clock.now());
                Ok(known)
            }
            (found, _) => found,
        }
    }

    /// Whether what is cached of `tenant` has every change before `time`, whoever made it.
    pub fn is_known_at(&self, tenant: &TenantId, time: Timestamp) -> bool {
        self.cache().get(tenant).and_then(|cached| cached.asked_at).is_some_and(|asked_at| asked_at >= time)
    }

    /// The schema of `tenant` as it is cached; never waits.
    pub fn cached(&self, tenant: &TenantId) -> Option<Arc<TenantSchema>> {
        self.cache().get(tenant)?.latest.clone()
    }

    /// Reads the latest schema of `tenant`. What is cached never goes backward.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`; what is cached stays as it is.
    pub async fn refresh(&self, tenant: &TenantId) -> Result<Arc<TenantSchema>> {
        let known = self.cached(tenant);
        let asked_at = self.0.clock.now();
        let schema = load::latest(&*self.0.repo, tenant, known.as_ref()).await?;
        let schema = self.remember(schema);
        self.cache().entry(tenant.clone()).or_default().asked_at = Some(asked_at);
        Ok(schema)
    }

    /// The schema of `tenant` under `version`.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such version, a failure of the repository, or `Corrupt`.
    pub async fn at(&self, tenant: &TenantId, version: Version) -> Result<Arc<TenantSchema>> {
        let known = self.cached(tenant);
        if let Some(latest) = known.as_ref().filter(|latest| latest.version() == version) {
            return Ok(Arc::clone(latest));
        }
        if let Some(former) = self.cache().get(tenant).and_then(|cached| cached.former.get(&version)) {
            return Ok(Arc::clone(former));
        }
        let schema = Arc::new(load::at(&*self.0.repo, tenant, version, known.as_deref()).await?);
        let mut cache = self.cache();
        let former = &mut cache.entry(tenant.clone()).or_default().former;
        if former.len() >= FORMER_KEPT_MAX {
            former.clear();
        }
        former.insert(version, Arc::clone(&schema));
        Ok(schema)
    }

    /// The schema of `tenant` that was the latest at `time`, and all the time during which it was, as far as is known now.
    ///
    /// # Errors
    ///
    /// As [`SchemaStore::at`].
    pub async fn at_time(&self, tenant: &TenantId, time: Timestamp) -> Result<(Arc<TenantSchema>, TimeRange)> {
        let latest = self.refresh(tenant).await?.version();
        let (version, during) = load::version_at(&*self.0.repo, tenant, latest, time).await?;
        Ok((self.at(tenant, version).await?, during))
    }

    /// Makes a change, whole or not at all. Asking again with the same change id has no second effect.
    ///
    /// # Errors
    ///
    /// `Invalid` when the change is illegal, or was thought out on a version that is not the latest (the
    /// context `current` names that); `NotFound` and `AlreadyExists` for what it names; `LimitExceeded`; or
    /// a failure of the repository.
    pub async fn apply(&self, tenant: &TenantId, request: ChangeRequest) -> Result<Applied> {
        if request.changes.iter().any(|change| matches!(change, Change::Undo { .. } | Change::DiscoverMetrics { .. })) {
            return Err(Error::invalid("an undo or a discovery is no step of a change"));
        }
        commit::run(self, tenant, &request, None).await
    }

    /// Brings in those of `names` that no metric has, undeclared.
    ///
    /// Illegal names, and names beyond [`SchemaStore::DISCOVERED_METRICS_MAX`] metrics, are left out: no metric
    /// has them in the answer. So one tenant's flood of names holds up nobody.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn discover_metrics(&self, tenant: &TenantId, names: &[Arc<str>]) -> Result<Arc<TenantSchema>> {
        let schema = self.snapshot(tenant).await?;
        let is_full = schema.state().tenant.metrics.len() >= Self::DISCOVERED_METRICS_MAX;
        let is_left_out = |name: &Arc<str>| !name::is_legal_metric(name) || schema.metric_named(name).is_some();
        if is_full || names.iter().all(is_left_out) {
            return Ok(schema);
        }
        let changes = vec![Change::DiscoverMetrics { names: names.to_vec() }];
        let request = ChangeRequest::new(commit::id_of_discovery(tenant, schema.version(), names), changes);
        match commit::run(self, tenant, &request, Some(Arc::clone(&schema))).await {
            Ok(applied) => Ok(applied.schema),
            Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                tracing::warn!(%tenant, %error, "events name more metrics than a schema holds");
                Ok(schema)
            }
            Err(error) => Err(error),
        }
    }

    /// Every change, oldest first.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn history(&self, tenant: &TenantId) -> Result<Vec<HistoryEntry>> {
        load::history(&*self.0.repo, tenant, Version::NONE.next()).await
    }

    /// Makes the inverse of `change`, as the new change `id`.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such change, `Invalid` when something later depends on it (it says what),
    /// or as [`SchemaStore::apply`].
    pub async fn undo(
        &self,
        tenant: &TenantId,
        change: &ChangeId,
        id: ChangeId,
        author: Option<String>,
    ) -> Result<Applied> {
        let request = ChangeRequest { id, base: None, changes: vec![Change::Undo { change: *change }], author };
        commit::run(self, tenant, &request, None).await
    }

    /// Keeps `schema` unless a later one is kept already; answers the later one.
    fn remember(&self, schema: Arc<TenantSchema>) -> Arc<TenantSchema> {
        let mut cache = self.cache();
        let latest = &mut cache.entry(schema.tenant().clone()).or_default().latest;
        match latest {
            Some(known) if known.version() >= schema.version() => Arc::clone(known),
            Some(_) | None => {
                *latest = Some(Arc::clone(&schema));
                schema
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<TenantId, Cached>> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SchemaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaStore").field("repo", &self.0.repo).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
