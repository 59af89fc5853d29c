//! Tests of a filter that fail on some rows, asked of those rows alone that pass the others: `b <> 0 AND a / b > 1`.
//!
//! DataFusion 55.2 asks both sides of `AND` of all rows of a batch where more than a few pass the first. From left to right,
//! as Postgres does it, nobody is told of what a test before has excluded.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch},
        compute::{kernels::boolean::and_kleene, prep_null_mask_filter},
        datatypes::{DataType, Field, FieldRef, Schema},
    },
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    error::Result,
    logical_expr::ColumnarValue,
    physical_expr::{PhysicalExpr, conjunction, split_conjunction},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        filter::{FilterExec, FilterExecBuilder},
    },
};

use crate::scan::pushed::is_total;

/// The rule. It comes behind those that hand tests on, one by one.
#[derive(Debug)]
pub(crate) struct TestsInTurn;

impl PhysicalOptimizerRule for TestsInTurn {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(filter) = node.downcast_ref::<FilterExec>() else { return Ok(Transformed::no(node)) };
            let Some(predicate) = in_turn(filter.predicate(), &filter.input().schema()) else {
                return Ok(Transformed::no(node));
            };
            let filter = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
            Ok(Transformed::yes(Arc::new(filter) as Arc<dyn ExecutionPlan>))
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

/// The tests of `predicate` that fail on no row, then the others; none where that is as it is.
fn in_turn(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Arc<dyn PhysicalExpr>> {
    let tests = split_conjunction(predicate).into_iter().cloned();
    let (total, others): (Vec<_>, Vec<_>) = tests.partition(|test| is_total(test, schema));
    if others.is_empty() || total.len() + others.len() < 2 {
        return None;
    }
    let total = (!total.is_empty()).then(|| conjunction(total));
    total.into_iter().chain(others).reduce(|first, then| Arc::new(InTurn { first, then }))
}

/// `first AND then` of a filter, where null is as good as false.
#[derive(Debug)]
struct InTurn {
    first: Arc<dyn PhysicalExpr>,
    then: Arc<dyn PhysicalExpr>,
}

impl PartialEq for InTurn {
    fn eq(&self, other: &Self) -> bool {
        self.first.eq(&other.first) && self.then.eq(&other.then)
    }
}

impl Eq for InTurn {}

impl Hash for InTurn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.first.hash(state);
        self.then.hash(state);
    }
}

impl fmt::Display for InTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} AND {}", self.first, self.then)
    }
}

impl PhysicalExpr for InTurn {
    fn return_field(&self, _input_schema: &Schema) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.to_string(), DataType::Boolean, true)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let first = self.first.evaluate(batch)?.into_array(rows)?;
        let first = match first.as_boolean() {
            first if first.null_count() > 0 => prep_null_mask_filter(first),
            first => first.clone(),
        };
        let then = self.then.evaluate_selection(batch, &first)?.into_array(rows)?;
        Ok(ColumnarValue::Array(Arc::new(and_kleene(&first, then.as_boolean())?)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.first, &self.then]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(match <[_; 2]>::try_from(children) {
            Ok([first, then]) => Arc::new(Self { first, then }),
            Err(_) => self,
        })
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt_sql(f)?;
        f.write_str(" AND ")?;
        self.then.fmt_sql(f)
    }
}
