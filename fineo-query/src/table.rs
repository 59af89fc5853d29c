//! A table over nearline rows: a metric, or the errors of a tenant.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::{Schema, SchemaRef},
    catalog::{Session, TableProvider},
    error::Result,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};
use fineo_core::{
    MetricId, NearlineStore, TenantId, TimeRange,
    nearline::{Predicate, Pushdown},
};

use crate::{
    column::Column,
    filter::{implied, is_one_text_test},
    scan::FineoScan,
};

/// Whose rows, and where they are.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) store: Arc<dyn NearlineStore>,
    pub(crate) tenant: TenantId,
    /// The metric's display name, for plans.
    pub(crate) title: Arc<str>,
    /// The ids whose stored rows answer.
    pub(crate) metrics: Vec<MetricId>,
}

/// A table with the columns that one query needs, of one tenant.
pub(crate) struct RowTable {
    rows: Arc<Rows>,
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl RowTable {
    /// A table of `columns` over `rows`.
    pub(crate) fn new(rows: Arc<Rows>, columns: Vec<Column>) -> Self {
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        Self { rows, columns, schema }
    }

    fn pushdown(&self, filter: &Expr) -> TableProviderFilterPushDown {
        let implied = implied(filter, &self.columns);
        if implied.is_time_exact {
            return TableProviderFilterPushDown::Exact;
        }
        match &implied.predicate {
            Some(predicate) => match self.rows.store.pushdown(predicate) {
                Pushdown::Exact if is_one_text_test(filter, &self.columns) => TableProviderFilterPushDown::Exact,
                Pushdown::Exact | Pushdown::Inexact => TableProviderFilterPushDown::Inexact,
                Pushdown::Unsupported if implied.time == TimeRange::ALL => TableProviderFilterPushDown::Unsupported,
                Pushdown::Unsupported => TableProviderFilterPushDown::Inexact,
            },
            None if implied.time == TimeRange::ALL => TableProviderFilterPushDown::Unsupported,
            None => TableProviderFilterPushDown::Inexact,
        }
    }

    fn predicates(&self, filters: &[Expr]) -> Vec<Predicate> {
        let mut predicates: Vec<Predicate> = Vec::new();
        for filter in filters {
            let Some(predicate) = implied(filter, &self.columns).predicate else { continue };
            if self.rows.store.pushdown(&predicate) != Pushdown::Unsupported && !predicates.contains(&predicate) {
                predicates.push(predicate);
            }
        }
        predicates
    }
}

impl fmt::Debug for RowTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowTable({})", self.rows.title)
    }
}

#[async_trait]
impl TableProvider for RowTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| self.pushdown(filter)).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(wanted) => wanted.iter().map(|index| self.columns[*index].clone()).collect(),
            None => self.columns.clone(),
        };
        let time =
            filters.iter().fold(TimeRange::ALL, |time, filter| time.intersect(&implied(filter, &self.columns).time));
        let scan = FineoScan::new(Arc::clone(&self.rows), columns, time, self.predicates(filters), limit);
        Ok(Arc::new(scan))
    }
}
