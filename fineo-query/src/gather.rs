//! The partitions of a plan as one stream: what is at hand is taken at once, and only who has to wait gets a task.
//!
//! A look-up that finds its rows in memory so costs neither a task nor a change of threads; what has to wait for a disk
//! or a network goes on beside the others, as it would have from the beginning.

use std::{sync::Arc, task::Poll};

use datafusion::{
    arrow::array::RecordBatch,
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter},
    },
};
use futures::{Stream, StreamExt, future, stream};

/// So many batches of a partition are taken at once; then there is enough to do for a task.
const AT_ONCE_MAX: usize = 4;
/// How many batches may wait to be read.
const BATCHES_AHEAD: usize = 2;

/// Runs `plan`.
pub(crate) fn gathered(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
    let count = plan.output_partitioning().partition_count();
    let parts = (0..count).map(|part| plan.execute(part, Arc::clone(context)));
    let mut parts: Vec<SendableRecordBatchStream> = parts.collect::<Result<_>>()?;
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    Ok(Box::pin(RecordBatchStreamAdapter::new(plan.schema(), merged(parts))))
}

/// The batches of all `parts`.
fn merged(parts: Vec<SendableRecordBatchStream>) -> impl Stream<Item = Result<RecordBatch>> + Send {
    stream::once(begun(parts)).flat_map(|(at_hand, rest)| {
        let rest = stream::iter(later(rest)).flatten();
        stream::iter(at_hand).chain(rest)
    })
}

/// What each of `parts` has at hand, and those of them that are not over.
async fn begun(parts: Vec<SendableRecordBatchStream>) -> (Vec<Result<RecordBatch>>, Vec<SendableRecordBatchStream>) {
    let (mut at_hand, mut rest) = (Vec::new(), Vec::new());
    for mut part in parts {
        let is_over = future::poll_fn(|context| {
            for _ in 0..AT_ONCE_MAX {
                match part.poll_next_unpin(context) {
                    Poll::Ready(Some(batch)) => at_hand.push(batch),
                    Poll::Ready(None) => return Poll::Ready(true),
                    Poll::Pending => break,
                }
            }
            Poll::Ready(false)
        });
        if !is_over.await {
            rest.push(part);
        }
    }
    (at_hand, rest)
}

/// The rest of `parts`: of one here, of several in a task each.
fn later(mut parts: Vec<SendableRecordBatchStream>) -> Option<SendableRecordBatchStream> {
    if parts.len() <= 1 {
        return parts.pop();
    }
    let schema = parts.first()?.schema();
    let mut tasks = RecordBatchReceiverStreamBuilder::new(schema, BATCHES_AHEAD * parts.len());
    parts.into_iter().for_each(|part| pass_on(part, &mut tasks));
    Some(tasks.build())
}

/// Passes `part` on in one of `tasks`.
pub(crate) fn pass_on(mut part: SendableRecordBatchStream, tasks: &mut RecordBatchReceiverStreamBuilder) {
    let sender = tasks.tx();
    tasks.spawn(async move {
        while let Some(batch) = part.next().await {
            // Whoever read is gone.
            if sender.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests;
