//! Tests of subqueries as the engine can answer them.
//!
//! Of `x NOT IN (SELECT …)` DataFusion 55.2 takes care of nulls where it is a test of its own and compares one column: not
//! below `OR`, and not where the subquery refers to the row outside. In a filter, where null is as good as false, the test says
//! the same as: there is no row that equals `x` or that cannot be compared with it.
//!
//! And a subquery that aggregates without groups has a row, whatever it found: it exists, which the engine asks of what it found.

use std::sync::Arc;

use datafusion::{
    common::{
        ExprSchema,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{
        BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery,
        expr::{Exists, InSubquery},
        lit,
    },
    optimizer::AnalyzerRule,
};

/// The rule.
#[derive(Debug)]
pub(crate) struct TestsSubqueries;

impl AnalyzerRule for TestsSubqueries {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Filter(filter) => looking(filter),
            plan => Ok(Transformed::no(plan)),
        })
        .data()?
        .transform_up_with_subqueries(|plan| plan.map_expressions(|expr| expr.transform_up(|expr| Ok(known(expr)))))
        .data()
    }

    fn name(&self) -> &'static str {
        "tests_subqueries"
    }
}

fn looking(filter: Filter) -> Result<Transformed<LogicalPlan>> {
    let tested = tested(filter.predicate, true, &filter.input)?;
    let plan = LogicalPlan::Filter(Filter::try_new(tested.data, filter.input)?);
    Ok(Transformed::new_transformed(plan, tested.transformed))
}

/// The test of a filter, or a part of it that is joined by `AND` and `OR` alone; whether it has to hold by itself.
fn tested(test: Expr, is_alone: bool, input: &LogicalPlan) -> Result<Transformed<Expr>> {
    match test {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let is_alone = is_alone && op == Operator::And;
            let (left, right) = (tested(*left, is_alone, input)?, tested(*right, is_alone, input)?);
            let is_changed = left.transformed || right.transformed;
            let test = BinaryExpr { left: Box::new(left.data), op, right: Box::new(right.data) };
            Ok(Transformed::new_transformed(Expr::BinaryExpr(test), is_changed))
        }
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(InSubquery { expr, subquery, negated: false }) => {
                tested(Expr::InSubquery(InSubquery { expr, subquery, negated: true }), is_alone, input)
            }
            inner => Ok(Transformed::no(Expr::Not(Box::new(inner)))),
        },
        Expr::InSubquery(test) if test.negated && !(is_alone && test.subquery.outer_ref_columns.is_empty()) => {
            absent(test, input).map(Transformed::yes)
        }
        test => Ok(Transformed::no(test)),
    }
}

/// What `EXISTS` says of a subquery that has one row, whatever it found.
fn known(test: Expr) -> Transformed<Expr> {
    match &test {
        Expr::Exists(Exists { subquery, negated }) if has_a_row(&subquery.subquery) => Transformed::yes(lit(!negated)),
        _ => Transformed::no(test),
    }
}

fn has_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => has_a_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_a_row(&alias.input),
        LogicalPlan::Sort(sort) => sort.fetch.is_none() && has_a_row(&sort.input),
        _ => false,
    }
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
