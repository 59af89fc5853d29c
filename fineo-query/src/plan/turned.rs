//! Comparisons with a constant, so written that the engine sees which of them are the same.
//!
//! DataFusion 55.2 compares the tests of one column as they are written: `g = 'a' AND 'a' = g` were two, and no row passed both;
//! of `g >= 'b' AND 'b' < g` it kept the first alone. Neither did any row have `d = 0 AND d = -0.0`.

use datafusion::{
    common::tree_node::{Transformed, TreeNode},
    error::Result,
    logical_expr::{BinaryExpr, Expr, LogicalPlan},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::{equals::without_sign, literals::is_comparison};

/// Has the constant on the right, and zero without a sign. Rules before it make tests of subqueries; the one behind it compares them.
#[derive(Debug)]
pub(crate) struct TurnsConstants;

impl OptimizerRule for TurnsConstants {
    fn name(&self) -> &'static str {
        "turns_constants"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(_) | LogicalPlan::Join(_) => {
                plan.map_expressions(|expr| expr.transform_up(|expr| Ok(turned(expr))))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn turned(expr: Expr) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) = expr else { return Transformed::no(expr) };
    let turned = op.swap().filter(|_| left.as_literal().is_some() && right.as_literal().is_none());
    let op = turned.map_or(op, |turned| {
        std::mem::swap(&mut left, &mut right);
        turned
    });
    let is_changed = is_comparison(op) && without_sign(&mut right);
    Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), turned.is_some() || is_changed)
}
