//! Filters that name no column, above an aggregate that has a row even of nothing.
//!
//! DataFusion 55.2 takes them below: `SELECT count(*) FROM m HAVING (SELECT …) < 5` would count no rows, and answer 0 where it has
//! no row. So it does for a filter of a constant that is selected beside the aggregate. It takes no filter below a limit.

use std::sync::Arc;

use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult},
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
        plan.transform_up_with_subqueries(|plan| {
            let may_filter = match &plan {
                LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate).into_iter().any(is_constant),
                LogicalPlan::Projection(projection) => projection.expr.iter().any(is_constant),
                _ => false,
            };
            let [input] = plan.inputs()[..] else { return Ok(Transformed::no(plan)) };
            match may_filter.then(|| limited(input)).flatten().transpose()? {
                Some(input) => plan.with_new_exprs(plan.expressions(), vec![input]).map(Transformed::yes),
                None => Ok(Transformed::no(plan)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "filters_rows"
    }
}

/// Whether `expr` is the same for all rows.
fn is_constant(expr: &Expr) -> bool {
    expr.column_refs().is_empty() && !expr.contains_outer()
}

/// `plan` with a limit, which lets all rows pass, above its aggregate; nothing where that has no row of nothing.
fn limited(plan: &LogicalPlan) -> Option<Result<LogicalPlan>> {
    let fetch = match plan {
        LogicalPlan::Aggregate(aggregate) => rows_max(aggregate)?,
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) => {
            let input = limited(plan.inputs().first()?)?;
            return Some(input.and_then(|input| plan.with_new_exprs(plan.expressions(), vec![input])));
        }
        _ => return None,
    };
    let fetch = Some(Box::new(lit(fetch)));
    Some(Ok(LogicalPlan::Limit(Limit { skip: None, fetch, input: Arc::new(plan.clone()) })))
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
