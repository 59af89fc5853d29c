//! Constants that `ROLLUP`, `CUBE` and `GROUPING SETS` group by: their result leaves them out of some groups, so that they are
//! none there. DataFusion 55.2 takes them for such.

use std::sync::Arc;

use datafusion::{
    common::{
        Column,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult},
    },
    error::Result,
    logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder},
    optimizer::AnalyzerRule,
};

/// Makes columns of the constants that are grouped by in sets.
#[derive(Debug)]
pub(crate) struct NamesConstants;

impl AnalyzerRule for NamesConstants {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Aggregate(aggregate) => named(aggregate),
            plan => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "names_constants"
    }
}

fn named(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let constants: Vec<Expr> = match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(set)] => {
            set.distinct_expr().into_iter().filter(|expr| expr.column_refs().is_empty()).cloned().collect()
        }
        _ => Vec::new(),
    };
    if constants.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let column = |expr: Expr| match constants.contains(&expr) {
        true => Expr::Column(Column::from_name(expr.schema_name().to_string())),
        false => expr,
    };
    let columns = |exprs: Vec<Expr>| exprs.into_iter().map(column).collect::<Vec<_>>();
    let group_expr = aggregate.group_expr.into_iter().map(|expr| match expr {
        Expr::GroupingSet(GroupingSet::Rollup(exprs)) => Expr::GroupingSet(GroupingSet::Rollup(columns(exprs))),
        Expr::GroupingSet(GroupingSet::Cube(exprs)) => Expr::GroupingSet(GroupingSet::Cube(columns(exprs))),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
            Expr::GroupingSet(GroupingSet::GroupingSets(sets.into_iter().map(columns).collect()))
        }
        expr => expr,
    });
    let group_expr = group_expr.collect();
    let known = aggregate.input.schema().columns().into_iter().map(Expr::Column);
    let all: Vec<Expr> =
        known.chain(constants.iter().map(|expr| expr.clone().alias(expr.schema_name().to_string()))).collect();
    let input = LogicalPlanBuilder::from(aggregate.input).project(all)?.build()?;
    let aggregate = Aggregate::try_new(Arc::new(input), group_expr, aggregate.aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}
