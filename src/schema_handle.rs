//! The schema of one tenant, as a program reads and changes it.

use std::sync::Arc;

use fineo_core::{Cover, Error, Result, TenantId, archive::Stage, repo::Version};
use fineo_schema::{
    Applied, Change, ChangeId, ChangeRequest, Declaration, HistoryEntry, Metric, Plan, SeenNames, Suggestion,
    TenantSchema, suggest,
};

use crate::Fineo;

/// Reads and changes the schema of one tenant.
#[derive(Debug)]
pub struct SchemaHandle<'a> {
    fineo: &'a Fineo,
    tenant: TenantId,
}

impl<'a> SchemaHandle<'a> {
    pub(crate) fn new(fineo: &'a Fineo, tenant: TenantId) -> Self {
        Self { fineo, tenant }
    }

    /// The schema as it is now.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn snapshot(&self) -> Result<Arc<TenantSchema>> {
        self.fineo.discovery.look(&self.tenant).await?;
        self.fineo.schemas.refresh(&self.tenant).await
    }

    /// The names that events of `metric` bore; [`SchemaHandle::snapshot`] brings them up to date.
    pub fn seen(&self, metric: &Metric) -> Arc<SeenNames> {
        self.fineo.discovery.seen(&self.tenant, metric.row_metrics())
    }

    /// Makes `changes`, all or none.
    ///
    /// # Errors
    ///
    /// As [`fineo_schema::SchemaStore::apply`].
    pub async fn apply(&self, changes: Vec<Change>) -> Result<Applied> {
        let id = ChangeId::random(&*self.fineo.entropy);
        self.request(ChangeRequest::new(id, changes)).await
    }

    /// As [`SchemaHandle::apply`], with an id, a base and an author of the caller's.
    ///
    /// # Errors
    ///
    /// As [`fineo_schema::SchemaStore::apply`].
    pub async fn request(&self, request: ChangeRequest) -> Result<Applied> {
        self.fineo.schemas.apply(&self.tenant, request).await
    }

    /// What a declarative file (JSON or YAML) would change.
    ///
    /// # Errors
    ///
    /// `Invalid` when the file cannot be read or clashes with what is declared.
    pub async fn plan(&self, declaration: &str) -> Result<Plan> {
        let declaration = Declaration::parse(declaration)?;
        let schema = self.snapshot().await?;
        declaration.plan(&schema, &|metric| self.seen(metric))
    }

    /// What a declarative file (JSON or YAML) would have changed on a former version.
    ///
    /// # Errors
    ///
    /// As [`SchemaHandle::plan`], or `NotFound` when there is no such version.
    pub async fn plan_at(&self, version: Version, declaration: &str) -> Result<Plan> {
        let declaration = Declaration::parse(declaration)?;
        let schema = self.fineo.schemas.at(&self.tenant, version).await?;
        declaration.plan(&schema, &|metric| self.seen(metric))
    }

    /// Makes a declarative file (JSON or YAML) true; what it does not mention stays. Answers what was changed.
    ///
    /// # Errors
    ///
    /// As [`SchemaHandle::plan`] and [`SchemaHandle::apply`].
    pub async fn declare(&self, declaration: &str) -> Result<Plan> {
        let plan = self.plan(declaration).await?;
        if !plan.is_empty() {
            let id = ChangeId::random(&*self.fineo.entropy);
            self.request(ChangeRequest::new(id, plan.changes.clone()).with_base(plan.base)).await?;
        }
        Ok(plan)
    }

    /// The schema as a declarative file.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn export(&self) -> Result<Declaration> {
        Ok(Declaration::export(&*self.snapshot().await?))
    }

    /// Every change, oldest first.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn history(&self) -> Result<Vec<HistoryEntry>> {
        self.fineo.schemas.history(&self.tenant).await
    }

    /// Makes the inverse of an earlier change.
    ///
    /// # Errors
    ///
    /// As [`fineo_schema::SchemaStore::undo`].
    pub async fn undo(&self, change: &ChangeId) -> Result<Applied> {
        let id = ChangeId::random(&*self.fineo.entropy);
        self.fineo.schemas.undo(&self.tenant, change, id, None).await
    }

    /// What could be declared, aliased or merged, with the evidence.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn suggest(&self) -> Result<Vec<Suggestion>> {
        let schema = self.snapshot().await?;
        Ok(suggest(&schema, &self.fineo.discovery, None))
    }

    /// Applies a suggestion.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such suggestion (any more), or as [`SchemaHandle::apply`].
    pub async fn apply_suggestion(&self, id: &str) -> Result<Applied> {
        let suggestions = self.suggest().await?;
        let found = suggestions.into_iter().find(|suggestion| suggestion.id == id);
        let suggestion = found.ok_or_else(|| Error::not_found("no such suggestion").with("id", id))?;
        self.apply(suggestion.changes).await
    }

    /// Deletes a metric: its rows up to now become unreadable for ever.
    ///
    /// # Errors
    ///
    /// As [`SchemaHandle::apply`].
    pub async fn delete_metric(&self, metric: &str) -> Result<Applied> {
        let through = self.staged_tails().await?;
        self.apply(vec![Change::DeleteMetric { metric: metric.to_owned(), through }]).await
    }

    /// Deletes a field: its values up to now become unreadable for ever; later ones count as newly discovered.
    ///
    /// # Errors
    ///
    /// As [`SchemaHandle::apply`].
    pub async fn delete_field(&self, metric: &str, field: &str) -> Result<Applied> {
        let through = self.staged_tails().await?;
        let change = Change::DeleteField { metric: metric.to_owned(), field: field.to_owned(), through };
        self.apply(vec![change]).await
    }

    /// The last positions that records have, once those of everything accepted have theirs: how far a deletion reaches.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` when the stages are too far behind, or a failure of the stream.
    pub async fn staged_tails(&self) -> Result<Cover> {
        self.fineo.wait_until_drained().await?;
        self.fineo.last_positions(Stage::Staged).await
    }
}
