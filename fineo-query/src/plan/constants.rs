//! What is the same in all rows below a node, and need not be above it.
//!
//! Of a grouping set, and of the side of an outer join that may have no row, DataFusion 55.2 takes what it knows of the rows
//! below for known of those above: a column that a filter fixes, one that is a constant, two that are equal. But there it is null,
//! too. Groups were split, and nobody sorted by such a column, nor told partitions of a window by it apart.

use std::sync::Arc;

use datafusion::{
    common::{
        JoinType,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    physical_expr::EquivalenceProperties,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, PlanProperties,
        aggregates::AggregateExec,
        execution_plan::replace_children_if_necessary,
        joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
    },
};

use super::passing::{Pass, Passing};

/// Forgets what is known of such rows.
#[derive(Debug)]
pub(crate) struct ForgetsConstants;

impl PhysicalOptimizerRule for ForgetsConstants {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let is_unsure = unsure(&node);
            let children = node.children();
            if !is_unsure.contains(&true) {
                return Ok(Transformed::no(node));
            }
            let forgotten = |(child, is_unsure): (&Arc<dyn ExecutionPlan>, bool)| match is_unsure {
                true => Arc::new(Passing::over(Arc::clone(child), Forgets)) as _,
                false => Arc::clone(child),
            };
            let children = children.into_iter().zip(is_unsure).map(forgotten).collect();
            replace_children_if_necessary(Arc::clone(&node), children).map(Transformed::yes)
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "forgets_constants"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Of which children `node` has rows where they have none; nothing of a node that has no such rows.
fn unsure(node: &Arc<dyn ExecutionPlan>) -> Vec<bool> {
    // Where a column is neither constant nor equal to another one, there is nothing wrong to know of a side.
    let known = |index: usize| {
        let child: &Arc<dyn ExecutionPlan> = node.children()[index];
        !child.equivalence_properties().eq_group().is_empty()
    };
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        return vec![aggregate.group_expr().has_grouping_set()];
    }
    let join = node.downcast_ref::<HashJoinExec>().map(HashJoinExec::join_type);
    let join = join.or_else(|| node.downcast_ref::<NestedLoopJoinExec>().map(NestedLoopJoinExec::join_type));
    let join = join.copied().or_else(|| node.downcast_ref::<SortMergeJoinExec>().map(SortMergeJoinExec::join_type));
    match join {
        Some(JoinType::Left) => vec![false, known(1)],
        Some(JoinType::Right) => vec![known(0), false],
        Some(JoinType::Full) => vec![known(0), known(1)],
        Some(_) | None => Vec::new(),
    }
}

/// Rows that pass, and of which nothing is known.
#[derive(Debug, Clone)]
struct Forgets;

impl Pass for Forgets {
    const NAME: &'static str = "ForgetsExec";
    const KEEPS_ORDER: bool = false;

    fn properties(&self, input: &Arc<PlanProperties>) -> Arc<PlanProperties> {
        let nothing = EquivalenceProperties::new(Arc::clone(input.eq_properties.schema()));
        Arc::new(PlanProperties::clone(input).with_eq_properties(nothing))
    }
}
