//! Compaction of an instance: what its stages archived becomes columnar files.

use std::sync::Arc;

use fineo_compact::{CompactOptions, CompactReport, Compactor, CompactorParts, Fresh, Notifier, Selection};
use fineo_core::{Error, Result, TenantId};

use crate::{Fineo, instance::Directory};

impl Fineo {
    /// Makes columnar files of what was archived so far; running it again is always safe.
    ///
    /// Answers stay as they are, they only come faster: a query reads each event from the files or from the
    /// nearline store, never from both.
    ///
    /// # Errors
    ///
    /// When the archive or the repository cannot be read at all. A tenant for whom it fails is named in the report.
    pub async fn compact(&self, options: CompactOptions) -> Result<CompactReport> {
        self.compactor(options, None).run(&|_| {}).await
    }

    /// Makes the tables of `metric`, or of all metrics of `tenant`, anew out of the whole archive of stage staged: a fresh
    /// generation, which takes the place of the former by one commit each. It repairs files that are damaged or missing.
    ///
    /// A run that breaks off leaves the former generation as it is.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such metric, or as [`Fineo::compact`]; the report says when the archive has fewer events
    /// than a table, which then stays as it is.
    pub async fn rebuild(
        &self,
        tenant: &TenantId,
        metric: Option<&str>,
        options: CompactOptions,
    ) -> Result<CompactReport> {
        let fresh = match metric {
            None => Fresh::All,
            Some(name) => {
                let schema = self.schemas.refresh(tenant).await?;
                let unknown = || Error::not_found("the tenant has no such metric").with("metric", name);
                Fresh::Metrics(schema.metric_named(name).ok_or_else(unknown)?.row_metrics().to_vec())
            }
        };
        self.compact(options.with_fresh(fresh).with_selection(Selection::Tenant(tenant.clone()))).await
    }

    /// A compactor of this instance, to be run again and again; `notifier` hears of what is new.
    pub fn compactor(&self, options: CompactOptions, notifier: Option<Arc<dyn Notifier>>) -> Compactor {
        let parts = CompactorParts {
            archive: Arc::clone(&self.parts.archive),
            repo: Arc::clone(&self.parts.repo),
            schemas: self.schemas.clone(),
            tables: self.tables.clone(),
            nearline: Arc::clone(&self.parts.nearline),
            notifier,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        };
        // A local directory belongs to one process, and this one compacts in one place.
        let is_alone = options.is_alone || !matches!(self.directory, Directory::None);
        Compactor::new(parts, options.with_is_alone(is_alone))
    }
}
