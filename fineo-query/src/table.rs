//! A table over nearline rows: a metric, or the errors of a tenant.

use std::{borrow::Cow, fmt, sync::Arc};

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
    error::foreign,
    filter::{implied, is_one_text_test},
    pins::Pins,
    plan::{OpenScan, stand_in},
    scan::{
        FineoScan, Wanted,
        pushed::{Filter, Tests},
    },
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
    /// The states of the ids' tables that the statement reads, where rows may be in files.
    pub(crate) pins: Option<Arc<Pins>>,
}

impl Rows {
    /// Whether some of the rows are in files.
    async fn has_files(&self) -> fineo_core::Result<bool> {
        let Some(pins) = &self.pins else { return Ok(false) };
        for metric in &self.metrics {
            if !pins.snapshot(metric).await?.files.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A table with the columns that one query needs, of one tenant.
pub(crate) struct RowTable {
    rows: Arc<Rows>,
    columns: Vec<Column>,
    schema: SchemaRef,
    /// Its number in the catalog of a plan that is to be kept: its scans stay open.
    open: Option<usize>,
}

impl RowTable {
    /// A table of `columns` over `rows`.
    pub(crate) fn new(rows: Arc<Rows>, columns: Vec<Column>) -> Self {
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        Self { rows, columns, schema, open: None }
    }

    /// The same table for a plan that is to be kept, in whose catalog it has this number.
    pub(crate) fn opened(&self, number: usize) -> Self {
        let (rows, columns, schema) = (Arc::clone(&self.rows), self.columns.clone(), Arc::clone(&self.schema));
        Self { rows, columns, schema, open: Some(number) }
    }

    /// Whether a plan over `other` is one over this table, once its scans begin anew.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let Rows { store: _, tenant, title, metrics, pins: _ } = &*self.rows;
        let others = &*other.rows;
        (tenant, title, metrics) == (&others.tenant, &others.title, &others.metrics) && self.columns == other.columns
    }

    /// The filter to tell from what `filter` implies: in a plan that is to be kept its values come later.
    fn to_be_implied<'a>(&self, filter: &'a Expr) -> Cow<'a, Expr> {
        if self.open.is_some() { stand_in(filter) } else { Cow::Borrowed(filter) }
    }

    fn pushdown(&self, filter: &Expr) -> TableProviderFilterPushDown {
        let filter = &*self.to_be_implied(filter);
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

impl RowTable {
    /// What files are to test; the time is told by itself.
    fn tests(&self, filters: &[Expr], shown: &[Column], state: &dyn Session) -> Result<Tests> {
        let others = filters.iter().filter(|filter| !implied(filter, &self.columns).is_time_exact);
        let others = others.map(|expr| {
            let is_exact = self.pushdown(expr) == TableProviderFilterPushDown::Exact;
            Filter { expr, is_exact }
        });
        Tests::of(&others.collect::<Vec<_>>(), shown, &self.columns, state)
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
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(wanted) => wanted.iter().map(|index| self.columns[*index].clone()).collect(),
            None => self.columns.clone(),
        };
        let open = filters;
        let filters: Vec<Expr> = filters.iter().map(|filter| self.to_be_implied(filter).into_owned()).collect();
        let time =
            filters.iter().fold(TimeRange::ALL, |time, filter| time.intersect(&implied(filter, &self.columns).time));
        let tasks = state.config().target_partitions();
        let has_files = self.rows.has_files().await.map_err(foreign)?;
        let tests = if has_files { self.tests(&filters, &columns, state)? } else { Tests::default() };
        let wanted = Wanted { columns, time, predicates: self.predicates(&filters), tests, limit, tasks };
        let scan = FineoScan::new(Arc::clone(&self.rows), wanted).await.map_err(foreign)?;
        Ok(match self.open {
            Some(number) => Arc::new(OpenScan::new(number, projection, open, limit, &scan)),
            None => Arc::new(scan),
        })
    }
}
