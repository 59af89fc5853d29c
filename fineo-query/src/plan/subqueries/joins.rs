//! Tests of subqueries in `ON`: the engine would move them to a side by the columns that it sees, and those within a subquery it
//! does not see. Here they are moved to where they mean the same, above the join or to a side; else refused.

use std::sync::Arc;

use datafusion::{
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    logical_expr::{
        Expr, Join, JoinType, LogicalPlan, Subquery,
        utils::{conjunction, split_conjunction_owned},
    },
};

use super::filtered;
use crate::error::{foreign, unsupported};

/// `join` without tests of subqueries.
pub(super) fn tested_outside(join: Join) -> Result<Transformed<LogicalPlan>> {
    let Some(filter) = join.filter.clone() else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    let parts = split_conjunction_owned(filter);
    let (tests, others): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(looks_at_rows);
    let Some(test) = conjunction(tests) else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    let mut join = Join { filter: conjunction(others), ..join };
    let names_left = names(&test, join.left.schema())?;
    let names_right = names(&test, join.right.schema())?;
    match join.join_type {
        JoinType::Inner => return filtered(test, Arc::new(LogicalPlan::Join(join))).map(Transformed::yes),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti if !names_left => {
            join.right = Arc::new(filtered(test, join.right)?);
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti if !names_right => {
            join.left = Arc::new(filtered(test, join.left)?);
        }
        _ => {
            return Err(foreign(unsupported(
                "a test of a subquery in ON that looks at a side of which all rows are kept",
            )));
        }
    }
    Ok(Transformed::yes(LogicalPlan::Join(join)))
}

/// Whether a part of a test looks at rows of a subquery: more than one value of it, or one for each row outside.
fn looks_at_rows(test: &Expr) -> bool {
    let looks = test.exists(|expr| {
        Ok(match expr {
            Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
            expr => subquery_of(expr).is_some(),
        })
    });
    looks.unwrap_or(true)
}

/// The subquery that `expr` asks, if it is one.
pub(crate) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::InSubquery(test) => Some(&test.subquery),
        Expr::SetComparison(test) => Some(&test.subquery),
        Expr::Exists(test) => Some(&test.subquery),
        Expr::ScalarSubquery(subquery) => Some(subquery),
        _ => None,
    }
}

/// Whether `test` names a column of `schema`, be it within a subquery.
fn names(test: &Expr, schema: &DFSchema) -> Result<bool> {
    let mut names = false;
    test.apply(|expr| {
        names |= matches!(expr, Expr::Column(column) if schema.is_column_from_schema(column));
        let of_subquery = subquery_of(expr).into_iter().flat_map(|subquery| &subquery.outer_ref_columns);
        for expr in of_subquery {
            names |= matches!(expr, Expr::OuterReferenceColumn(_, column) if schema.is_column_from_schema(column));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(names)
}
