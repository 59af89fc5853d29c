//! Filters above an aggregate that has a row even of nothing.
//!
//! DataFusion 55.2 takes those below that name no column: `SELECT count(*) FROM m HAVING (SELECT …) < 5` would count no rows, and
//! answer 0 where it has no row. A filter comes to name none on its way down, too, where a column is the name of a constant that
//! is selected or grouped by. None that names a column has a way below such an aggregate, and none at all below a limit.

use std::sync::Arc;

use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{Aggregate, Expr, GroupingSet, Limit, LogicalPlan, lit, utils::split_conjunction},
    optimizer::AnalyzerRule,
};

/// The rule.
#[derive(Debug)]
pub(crate) struct FiltersRows;

impl AnalyzerRule for FiltersRows {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        kept(plan, Above::Nothing).data()
    }

    fn name(&self) -> &'static str {
        "filters_rows"
    }
}

/// What there is above a node that may filter its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Above {
    Nothing,
    Filter,
    /// A filter that is the same for all rows, and known only when it is asked.
    Constant,
}

impl Above {
    /// The same for what is below `plan`.
    fn below(self, plan: &LogicalPlan) -> Self {
        let is_filtered = self > Self::Nothing;
        match plan {
            LogicalPlan::Filter(filter) => self.max(Self::by(split_conjunction(&filter.predicate))),
            LogicalPlan::Join(join) => {
                self.max(join.filter.as_ref().map_or(Self::Filter, |on| Self::by(split_conjunction(on))))
            }
            // What is selected, and what is grouped by, may be a test of a subquery by another name.
            LogicalPlan::Projection(projection) if is_filtered => self.max(Self::by(&projection.expr)),
            LogicalPlan::Aggregate(aggregate) if is_filtered => self.max(Self::by(&aggregate.group_expr)),
            _ => self,
        }
    }

    /// A filter of what `exprs` are.
    fn by<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Self {
        match exprs.into_iter().any(is_constant) {
            true => Self::Constant,
            false => Self::Filter,
        }
    }
}

/// Whether `expr` is the same for all rows, and known only when it is asked: others the engine has computed before it moves filters.
fn is_constant(expr: &Expr) -> bool {
    let is_asked = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::Placeholder(_)
        ))
    };
    expr.column_refs().is_empty() && !expr.contains_outer() && expr.exists(is_asked).unwrap_or(true)
}

/// `plan` with limits, which let all rows pass, above such aggregates.
fn kept(plan: LogicalPlan, above: Above) -> Result<Transformed<LogicalPlan>> {
    let below = above.below(&plan);
    let plan = plan.map_children(|child| kept(child, below))?;
    // Of a subquery the engine makes a join, which filters, too.
    let plan = plan.transform_data(|plan| plan.map_subqueries(|subquery| kept(subquery, Above::Filter)))?;
    plan.transform_data(|plan| match &plan {
        LogicalPlan::Aggregate(aggregate) if is_filtered(aggregate, above) => match rows_max(aggregate) {
            Some(fetch) => Ok(Transformed::yes(limited(plan, fetch))),
            None => Ok(Transformed::no(plan)),
        },
        _ => Ok(Transformed::no(plan)),
    })
}

/// Whether what is `above` an aggregate may get below it. One whose rows depend on the row outside of a subquery has groups once
/// the engine has made a join of it.
fn is_filtered(aggregate: &Aggregate, above: Above) -> bool {
    match above {
        Above::Nothing => false,
        Above::Filter => aggregate.input.all_out_ref_exprs().is_empty(),
        Above::Constant => true,
    }
}

fn limited(plan: LogicalPlan, fetch: i64) -> LogicalPlan {
    LogicalPlan::Limit(Limit { skip: None, fetch: Some(Box::new(lit(fetch))), input: Arc::new(plan) })
}

/// How many rows an aggregate has at most that has one even of nothing.
fn rows_max(aggregate: &Aggregate) -> Option<i64> {
    match aggregate.group_expr.as_slice() {
        [] => Some(1),
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] if !sets.iter().any(Vec::is_empty) => None,
        [Expr::GroupingSet(_)] => Some(i64::MAX),
        _ => None,
    }
}
