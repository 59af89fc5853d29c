//! Rows for what takes long of each of them, such as regular expressions: few at a time, and a turn for others after each.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::tree_node::{TreeNode, TreeNodeRecursion},
    error::Result,
    execution::{RecordBatchStream, SendableRecordBatchStream},
    physical_expr::ScalarFunctionExpr,
    physical_plan::{ExecutionPlan, execution_plan::replace_children_if_necessary},
};
use futures::{Stream, StreamExt};

use crate::plan::{
    passing::{Pass, Passing},
    work::{Lengths, STEPS_MAX, takes_long},
};

/// How many rows are taken at a time.
const ROWS_AT_ONCE: usize = 64;
/// Where so few bytes are in a batch, no value is long.
const LONG_BYTES: usize = 1 << 14;

/// `node` over slices of rows, where it calls what takes long.
pub(super) fn sliced(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let mut is_slow = false;
    node.apply_expressions(&mut |expr| {
        expr.apply(|expr| {
            is_slow |= expr.downcast_ref::<ScalarFunctionExpr>().is_some_and(|call| takes_long(call.name()));
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if !is_slow {
        return Ok(None);
    }
    let sliced = |child: &Arc<dyn ExecutionPlan>| Arc::new(Passing::over(Arc::clone(child), Slices)) as _;
    let slices = node.children().into_iter().map(sliced).collect();
    replace_children_if_necessary(Arc::clone(node), slices).map(Some)
}

/// How many rows at the beginning of `batch` are taken at a time: fewer where their values are long.
fn rows_at_once(batch: &RecordBatch) -> usize {
    let rows = batch.num_rows().min(ROWS_AT_ONCE);
    if batch.get_array_memory_size() < LONG_BYTES {
        return rows;
    }
    let columns: Vec<Lengths> = batch.columns().iter().map(Lengths::of_array).collect();
    let steps = |row: usize| {
        let length: u128 = columns.iter().map(|column| column.at(row)).sum();
        length.saturating_mul(length)
    };
    let mut left = STEPS_MAX;
    let fitting = (0..rows).take_while(|row| {
        let fits = left.checked_sub(steps(*row));
        left = fits.unwrap_or(0);
        fits.is_some()
    });
    fitting.count().max(rows.min(1))
}

/// Rows pass a slice at a time.
#[derive(Debug, Clone)]
struct Slices;

impl Pass for Slices {
    const NAME: &'static str = "SlicesExec";

    fn pass(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        Box::pin(Slicer { rows, rest: None, is_turn_of_others: false })
    }
}

struct Slicer {
    rows: SendableRecordBatchStream,
    /// What is left of a batch.
    rest: Option<RecordBatch>,
    /// Whether a slice was given since others had their turn.
    is_turn_of_others: bool,
}

impl Stream for Slicer {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Whoever takes a slice works on it before it asks for the next one.
        if std::mem::take(&mut self.is_turn_of_others) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match std::task::ready!(self.rows.poll_next_unpin(context)) {
                Some(Ok(batch)) => batch,
                end => return Poll::Ready(end),
            },
        };
        let count = rows_at_once(&batch);
        if count < batch.num_rows() {
            self.rest = Some(batch.slice(count, batch.num_rows() - count));
        }
        self.is_turn_of_others = true;
        Poll::Ready(Some(Ok(batch.slice(0, count))))
    }
}

impl RecordBatchStream for Slicer {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
