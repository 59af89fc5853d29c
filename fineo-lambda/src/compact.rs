//! Compaction as a function that a schedule calls.

use std::{fmt, sync::Arc, time::Duration};

use fineo_compact::{CompactOptions, CompactReport, Compactor, CompactorParts};
use fineo_core::{Clock, Error, Result};
use fineo_ingest::PipelineParts;
use fineo_table::{Objects, Tables};

/// Compacts what stage staged has archived.
///
/// A call does what it can in its time. What breaks off leaves the tables as they are, and the next call begins with the
/// tenants that are left; so one tenant's new records must be compacted within one call. At the default memory that is some
/// tens of millions of records; beyond that, let a machine run `fineo compact` as often as is needed to catch up.
pub struct CompactFunction {
    compactor: Compactor,
    clock: Arc<dyn Clock>,
}

impl CompactFunction {
    /// Makes columnar tables of the archive of `parts` in `objects`.
    pub fn new(parts: &PipelineParts, objects: Objects, options: CompactOptions) -> Self {
        let clock = Arc::clone(&parts.clock);
        let tables = Tables::new(objects, Arc::clone(&parts.repo), Arc::clone(&clock), Arc::clone(&parts.entropy));
        let parts = CompactorParts {
            archive: Arc::clone(&parts.archive),
            repo: Arc::clone(&parts.repo),
            schemas: parts.schemas.clone(),
            tables,
            nearline: Arc::clone(&parts.nearline),
            notifier: None,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&parts.entropy),
        };
        Self { compactor: Compactor::new(parts, options), clock }
    }

    /// Compacts for at most `within`, and answers what was done.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the time is up, or compaction failed for a tenant; or as [`Compactor::run`]. The next call goes on.
    pub async fn call(&self, within: Duration) -> Result<CompactReport> {
        let show = |done: &fineo_compact::TenantReport| tracing::info!(tenant = done.tenant, "compacted");
        let report = tokio::select! {
            biased;
            report = self.compactor.run(&show) => report?,
            () = self.clock.sleep(within / 16 * 15) => {
                let error = Error::unavailable("the time is up before everything is compacted, the next call goes on");
                return Err(error.with("hint", "if that comes again and again, run `fineo compact` on a machine"));
            }
        };
        match report.failed.first() {
            None => Ok(report),
            Some(failed) => {
                let error = Error::unavailable("compaction failed for a tenant, and begins anew with the next call");
                let error = match &failed.metric {
                    Some(metric) => error.with("metric", metric),
                    None => error,
                };
                Err(error.with("tenant", &failed.tenant).with("error", &failed.error))
            }
        }
    }
}

impl fmt::Debug for CompactFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactFunction").finish_non_exhaustive()
    }
}
