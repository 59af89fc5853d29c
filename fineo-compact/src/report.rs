//! What a run did and found: for people, for programs, and for whoever is to be told.

use std::sync::Arc;

use async_trait::async_trait;
use fineo_core::Result;
use serde::{Deserialize, Serialize};

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompactReport {
    /// By tenant, in order; only those for whom there was something to do.
    pub tenants: Vec<TenantReport>,
    /// Tenants whom another worker compacts just now.
    pub busy: Vec<String>,
    /// Tenants for whom the run failed, as a whole or for one metric, with the reason; what others got is kept.
    pub failed: Vec<FailedTenant>,
    /// How many tenants' few new records wait for more.
    #[serde(default)]
    pub waiting: u64,
    /// In how many shards the newest records wait for segments that are still on their way to an archive that lists late; until
    /// then they are read from the nearline store.
    #[serde(default)]
    pub undelivered: u64,
    /// Segments that left the archive, because they are older than they are to be kept.
    #[serde(default)]
    pub expired_segments: u64,
    /// Their bytes.
    #[serde(default)]
    pub expired_bytes: u64,
}

/// A tenant for whom a run failed, as a whole or for one metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTenant {
    /// The tenant.
    pub tenant: String,
    /// The canonical id of the metric whose table cannot be gone on with; none when it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// What went wrong.
    pub error: String,
}

/// What a run did for one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantReport {
    /// The tenant.
    pub tenant: String,
    /// By metric, in order of their ids.
    pub metrics: Vec<MetricReport>,
    /// Archived records that cannot be read; they are among the tenant's errors.
    pub unreadable: u64,
    /// Rows that left the nearline store, because files have them for long enough.
    pub retired: u64,
    /// Files that are no longer part of tables, because their days are further back than rows are kept.
    #[serde(default)]
    pub aged_files: u64,
    /// The rows of those files.
    #[serde(default)]
    pub aged_rows: u64,
    /// Files that were deleted, because no query can need them any more.
    #[serde(default)]
    pub collected_files: u64,
    /// The bytes that were deleted with them.
    #[serde(default)]
    pub collected_bytes: u64,
}

/// What a run did for one metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricReport {
    /// The canonical id.
    pub id: String,
    /// The display name; none for a metric that is gone.
    pub metric: Option<String>,
    /// New records that were taken in.
    pub rows_in: u64,
    /// Rows of the files that were written.
    pub rows_out: u64,
    /// Rows of former files that were written anew.
    pub rows_rewritten: u64,
    /// Records whose event was there already.
    pub duplicates: u64,
    /// Bytes of the new records, as they were archived, unpacked.
    pub bytes_in: u64,
    /// Bytes of the files that were written.
    pub bytes_out: u64,
    /// Files that became part of the table.
    pub files_added: u64,
    /// Files that are no longer part of it.
    pub files_removed: u64,
    /// Names that earlier runs did not meet.
    pub new_names: Vec<NewName>,
    /// Values of declared fields that do not fit their types.
    pub conflicts: Vec<NameConflict>,
}

/// A name that a run met for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewName {
    /// The name, as sent.
    pub name: Arc<str>,
    /// Whether it is a declared field's.
    pub is_declared: bool,
    /// The narrowest type that nearly all values have.
    #[serde(rename = "type")]
    pub value_type: String,
    /// How many of the run's records bear it.
    pub records: u64,
    /// How many records of the metric the run took in.
    pub of_records: u64,
}

/// Values that do not fit their field's type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameConflict {
    /// The name, as sent.
    pub name: Arc<str>,
    /// How many there are.
    pub values: u64,
}

impl CompactReport {
    /// Whether nothing was done and nothing failed.
    pub fn is_idle(&self) -> bool {
        self.tenants.is_empty() && self.failed.is_empty() && self.expired_segments == 0
    }

    /// The sum of `part` over all metrics.
    pub fn total(&self, part: impl Fn(&MetricReport) -> u64) -> u64 {
        self.tenants.iter().flat_map(|tenant| &tenant.metrics).map(part).sum()
    }
}

impl TenantReport {
    /// Whether nothing was done.
    pub fn is_idle(&self) -> bool {
        let Self { tenant: _, metrics, unreadable, retired, aged_files, aged_rows, collected_files, collected_bytes } =
            self;
        let done = [unreadable, retired, aged_files, aged_rows, collected_files, collected_bytes];
        metrics.is_empty() && done.into_iter().all(|count| *count == 0)
    }

    /// Whether there is something that the tenant may want to know: a new name or a conflict.
    pub fn is_news(&self) -> bool {
        self.metrics.iter().any(MetricReport::is_news)
    }
}

impl MetricReport {
    /// Whether it has a new name or a conflict.
    pub fn is_news(&self) -> bool {
        !self.new_names.is_empty() || !self.conflicts.is_empty()
    }
}

/// Hears of what runs found. It is told at least once, also when a process ends right after it committed what it found: again
/// when a run is repeated after a failure, its own among them.
#[async_trait]
pub trait Notifier: std::fmt::Debug + Send + Sync + 'static {
    /// A tenant's events brought something new, or something that does not fit.
    ///
    /// # Errors
    ///
    /// When it could not be kept; the run for the tenant then fails, and the next one tells again.
    async fn schema_news(&self, report: &TenantReport) -> Result<()>;

    /// A run for a tenant failed, as a whole or for one metric.
    ///
    /// # Errors
    ///
    /// When it could not be kept; the next run that fails tells again.
    async fn commit_failed(&self, failed: &FailedTenant) -> Result<()>;
}
