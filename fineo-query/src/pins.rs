//! The committed states of tables that one statement reads: one per table, however often it is named.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use fineo_core::{Error, ErrorKind, MetricId, Result, TenantId};
use fineo_table::{Snapshot, Tables};

/// The code of the error that ends a query whose snapshot was outrun.
pub(crate) const SNAPSHOT_TOO_OLD: &str = "snapshot_too_old";

/// What one statement of a tenant has pinned.
pub(crate) struct Pins {
    pub(crate) tables: Tables,
    tenant: TenantId,
    pinned: Mutex<HashMap<MetricId, Arc<Snapshot>>>,
}

impl Pins {
    /// Nothing yet, of `tenant`.
    pub(crate) fn new(tables: Tables, tenant: TenantId) -> Self {
        Self { tables, tenant, pinned: Mutex::default() }
    }

    /// The state of the table of `metric` that this statement reads.
    pub(crate) async fn snapshot(&self, metric: &MetricId) -> Result<Arc<Snapshot>> {
        if let Some(pinned) = self.pinned().get(metric) {
            return Ok(Arc::clone(pinned));
        }
        let latest = self.tables.snapshot(&self.tenant, metric).await?;
        if latest.tenant != self.tenant || latest.metric != *metric {
            return Err(Error::internal("a table of another metric was answered"));
        }
        // Of two who ask at once both read what the first found.
        Ok(Arc::clone(self.pinned().entry(metric.clone()).or_insert(latest)))
    }

    /// Whether the nearline store still had every row beyond the pinned cover; to be asked after reading it.
    ///
    /// # Errors
    ///
    /// `Unavailable` with the code `snapshot_too_old` when rows may have gone: ask anew.
    pub(crate) async fn check(&self, snapshot: &Snapshot) -> Result<()> {
        let floor = self.tables.floor(&self.tenant, &snapshot.metric).await?;
        if snapshot.cover.includes(&floor) {
            return Ok(());
        }
        Err(outrun(snapshot, "rows moved into files while they were read"))
    }

    /// What `error`, met while the files of `snapshot` were read, means: of a file that is not in the table any more
    /// nothing is wrong but that the query was too slow for it.
    pub(crate) async fn explain(&self, snapshot: &Snapshot, error: Error) -> Error {
        if error.kind() != ErrorKind::Corrupt {
            return error;
        }
        let Ok(latest) = self.tables.snapshot(&self.tenant, &snapshot.metric).await else { return error };
        let live = latest.files_by_path();
        let is_gone = snapshot.files.iter().any(|file| !live.contains_key(&*file.path));
        if is_gone { outrun(snapshot, "files were replaced while they were read").with_source(error) } else { error }
    }

    fn pinned(&self) -> std::sync::MutexGuard<'_, HashMap<MetricId, Arc<Snapshot>>> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outrun(snapshot: &Snapshot, message: &str) -> Error {
    Error::unavailable(message)
        .with("code", SNAPSHOT_TOO_OLD)
        .with("hint", "ask again; for a long result, ask for parts of it")
        .with("metric", &snapshot.metric)
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pins({})", self.tenant)
    }
}
