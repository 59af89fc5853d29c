//! All tables of an instance.

use std::sync::Arc;

use fineo_core::{Clock, Cover, Entropy, Error, ErrorKind, MetricId, Outcome, Result, SchemaRepo, TenantId, Timestamp};
use object_store::path::Path;
use url::Url;

use crate::{Change, Committed, DataFile, FileMeta, FileReader, Objects, Snapshot};

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
}

impl Default for TablesOptions {
    fn default() -> Self {
        Self { snapshot_cache_bytes: 32 << 20, footer_cache_bytes: 64 << 20, commits_per_checkpoint: 20 }
    }
}

/// What [`Tables::collect_garbage`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many files it deleted.
    pub files: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

/// All tables of an instance. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tables {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    objects: Objects,
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    options: TablesOptions,
}

fn not_yet() -> Error {
    Error::new(ErrorKind::Unsupported, "tables come with the next change")
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
        Self { inner: Arc::new(Inner { objects, repo, clock, entropy, options }) }
    }

    /// Where the files are.
    pub fn objects(&self) -> &Objects {
        &self.inner.objects
    }

    /// Where an outside reader finds the table.
    pub fn location(&self, tenant: &TenantId, metric: &MetricId) -> Url {
        let mut url = self.inner.objects.url.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{root}/{tenant}/{metric}"));
        url
    }

    /// Where, in the object store, a file of a table is; `relative` is its path within the table.
    pub fn object_path(&self, tenant: &TenantId, metric: &MetricId, relative: &str) -> Path {
        Path::from_iter([tenant.as_str(), metric.as_str()].into_iter().chain(relative.split('/')))
    }

    /// The latest committed state; an empty one when there is no table.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the log, the cover document or the set of files is not what was committed, `Unsupported` for a
    /// table that needs more than this code knows, or a failure of the store.
    pub async fn snapshot(&self, tenant: &TenantId, metric: &MetricId) -> Result<Arc<Snapshot>> {
        Ok(Arc::new(Snapshot::empty(tenant, metric)))
    }

    /// The metrics of `tenant` that have a table, in order.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    pub async fn metrics(&self, _tenant: &TenantId) -> Result<Vec<MetricId>> {
        Ok(Vec::new())
    }

    /// Makes `change`, thought out on `base`, atomically, or nothing of it.
    ///
    /// After [`Outcome::Unknown`] the files of the change may be a part of the table: nothing must be cleaned up. Read the
    /// snapshot and think again.
    pub async fn commit(&self, _base: &Snapshot, _change: Change) -> Outcome<Committed> {
        Outcome::NotDone(not_yet())
    }

    /// Up to where rows may have been removed from the nearline store; never cached.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn floor(&self, _tenant: &TenantId, _metric: &MetricId) -> Result<Cover> {
        Ok(Cover::default())
    }

    /// Moves the floor up to include `cover`, durably: to be done before rows up to it are removed. Refused when the
    /// committed table does not cover it.
    pub async fn raise_floor(&self, _tenant: &TenantId, _metric: &MetricId, _cover: &Cover) -> Outcome<()> {
        Outcome::NotDone(not_yet())
    }

    /// The footer of a live file, checked: it is this tenant's and metric's, it has the rows and times that the
    /// commit says, and its bytes are those that were written.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it is not so or the file is missing, or a failure of the store.
    pub async fn data_file(&self, _snapshot: &Snapshot, _file: &DataFile) -> Result<Arc<FileMeta>> {
        Err(not_yet())
    }

    /// Reads the bytes of a live file, each block compared with its checksum.
    ///
    /// # Errors
    ///
    /// As [`Tables::data_file`].
    pub async fn reader(&self, snapshot: &Snapshot, file: &DataFile) -> Result<FileReader> {
        let meta = self.data_file(snapshot, file).await?;
        let path = self.object_path(&snapshot.tenant, &snapshot.metric, &file.path);
        Ok(FileReader::new(Arc::clone(&self.inner.objects.store), path, meta))
    }

    /// Deletes files that no snapshot of `pin_horizon` or later has, and what uncommitted work left that is older than
    /// that. A reader may hold a snapshot that was replaced after `pin_horizon`, and nothing older.
    pub async fn collect_garbage(
        &self,
        _tenant: &TenantId,
        _metric: &MetricId,
        _pin_horizon: Timestamp,
    ) -> Outcome<Collected> {
        Outcome::NotDone(not_yet())
    }
}
