//! Rows that are the same whenever they are read: those outside are read twice, for what they are and for what is asked of them.

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::Result,
    logical_expr::{Distinct, Expr, LogicalPlan},
};

use crate::plan::subqueries::subquery_of;

/// Aggregates whose result hangs on no order. `first_value` is of one row where it is in an answer that was asked at once.
const ORDERLESS: [&str; 7] = ["bool_and", "bool_or", "count", "first_value", "max", "min", "sum"];

/// How many steps `plan` has, with those of its subqueries; none where two readings of it may differ.
pub(super) fn steps(plan: &LogicalPlan) -> Result<Option<usize>> {
    let (mut count, mut is_same) = (0_usize, true);
    plan.apply_with_subqueries(|plan| {
        count += 1;
        is_same &= is_orderless(plan)? && !plan.expressions().iter().any(Expr::is_volatile);
        Ok(if is_same { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_same.then_some(count))
}

fn is_orderless(plan: &LogicalPlan) -> Result<bool> {
    Ok(match plan {
        LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => true,
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        LogicalPlan::Aggregate(aggregate) => {
            let mut is_orderless = true;
            for expr in &aggregate.aggr_expr {
                let field = aggregate.schema.field_with_unqualified_name(&expr.schema_name().to_string());
                let is_exact = field.is_ok_and(|field| !field.data_type().is_floating());
                expr.apply(|expr| {
                    if let Expr::AggregateFunction(call) = expr {
                        is_orderless &=
                            ORDERLESS.contains(&call.func.name()) && (is_exact || call.func.name() != "sum");
                    }
                    is_orderless &= subquery_of(expr).is_none();
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
            is_orderless
        }
        _ => false,
    })
}
