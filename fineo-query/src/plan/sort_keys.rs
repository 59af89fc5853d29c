//! Sort keys as the engine can compare them with what is sorted already.
//!
//! DataFusion 55.2 asks of each key between which bounds it lies. A negation, or a function of numbers, over what it
//! knows no type of bounds for (`-(seq % 100)`, `abs(n * 2)`) is an error there, by which a sorted window counted as unsorted.
//! And a key that is named twice was counted once in one place, and twice in another.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::{
        BinaryExpr, Cast, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, SortExpr, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use super::as_it_is::as_it_is;

/// The rule.
#[derive(Debug)]
pub(crate) struct KnowsRanges;

impl AnalyzerRule for KnowsRanges {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(of_node).data()
    }

    fn name(&self) -> &'static str {
        "knows_ranges"
    }
}

fn of_node(mut plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    match &mut plan {
        LogicalPlan::Sort(sort) => keys(&mut sort.expr, &schema)?,
        LogicalPlan::Distinct(Distinct::On(on)) => {
            if let Some(sort) = &mut on.sort_expr {
                keys(sort, &schema)?;
            }
        }
        _ => {}
    }
    plan.map_expressions(|expr| {
        // A key less is another name, and others know a call by the one that it had. An alias may have been kept already:
        // the planner of windows takes but one.
        let name = expr.qualified_name();
        let (expr, is_named) = match expr {
            Expr::Alias(alias) if is_call(&alias.expr) => (*alias.expr, true),
            expr => (expr, false),
        };
        let called = expr.transform_up(|expr| of_call(expr, &schema))?;
        let is_same = !is_named && (!called.transformed || called.data.qualified_name() == name);
        let (relation, name) = name;
        Ok(if is_same { called } else { called.update_data(|expr| expr.alias_qualified(relation, name)) })
    })
}

fn is_call(expr: &Expr) -> bool {
    matches!(expr, Expr::WindowFunction(_) | Expr::AggregateFunction(_))
}

fn of_call(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match &mut expr {
        Expr::WindowFunction(call) => {
            if call.params.order_by.is_empty() && call.params.partition_by.is_empty() {
                return Ok(Transformed::no(expr));
            }
            keys(&mut call.params.order_by, schema)?;
            for part in &mut call.params.partition_by {
                *part = std::mem::take(part).transform_up(|expr| bounded(expr, schema)).data()?;
            }
        }
        Expr::AggregateFunction(call) if !call.params.order_by.is_empty() => keys(&mut call.params.order_by, schema)?,
        _ => return Ok(Transformed::no(expr)),
    }
    Ok(Transformed::yes(expr))
}

/// Keeps the first of equal keys, and gives bounds to what has none.
fn keys(keys: &mut Vec<SortExpr>, schema: &DFSchema) -> Result<()> {
    let mut known: Vec<Expr> = Vec::new();
    let all = std::mem::take(keys);
    for SortExpr { expr, asc, nulls_first } in all {
        if !known.contains(&expr) {
            known.push(expr.clone());
            let expr = expr.transform_up(|expr| bounded(expr, schema)).data()?;
            keys.push(SortExpr { expr, asc, nulls_first });
        }
    }
    Ok(())
}

fn bounded(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let with_bounds = |expr: Expr| {
        let data_type = expr.get_type(schema)?;
        let is_known = data_type.is_numeric()
            || matches!(data_type, DataType::Boolean | DataType::Interval(_) | DataType::Duration(_));
        Ok(if has_bounds(&expr) || !is_known { expr } else { as_it_is(expr, data_type) })
    };
    match expr {
        Expr::Negative(inner) => Ok(Transformed::yes(Expr::Negative(Box::new(with_bounds(*inner)?)))),
        Expr::ScalarFunction(mut call) => {
            call.args = call.args.into_iter().map(with_bounds).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_bounded(op) => {
            let (left, right) = (Box::new(with_bounds(*left)?), Box::new(with_bounds(*right)?));
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// Whether the engine computes bounds of two values from theirs.
fn is_bounded(op: Operator) -> bool {
    use Operator::{And, Gt, GtEq, Lt, LtEq, Minus, Or, Plus};
    matches!(op, Plus | Minus | Gt | GtEq | Lt | LtEq | And | Or)
}

/// Whether the engine knows a type of bounds for `expr`.
fn has_bounds(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Cast(Cast { expr, .. }) | Expr::Negative(expr) => has_bounds(expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => is_bounded(*op) && has_bounds(left) && has_bounds(right),
        _ => false,
    }
}
