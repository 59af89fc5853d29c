//! `x NOT IN (SELECT …)` where the subquery refers to the row outside: as the engine can answer it.
//!
//! DataFusion 55.2 joins with care for nulls by one column alone, and the reference makes a second. In a filter, where null
//! is as good as false, the test says the same as: there is no row that equals `x` or that cannot be compared with it.

use std::sync::Arc;

use datafusion::{
    common::{
        ExprSchema,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{
        Expr, Filter, LogicalPlan, LogicalPlanBuilder, Subquery,
        expr::{Exists, InSubquery},
        utils::{conjunction, split_conjunction_owned},
    },
    optimizer::AnalyzerRule,
};

/// The rule.
#[derive(Debug)]
pub(crate) struct LooksForNulls;

impl AnalyzerRule for LooksForNulls {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Filter(filter) => looking(filter),
            plan => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "looks_for_nulls"
    }
}

fn looking(filter: Filter) -> Result<Transformed<LogicalPlan>> {
    let mut is_changed = false;
    let mut tests = Vec::new();
    for test in split_conjunction_owned(filter.predicate) {
        tests.push(match test {
            Expr::InSubquery(test) if test.negated && !test.subquery.outer_ref_columns.is_empty() => {
                is_changed = true;
                absent(test, &filter.input)?
            }
            test => test,
        });
    }
    let predicate = conjunction(tests).expect("a filter has a test");
    let plan = LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?);
    Ok(if is_changed { Transformed::yes(plan) } else { Transformed::no(plan) })
}

/// That no row of the subquery equals what `test` looks for, or cannot be compared with it.
fn absent(test: InSubquery, input: &LogicalPlan) -> Result<Expr> {
    let InSubquery { expr, subquery, .. } = test;
    let mut outer_ref_columns = subquery.outer_ref_columns;
    let wanted = expr.transform_up(|expr| match expr {
        Expr::Column(column) => {
            let field = Arc::clone(input.schema().field_from_column(&column)?);
            let outer = Expr::OuterReferenceColumn(field, column);
            if !outer_ref_columns.contains(&outer) {
                outer_ref_columns.push(outer.clone());
            }
            Ok(Transformed::yes(outer))
        }
        expr => Ok(Transformed::no(expr)),
    });
    let wanted = wanted.data()?;
    let found = Expr::Column(subquery.subquery.schema().columns().swap_remove(0));
    let is_met = wanted.clone().eq(found.clone()).or(found.is_null()).or(wanted.is_null());
    let rows = LogicalPlanBuilder::from(subquery.subquery).filter(is_met)?.build()?;
    let subquery = Subquery { subquery: Arc::new(rows), outer_ref_columns, spans: subquery.spans };
    Ok(Expr::Exists(Exists::new(subquery, true)))
}
