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

use crate::plan::passing::{Pass, Passing};

/// How many rows are taken at a time.
const ROWS_AT_ONCE: usize = 64;

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
    let sliced = |child: &Arc<dyn ExecutionPlan>| Arc::new(Passing { input: Arc::clone(child), pass: Slices }) as _;
    let slices = node.children().into_iter().map(sliced).collect();
    replace_children_if_necessary(Arc::clone(node), slices).map(Some)
}

/// Whether a call of `function` may take long.
fn takes_long(function: &str) -> bool {
    function.starts_with("regexp_") || function == "levenshtein"
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
        let count = batch.num_rows().min(ROWS_AT_ONCE);
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
