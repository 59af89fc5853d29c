//! Tests of a filter that fail on some rows, asked of those rows alone that pass the others: `b <> 0 AND a / b > 1`.
//!
//! DataFusion 55.2 asks both sides of `AND` of all rows of a batch where more than a few pass the first. From left to right,
//! as Postgres does it, nobody is told of what a test before has excluded. So each such test is a filter of its own.

use std::sync::Arc;

use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    physical_expr::{PhysicalExpr, conjunction, split_conjunction},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        filter::{FilterExec, FilterExecBuilder},
    },
};

use crate::scan::pushed::is_total;

/// The rule. It comes behind those that hand tests on, one by one, and before those that sort by what tests say of rows.
#[derive(Debug)]
pub(crate) struct TestsInTurn;

impl PhysicalOptimizerRule for TestsInTurn {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.downcast_ref::<FilterExec>().map(in_turn).transpose()?.flatten() {
            Some(filter) => Ok(Transformed::yes(filter)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "tests_in_turn"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `filter` as several: by the tests that fail on no row, then by each of the others; none where that is as it is.
fn in_turn(filter: &FilterExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = filter.input().schema();
    let tests = split_conjunction(filter.predicate()).into_iter().cloned();
    let (total, mut others): (Vec<_>, Vec<Arc<dyn PhysicalExpr>>) = tests.partition(|test| is_total(test, &schema));
    let last = match others.pop() {
        Some(last) if total.len() + others.len() > 0 => last,
        Some(_) | None => return Ok(None),
    };
    let total = (!total.is_empty()).then(|| conjunction(total));
    let mut input = Arc::clone(filter.input());
    for test in total.into_iter().chain(others) {
        input = Arc::new(FilterExecBuilder::new(test, input).build()?);
    }
    let filter = FilterExecBuilder::from(filter).with_input(input).with_predicate(last).build()?;
    Ok(Some(Arc::new(filter)))
}
