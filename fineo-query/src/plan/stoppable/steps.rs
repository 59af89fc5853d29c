//! What sorts all that it holds in one step, such as `array_agg(… ORDER BY …)`: nobody can break it off, so the thread is handed
//! over while it lasts.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    error::Result,
    execution::{RecordBatchStream, SendableRecordBatchStream},
    physical_plan::{ExecutionPlan, aggregates::AggregateExec},
};
use futures::{Stream, StreamExt};

use super::{by_turns, offsets};
use crate::plan::passing::{Pass, Passing};

/// Those with an order that keep but one value each.
const KEEP_ONE: [&str; 2] = ["first_value", "last_value"];

/// `node` with its steps apart, where it aggregates in an order or keeps very many rows in a heap.
pub(super) fn apart(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let has_steps = |aggregate: &AggregateExec| {
        let mut ordered = aggregate.aggr_expr().iter().filter(|expr| !expr.order_bys().is_empty());
        ordered.any(|expr| !KEEP_ONE.contains(&expr.fun().name()))
    };
    let has_steps = node.downcast_ref::<AggregateExec>().is_some_and(has_steps) || offsets::of_many(node).is_some();
    has_steps.then(|| Arc::new(Passing::over(Arc::clone(node), Steps)) as _)
}

/// Rows that are made in long steps.
#[derive(Debug, Clone)]
struct Steps;

impl Pass for Steps {
    const NAME: &'static str = "StepsExec";

    fn pass(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        Box::pin(Apart(rows))
    }
}

struct Apart(SendableRecordBatchStream);

impl Stream for Apart {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        by_turns(true, || self.0.poll_next_unpin(context))
    }
}

impl RecordBatchStream for Apart {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

#[cfg(test)]
mod tests;
