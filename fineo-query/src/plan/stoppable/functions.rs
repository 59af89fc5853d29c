//! Functions of windows alone, such as ranks, that look from row to row whether anybody still wants the rows.

use std::{any::Any, ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::ArrayRef,
        datatypes::{FieldRef, SchemaRef},
        record_batch::RecordBatch,
    },
    common::ScalarValue,
    error::Result,
    logical_expr::{LimitEffect, PartitionEvaluator, window_state::WindowAggState},
    physical_expr::{
        PhysicalExpr, PhysicalSortExpr,
        window::{StandardWindowExpr, StandardWindowFunctionExpr, WindowExpr},
    },
};

use super::{ROWS_PER_TURN, Unwanted, by_turns};

/// `expr` with a function that looks, if it has one of its own.
pub(super) fn looking(expr: &Arc<dyn WindowExpr>, unwanted: &Unwanted) -> Option<Arc<dyn WindowExpr>> {
    let window = expr.as_any().downcast_ref::<StandardWindowExpr>()?;
    let looks = Looks { inner: Arc::clone(window.get_standard_func_expr()), unwanted: unwanted.clone() };
    let frame = Arc::clone(window.get_window_frame());
    Some(Arc::new(StandardWindowExpr::new(Arc::new(looks), window.partition_by(), window.order_by(), frame)))
}

#[derive(Debug)]
struct Looks {
    inner: Arc<dyn StandardWindowFunctionExpr>,
    unwanted: Unwanted,
}

impl StandardWindowFunctionExpr for Looks {
    fn as_any(&self) -> &dyn Any {
        self.inner.as_any()
    }

    fn field(&self) -> Result<FieldRef> {
        self.inner.field()
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn evaluate_args(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.inner.evaluate_args(batch)
    }

    fn create_evaluator(&self) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Watched { inner: self.inner.create_evaluator()?, unwanted: self.unwanted.clone(), rows: 0 }))
    }

    fn get_result_ordering(&self, schema: &SchemaRef) -> Option<PhysicalSortExpr> {
        self.inner.get_result_ordering(schema)
    }

    fn limit_effect(&self) -> LimitEffect {
        self.inner.limit_effect()
    }
}

#[derive(Debug)]
struct Watched {
    inner: Box<dyn PartitionEvaluator>,
    unwanted: Unwanted,
    rows: usize,
}

impl PartitionEvaluator for Watched {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.inner.memoize(state)
    }

    fn get_range(&self, index: usize, rows: usize) -> Result<Range<usize>> {
        self.inner.get_range(index, rows)
    }

    fn is_causal(&self) -> bool {
        self.inner.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        self.unwanted.check()?;
        self.inner.evaluate_all(values, rows)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.unwanted.check()?;
        self.rows += 1;
        by_turns(self.rows.is_multiple_of(ROWS_PER_TURN), || self.inner.evaluate(values, range))
    }

    fn evaluate_all_with_rank(&self, rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        self.unwanted.check()?;
        self.inner.evaluate_all_with_rank(rows, ranks)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.inner.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.inner.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.inner.include_rank()
    }
}
