//! All tables of an instance.

mod commit;
mod copy;
mod data;
mod expired;
mod floor;
mod garbage;
mod load;
mod manifest;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fineo_core::{Clock, Cover, Entropy, MetricId, Outcome, Result, SchemaRepo, TenantId, Timestamp};
use object_store::path::Path;
use url::Url;

use crate::{Change, Committed, DataFile, FileMeta, FileReader, Objects, Snapshot, cache::Cache};

/// Bounds of [`Tables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TablesOptions {
    /// The most bytes of snapshots that are kept in memory.
    pub snapshot_cache_bytes: usize,
    /// The most bytes of file footers that are kept in memory.
    pub footer_cache_bytes: usize,
    /// A checkpoint of the Delta log is written every so many commits.
    pub commits_per_checkpoint: u64,
    /// Versions of the Delta log that a checkpoint makes needless stay for so long, for readers of other programs
    /// that are under way; never less than two hours.
    pub log_retain_for: Duration,
    /// The most objects that one collection of garbage deletes.
    pub deletes_max: usize,
}

impl Default for TablesOptions {
    fn default() -> Self {
        Self {
            snapshot_cache_bytes: 32 << 20,
            footer_cache_bytes: 64 << 20,
            commits_per_checkpoint: 20,
            log_retain_for: Duration::from_secs(7 * 24 * 3600),
            deletes_max: 10_000,
        }
    }
}

/// What [`Tables::collect_garbage`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many files it deleted.
    pub files: u64,
    /// How many bytes they had, with everything else that it deleted.
    pub bytes: u64,
    /// How many old versions of the log it deleted.
    pub log_versions: u64,
    /// Whether there is more that it left for the next time.
    pub is_partial: bool,
}

/// All tables of an instance. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tables {
    inner: Arc<Inner>,
}

/// Which table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    tenant: TenantId,
    metric: MetricId,
}

impl Key {
    fn new(tenant: &TenantId, metric: &MetricId) -> Self {
        Self { tenant: tenant.clone(), metric: metric.clone() }
    }

    fn of(snapshot: &Snapshot) -> Self {
        Self::new(&snapshot.tenant, &snapshot.metric)
    }

    /// Where, in the object store, the table is.
    fn root(&self) -> Path {
        Path::from_iter([self.tenant.as_str(), self.metric.as_str()])
    }

    /// Where, in the object store, a file of the table is.
    fn path(&self, relative: &str) -> Path {
        Path::from_iter([self.tenant.as_str(), self.metric.as_str()].into_iter().chain(relative.split('/')))
    }
}

#[derive(Debug)]
struct Inner {
    objects: Objects,
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    options: TablesOptions,
    snapshots: Cache<Key, load::Known>,
    footers: Cache<(Key, Arc<str>), Arc<FileMeta>>,
}

impl Inner {
    fn location(&self, key: &Key) -> Url {
        let mut url = self.objects.url.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{root}/{}/{}", key.tenant, key.metric));
        url
    }
}

impl Tables {
    /// The tables on `objects`, with their floors in `repo`.
    pub fn new(objects: Objects, repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self::with_options(objects, repo, clock, entropy, TablesOptions::default())
    }

    /// As [`Tables::new`], with other bounds.
    pub fn with_options(
        objects: Objects,
        repo: Arc<dyn SchemaRepo>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        options: TablesOptions,
    ) -> Self {
        let snapshots = Cache::new(options.snapshot_cache_bytes);
        let footers = Cache::new(options.footer_cache_bytes);
        Self { inner: Arc::new(Inner { objects, repo, clock, entropy, options, snapshots, footers }) }
    }

    /// Where the files are.
    pub fn objects(&self) -> &Objects {
        &self.inner.objects
    }

    /// Where an outside reader finds the table.
    pub fn location(&self, tenant: &TenantId, metric: &MetricId) -> Url {
        self.inner.location(&Key::new(tenant, metric))
    }

    /// Where, in the object store, a file of a table is; `relative` is its path within the table.
    pub fn object_path(&self, tenant: &TenantId, metric: &MetricId, relative: &str) -> Path {
        Key::new(tenant, metric).path(relative)
    }

    /// The latest committed state; an empty one when there is no table.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the log, the cover document or the set of files is not what was committed, `Unsupported` for a
    /// table that needs more than this code knows, or a failure of the store.
    pub async fn snapshot(&self, tenant: &TenantId, metric: &MetricId) -> Result<Arc<Snapshot>> {
        self.inner.latest(&Key::new(tenant, metric)).await
    }

    /// The metrics of `tenant` that have a table, in order.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    pub async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        self.inner.metrics(tenant).await
    }

    /// The tenants that have tables, or had some.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    pub async fn tenants(&self) -> Result<BTreeSet<TenantId>> {
        self.inner.tenants().await
    }

    /// Makes `change`, thought out on `base`, atomically, or nothing of it.
    ///
    /// The files of the change were written to their places ([`Tables::object_path`]) and are durable. Their footers are
    /// read and checked before anything is committed.
    ///
    /// After [`Outcome::Unknown`] the files of the change may be a part of the table: nothing must be cleaned up. Read the
    /// snapshot and think again.
    pub async fn commit(&self, base: &Snapshot, change: Change) -> Outcome<Committed> {
        self.inner.commit(base, change).await
    }

    /// Up to where rows may have been removed from the nearline store; never cached.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn floor(&self, tenant: &TenantId, metric: &MetricId) -> Result<Cover> {
        let (_, floor) = self.inner.floor(&Key::new(tenant, metric)).await?;
        Ok(floor)
    }

    /// Moves the floor up to include `cover`, durably: to be done before rows up to it are removed. Refused when the
    /// committed table does not cover it.
    pub async fn raise_floor(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<()> {
        self.inner.raise_floor(&Key::new(tenant, metric), cover).await
    }

    /// The footer of a live file, checked: it is this tenant's and metric's, it has the rows and times that the
    /// commit says, and its bytes are those that were written.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it is not so or the file is missing, or a failure of the store.
    pub async fn data_file(&self, snapshot: &Snapshot, file: &DataFile) -> Result<Arc<FileMeta>> {
        self.inner.data_file(&Key::of(snapshot), file).await
    }

    /// Reads the bytes of a live file, each block compared with its checksum.
    ///
    /// # Errors
    ///
    /// As [`Tables::data_file`].
    pub async fn reader(&self, snapshot: &Snapshot, file: &DataFile) -> Result<FileReader> {
        let meta = self.data_file(snapshot, file).await?;
        let path = Key::of(snapshot).path(&file.path);
        Ok(FileReader::new(Arc::clone(&self.inner.objects.store), path, meta))
    }

    /// Deletes files that no snapshot of `pin_horizon` or later has, and what uncommitted work left that is older than
    /// that. A reader may hold a snapshot that was replaced after `pin_horizon`, and nothing older.
    ///
    /// Begins with a commit of its own, so that no commit in flight can name what is deleted. Versions of the log
    /// that a checkpoint makes needless go as well ([`TablesOptions::log_retain_for`]).
    ///
    /// It deletes [`TablesOptions::deletes_max`] objects at most and says so ([`Collected::is_partial`]). Running it
    /// again after any outcome is safe.
    pub async fn collect_garbage(
        &self,
        tenant: &TenantId,
        metric: &MetricId,
        pin_horizon: Timestamp,
    ) -> Outcome<Collected> {
        self.inner.collect_garbage(&Key::new(tenant, metric), pin_horizon).await
    }
}

#[cfg(test)]
mod tests;
