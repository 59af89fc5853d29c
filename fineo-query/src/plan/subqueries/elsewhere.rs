//! Tests of subqueries that are no filters: the engine answers none of them, but where a filter outside names one it moves it
//! there, when what it refers to can no longer be told from what is within, and null no longer from false.

use datafusion::{
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    logical_expr::{Expr, ExprSchemable, LogicalPlan, expr_rewriter::NamePreserver, utils::merge_schema},
};

use super::{Sought, checked, has_subquery, is_nullable};
use crate::error::{foreign, unsupported};

/// `plan`, which is no filter, with the tests of single rows said of values; others are only let pass where nothing can be lost.
pub(super) fn single(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        if !has_subquery(&expr)? {
            return Ok(Transformed::no(expr));
        }
        let name = names.save(&expr);
        let expr = checked(expr)?;
        expr.apply(|expr| check(expr, &schema).map(|()| TreeNodeRecursion::Continue))?;
        Ok(Transformed::yes(name.restore(expr)))
    })
}

fn check(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let can_pass = match (expr, Sought::of(expr)) {
        (Expr::Exists(test), _) => test.subquery.outer_ref_columns.is_empty(),
        (Expr::InSubquery(_), Some(sought)) => {
            let may_be_null = sought.wanted.nullable(schema)? || is_nullable(&sought.found()?, &sought)?;
            !sought.is_correlated() && !may_be_null
        }
        (Expr::SetComparison(_), _) => false,
        _ => true,
    };
    if can_pass {
        return Ok(());
    }
    Err(foreign(unsupported(
        "IN, ANY, ALL and EXISTS over a subquery, other than as a condition of WHERE, HAVING or ON",
    )))
}
