//! `EXCEPT ALL` and `INTERSECT ALL` count copies: of a row that one side has three times and the other once, two are left, or
//! one.
//!
//! DataFusion 55.2 plans them as joins that ask only whether the other side has the row. So the copies of each row are
//! numbered on both sides, and the number is compared, too.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, JoinType, NullEquality,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult},
    },
    error::Result,
    functions_window::expr_fn::row_number,
    logical_expr::{Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder},
    optimizer::AnalyzerRule,
};

/// The rule.
#[derive(Debug)]
pub(crate) struct CountsCopies;

impl AnalyzerRule for CountsCopies {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Join(join) if is_of_copies(&join) => counted(join).map(Transformed::yes),
            plan => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "counts_copies"
    }
}

/// Only set operations compare whole rows so; without `ALL` the left side's rows are distinct.
fn is_of_copies(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && !matches!(&*join.left, LogicalPlan::Distinct(_))
}

fn counted(join: Join) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let (left_on, right_on): (Vec<Expr>, Vec<Expr>) = join.on.into_iter().unzip();
    let left = numbered(join.left, left_on.clone(), "copy of the left")?;
    let right = numbered(join.right, right_on.clone(), "copy of the right")?;
    let copies =
        (Expr::Column(Column::from_name("copy of the left")), Expr::Column(Column::from_name("copy of the right")));
    let on = left_on.into_iter().zip(right_on).chain([copies]).collect();
    let joined = Join::try_new(
        left,
        right,
        on,
        None,
        join.join_type,
        join.join_constraint,
        NullEquality::NullEqualsNull,
        false,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build()
}

/// `plan` with the number of each row among those that are equal by `key`.
fn numbered(plan: Arc<LogicalPlan>, key: Vec<Expr>, name: &str) -> Result<Arc<LogicalPlan>> {
    let number = row_number().partition_by(key).build()?.alias(name);
    Ok(Arc::new(LogicalPlanBuilder::from(plan).window(vec![number])?.build()?))
}
