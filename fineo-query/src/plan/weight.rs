//! How large filters become when they are moved to where rows are read: a column that is computed is replaced by what it is
//! computed from, once for each time it is named, from step to step. Twenty steps of `x + x` make a million of one.
//!
//! What one step makes of a filter is bounded by how long a statement may be. A column counts by what it is more than all
//! that the statement says: it names something twice that names something twice.

use std::collections::HashMap;

use datafusion::{
    common::{
        Column, Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Distinct, Expr, Join, JoinType, LogicalPlan},
};

use crate::error::{exceeded, foreign};

/// By how many parts filters may grow, all together.
const PARTS_MAX: u64 = 20_000;

/// Of how many parts each column of a node is, where that is more than one.
type Weights = HashMap<usize, u64>;

/// Refuses `plan` where moving its filters would make them too large.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    Weighed::default().weights(plan).map(|_| ())
}

#[derive(Debug, Default)]
struct Weighed {
    /// By how many parts filters grow, of those that were looked at.
    grown: u64,
    /// Of how many parts the columns are, that are computed below, as the statement says them.
    said: u64,
}

impl Weighed {
    fn weights(&mut self, plan: &LogicalPlan) -> Result<Weights> {
        self.weigh_subqueries(plan)?;
        let inputs: Vec<(&LogicalPlan, Weights)> =
            plan.inputs().into_iter().map(|input| Ok((input, self.weights(input)?))).collect::<Result<_>>()?;
        let Some((input, weights)) = inputs.first() else { return Ok(Weights::new()) };
        let mut computed = |exprs: &[Expr]| {
            self.said = exprs.iter().map(parts).fold(self.said, u64::saturating_add);
            let of_exprs = exprs.iter().map(|expr| weight(expr, input, weights)).enumerate();
            of_exprs.filter(|(_, weight)| *weight > 1).collect::<Weights>()
        };
        Ok(match plan {
            LogicalPlan::Projection(node) => computed(&node.expr),
            LogicalPlan::Aggregate(node) => computed(&node.group_expr),
            LogicalPlan::Distinct(Distinct::On(node)) => computed(&node.select_expr),
            LogicalPlan::Filter(node) => {
                self.grow(&node.predicate, &inputs)?;
                weights.clone()
            }
            LogicalPlan::Join(node) => {
                for (left, right) in &node.on {
                    self.grow(left, &inputs)?;
                    self.grow(right, &inputs)?;
                }
                if let Some(filter) = &node.filter {
                    self.grow(filter, &inputs)?;
                }
                of_join(node, weights, inputs.get(1).map(|(_, weights)| weights))
            }
            LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Distinct(Distinct::All(_)) => weights.clone(),
            // Each column may be any of them.
            _ => {
                let most = inputs.iter().flat_map(|(_, weights)| weights.values()).max();
                most.map(|most| (0..plan.schema().fields().len()).map(|index| (index, *most)).collect())
                    .unwrap_or_default()
            }
        })
    }

    /// Looks at the subqueries of expressions: they become joins.
    fn weigh_subqueries(&mut self, plan: &LogicalPlan) -> Result<()> {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                let subquery = match expr {
                    Expr::ScalarSubquery(subquery) => subquery,
                    Expr::Exists(exists) => &exists.subquery,
                    Expr::InSubquery(test) => &test.subquery,
                    Expr::SetComparison(test) => &test.subquery,
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                self.weights(&subquery.subquery)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(())
    }

    /// Counts by how much `filter` over `inputs` grows.
    fn grow(&mut self, filter: &Expr, inputs: &[(&LogicalPlan, Weights)]) -> Result<()> {
        for (input, weights) in inputs {
            self.grown = self.grown.saturating_add(grown(filter, input, weights, self.said));
        }
        if self.grown > PARTS_MAX {
            let error =
                exceeded("too_complex", "a filter is too large once it says what its columns are computed from");
            return Err(foreign(error.with("parts_max", PARTS_MAX).with(
                "hint",
                "a column that is computed of one that is named twice doubles with each step: name it once, or filter inside",
            )));
        }
        Ok(())
    }
}

/// Of how many parts `expr` is over `input`.
fn weight(expr: &Expr, input: &LogicalPlan, weights: &Weights) -> u64 {
    parts(expr).saturating_add(grown(expr, input, weights, 1))
}

/// Of how many parts `expr` is as it is said.
fn parts(expr: &Expr) -> u64 {
    let mut parts = 0_u64;
    // What only gives a name has no weight.
    let counted = expr.apply(|expr| {
        parts += u64::from(!matches!(expr, Expr::Alias(_)));
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(counted.is_ok(), "counting does not fail");
    parts
}

/// By how many parts `expr` grows when it says what the columns of `input` are made of, of each those above `free`.
fn grown(expr: &Expr, input: &LogicalPlan, weights: &Weights, free: u64) -> u64 {
    let mut grown = 0_u64;
    if weights.is_empty() {
        return grown;
    }
    let counted = expr.apply(|expr| {
        if let Expr::Column(column) = expr {
            grown = grown.saturating_add(weight_of(column, input, weights).saturating_sub(free));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(counted.is_ok(), "counting does not fail");
    grown
}

fn weight_of(column: &Column, input: &LogicalPlan, weights: &Weights) -> u64 {
    let index = input.schema().maybe_index_of_column(column);
    index.and_then(|index| weights.get(&index)).copied().unwrap_or(1)
}

fn of_join(join: &Join, left: &Weights, right: Option<&Weights>) -> Weights {
    let right = right.into_iter().flatten().map(|(index, weight)| (*index, *weight));
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.clone(),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right.collect(),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            let before = join.left.schema().fields().len();
            let right = right.map(|(index, weight)| (index + before, weight));
            left.iter().map(|(index, weight)| (*index, *weight)).chain(right).collect()
        }
    }
}
