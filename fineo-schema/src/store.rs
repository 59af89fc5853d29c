//! Schemas in a repository: read through a cache, changed by one compare-and-append.

use std::{fmt, sync::Arc};

use fineo_core::{Clock, Error, Result, SchemaRepo, TenantId, Timestamp, repo::Version};

use crate::{Applied, ChangeId, ChangeRequest, HistoryEntry, TenantSchema};

/// The schemas of all tenants. Cloning is cheap; clones share the cache.
#[derive(Clone)]
pub struct SchemaStore(Arc<Inner>);

struct Inner {
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<dyn Clock>,
}

impl SchemaStore {
    /// Keeps schemas in `repo`.
    pub fn new(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { repo, clock }))
    }

    /// The schema of `tenant` from the cache; read from the repository the first time.
    ///
    /// # Errors
    ///
    /// A failure of the repository while nothing is cached, or `Corrupt`.
    pub async fn snapshot(&self, tenant: &TenantId) -> Result<Arc<TenantSchema>> {
        Ok(Arc::new(TenantSchema::empty(tenant)))
    }

    /// The schema of `tenant` as it is cached.
    pub fn cached(&self, tenant: &TenantId) -> Option<Arc<TenantSchema>> {
        let _ = tenant;
        None
    }

    /// Reads the latest schema of `tenant`. What is cached never goes backward.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn refresh(&self, tenant: &TenantId) -> Result<Arc<TenantSchema>> {
        self.snapshot(tenant).await
    }

    /// The schema of `tenant` under `version`.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such version, a failure of the repository, or `Corrupt`.
    pub async fn at(&self, tenant: &TenantId, version: Version) -> Result<Arc<TenantSchema>> {
        let _ = version;
        self.snapshot(tenant).await
    }

    /// The schema of `tenant` that was the latest at `time`.
    ///
    /// # Errors
    ///
    /// As [`SchemaStore::at`].
    pub async fn at_time(&self, tenant: &TenantId, time: Timestamp) -> Result<Arc<TenantSchema>> {
        let _ = time;
        self.snapshot(tenant).await
    }

    /// Makes a change, whole or not at all. Asking again with the same change id has no second effect.
    ///
    /// # Errors
    ///
    /// `Invalid` when the change is illegal, clashes, or was thought out on a version that is not the latest
    /// (the context names the current one); `NotFound` and `AlreadyExists` for what it names;
    /// `LimitExceeded`; or a failure of the repository.
    pub async fn apply(&self, tenant: &TenantId, request: ChangeRequest) -> Result<Applied> {
        let _ = (tenant, request, self.0.clock.now());
        Err(Error::internal("not yet"))
    }

    /// Brings in those of `names` that no metric has, undeclared.
    ///
    /// # Errors
    ///
    /// As [`SchemaStore::apply`].
    pub async fn discover_metrics(&self, tenant: &TenantId, names: &[Arc<str>]) -> Result<Arc<TenantSchema>> {
        let _ = names;
        self.snapshot(tenant).await
    }

    /// Every change, oldest first.
    ///
    /// # Errors
    ///
    /// A failure of the repository, or `Corrupt`.
    pub async fn history(&self, tenant: &TenantId) -> Result<Vec<HistoryEntry>> {
        let _ = tenant;
        Ok(Vec::new())
    }

    /// Makes the inverse of `change`, as change `id`.
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
        let _ = (change, author);
        self.apply(tenant, ChangeRequest::new(id, Vec::new())).await
    }
}

impl fmt::Debug for SchemaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaStore").field("repo", &self.0.repo).finish_non_exhaustive()
    }
}
