//! Work that goes on for long before it shows anything: joins that make many rows of few, or look at many to find none, and
//! windows, which know nothing before they have seen all rows of a partition, functions that take long of a row, and heaps of
//! very many rows.
//!
//! The engine gives others a turn when it reads, and such work reads little. So it runs in a task of its own, where nobody
//! who may cancel it waits behind it, and looks as it goes whether anybody still wants its rows. Where as many such tasks
//! run as the runtime has threads, nobody would hear of a signal, a timer or a socket: they hand their threads over.

mod aggregates;
mod functions;
mod gathers;
mod offsets;
mod slices;
mod steps;

use std::{
    fmt,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Schema, SchemaRef},
    },
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::{DataFusionError, Result},
    execution::{RecordBatchStream, SendableRecordBatchStream},
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        aggregates::AggregateExec,
        coop::CooperativeExec,
        joins::{
            CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, PiecewiseMergeJoinExec,
            SortMergeJoinExec, utils::JoinFilter,
        },
        stream::RecordBatchReceiverStreamBuilder,
        unnest::UnnestExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use futures::{Stream, StreamExt};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::passing::{Pass, Passing};
use crate::gather::pass_on;

pub(crate) use aggregates::AggregatesLook;

/// How many batches are made ahead of the reader.
const BATCHES_AHEAD: usize = 1;

/// How often a filter is asked until the thread is handed over: some milliseconds. It is odd, so that of two tasks that
/// ask by turns it is not always the same that does it.
const ASKED_PER_TURN: usize = 61;
/// How many rows of a window take as long.
const ROWS_PER_TURN: usize = 1021;

/// The rule. It changes no answer.
#[derive(Debug)]
pub(crate) struct StopsWhenUnwanted {
    /// Whether a sort may put on disk what does not fit into memory.
    pub(crate) may_spill: bool,
}

impl PhysicalOptimizerRule for StopsWhenUnwanted {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let unwanted = Unwanted::default();
        let mut looked_at = vec![unwanted.clone()];
        let sorted = plan.transform_up(|node| {
            let sorted = if self.may_spill { offsets::sorted(&node) } else { None };
            let instead = sorted.or_else(|| steps::apart(&node));
            Ok(instead.map_or_else(|| Transformed::no(node), Transformed::yes))
        })?;
        let sliced = sorted
            .data
            .transform_up(|node| Ok(slices::sliced(&node)?.map_or_else(|| Transformed::no(node), Transformed::yes)))?;
        let watched = sliced.data.transform_up(|node| {
            if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
                looked_at.extend(aggregates::looked_at_by(aggregate).cloned());
            }
            let looks = match looking(&node, &unwanted)? {
                None => looking_windows(&node, &unwanted, &mut looked_at)?,
                join => join,
            };
            if looks.is_none() && !makes_many_of_few(&node) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(looks.unwrap_or(node))) as _))
        })?;
        Ok(match watched.transformed || sorted.transformed {
            true => Arc::new(Passing::over(watched.data, Stops { unwanted: looked_at.into() })),
            false => watched.data,
        })
    }

    fn name(&self) -> &'static str {
        "stops_when_unwanted"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn makes_many_of_few(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<CrossJoinExec>().is_some()
        || node.downcast_ref::<NestedLoopJoinExec>().is_some()
        || node.downcast_ref::<HashJoinExec>().is_some()
        || node.downcast_ref::<SortMergeJoinExec>().is_some()
        || node.downcast_ref::<PiecewiseMergeJoinExec>().is_some()
        || node.downcast_ref::<UnnestExec>().is_some()
}

/// The join `node` with a filter that looks whether the rows are wanted: it is all that runs while no rows pass.
fn looking(node: &Arc<dyn ExecutionPlan>, unwanted: &Unwanted) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let watched = |filter: &JoinFilter| {
        let looks = Looks::new(Arc::clone(filter.expression()), unwanted.clone());
        Some(JoinFilter::new(Arc::new(looks), filter.column_indices().to_vec(), Arc::clone(filter.schema())))
    };
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
        let made = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
            .with_projection_ref(join.projection().clone())
            .with_filter(watched(filter))
            .build()?;
        return Ok(Some(Arc::new(made)));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        return join.builder().with_filter(watched(filter)).build_exec().map(Some);
    }
    Ok(None)
}

/// `node` with windows that look whether their rows are wanted, if it has windows; what their aggregates look at is among
/// `looked_at`.
fn looking_windows(
    node: &Arc<dyn ExecutionPlan>,
    unwanted: &Unwanted,
    looked_at: &mut Vec<Unwanted>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (whole, bounded) = (node.downcast_ref::<WindowAggExec>(), node.downcast_ref::<BoundedWindowAggExec>());
    let Some(windows) = whole.map(WindowAggExec::window_expr).or(bounded.map(BoundedWindowAggExec::window_expr)) else {
        return Ok(None);
    };
    looked_at.extend(windows.iter().filter_map(aggregates::looked_at).cloned());
    let looks = |window| functions::looking(window, unwanted).unwrap_or_else(|| Arc::clone(window));
    let windows = windows.iter().map(looks).collect();
    Ok(match (whole, bounded) {
        (Some(node), _) => {
            let has_keys = !node.partition_keys().is_empty();
            Some(Arc::new(WindowAggExec::try_new(windows, Arc::clone(node.input()), has_keys)?))
        }
        (None, Some(node)) => {
            let (mode, has_keys) = (node.input_order_mode.clone(), !node.partition_keys().is_empty());
            Some(Arc::new(BoundedWindowAggExec::try_new(windows, Arc::clone(node.input()), mode, has_keys)?))
        }
        (None, None) => None,
    })
}

/// Whether nobody wants the rows of one run any more.
#[derive(Debug, Clone, Default)]
struct Unwanted(Arc<AtomicBool>);

impl Unwanted {
    /// Fails once nobody wants the rows.
    fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(DataFusionError::Execution("nobody wants the rows any more".to_owned())),
            false => Ok(()),
        }
    }
}

impl PartialEq for Unwanted {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Unwanted {}

impl Hash for Unwanted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// An expression that fails once nobody wants what it decides about, and lets others have its thread now and then.
#[derive(Debug)]
struct Looks {
    filter: Arc<dyn PhysicalExpr>,
    unwanted: Unwanted,
    asked: AtomicUsize,
}

impl Looks {
    fn new(filter: Arc<dyn PhysicalExpr>, unwanted: Unwanted) -> Self {
        Self { filter, unwanted, asked: AtomicUsize::new(0) }
    }
}

/// Does `work`. Where it `is_turn` of others, and there is another thread that can go on with theirs, the runtime does so,
/// and this one belongs to the query alone.
fn by_turns<T>(is_turn: bool, work: impl FnOnce() -> T) -> T {
    let has_others = || Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_turn && has_others() { tokio::task::block_in_place(work) } else { work() }
}

impl PartialEq for Looks {
    fn eq(&self, other: &Self) -> bool {
        self.filter.eq(&other.filter) && self.unwanted == other.unwanted
    }
}

impl Eq for Looks {}

impl Hash for Looks {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.filter.hash(state);
        self.unwanted.hash(state);
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.filter, f)
    }
}

impl PhysicalExpr for Looks {
    fn data_type(&self, input_schema: &Schema) -> Result<DataType> {
        self.filter.data_type(input_schema)
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.filter.nullable(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.unwanted.check()?;
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        by_turns(asked.is_multiple_of(ASKED_PER_TURN), || self.filter.evaluate(batch))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.filter]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(child), true) => Ok(Arc::new(Self::new(child, self.unwanted.clone()))),
            _ => Err(DataFusionError::Internal("one child is expected".to_owned())),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt_sql(f)
    }
}

/// Makes rows in a task of its own, which ends with whoever reads.
#[derive(Debug, Clone)]
struct Stops {
    /// What looks at it as it works.
    unwanted: Arc<[Unwanted]>,
}

impl Pass for Stops {
    const NAME: &'static str = "StoppableExec";

    fn pass(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let mut task = RecordBatchReceiverStreamBuilder::new(rows.schema(), BATCHES_AHEAD);
        pass_on(rows, &mut task);
        Box::pin(Watched { rows: task.build(), unwanted: Arc::clone(&self.unwanted), is_done: false })
    }
}

/// What reads the rows of a partition; when it is dropped before their end, nobody wants any.
struct Watched {
    rows: SendableRecordBatchStream,
    unwanted: Arc<[Unwanted]>,
    /// Whether all of them were read: others may still want the rows of other partitions.
    is_done: bool,
}

impl Stream for Watched {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.rows.poll_next_unpin(context);
        self.is_done |= matches!(polled, Poll::Ready(None));
        polled
    }
}

impl RecordBatchStream for Watched {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        for unwanted in self.unwanted.iter().filter(|_| !self.is_done) {
            unwanted.0.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
