//! Work that goes on for long before it shows anything: joins that make many rows of few, or look at many to find none.
//!
//! The engine gives others a turn when it reads, and such work reads little. So it runs in a task of its own, where nobody
//! who may cancel it waits behind it, and looks as it goes whether anybody still wants its rows.

use std::{
    fmt,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext},
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        coop::CooperativeExec,
        joins::{
            CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, PiecewiseMergeJoinExec,
            SortMergeJoinExec, utils::JoinFilter,
        },
        stream::RecordBatchReceiverStreamBuilder,
        unnest::UnnestExec,
    },
};
use futures::{Stream, StreamExt};

/// How many batches are made ahead of the reader.
const BATCHES_AHEAD: usize = 1;

/// The rule. It changes no answer.
#[derive(Debug)]
pub(crate) struct StopsWhenUnwanted;

impl PhysicalOptimizerRule for StopsWhenUnwanted {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let unwanted = Unwanted::default();
        let watched = plan.transform_up(|node| {
            if !makes_many_of_few(&node) {
                return Ok(Transformed::no(node));
            }
            let node = match node.downcast_ref::<NestedLoopJoinExec>() {
                Some(join) => looking(join, &unwanted)?.unwrap_or(node),
                None => node,
            };
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as _))
        })?;
        Ok(match watched.transformed {
            true => Arc::new(Stoppable { input: watched.data, unwanted }),
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

/// `join` with a filter that looks whether the rows are wanted: it is all that runs while no rows pass.
fn looking(join: &NestedLoopJoinExec, unwanted: &Unwanted) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = join.filter() else { return Ok(None) };
    let looks = Looks(Arc::clone(filter.expression()), unwanted.clone());
    let filter = JoinFilter::new(Arc::new(looks), filter.column_indices().to_vec(), Arc::clone(filter.schema()));
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    let made = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
        .with_projection_ref(join.projection().clone())
        .with_filter(Some(filter))
        .build()?;
    Ok(Some(Arc::new(made)))
}

/// Whether nobody wants the rows of one run any more.
#[derive(Debug, Clone, Default)]
struct Unwanted(Arc<AtomicBool>);

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

/// An expression that fails once nobody wants what it decides about.
#[derive(Debug)]
struct Looks(Arc<dyn PhysicalExpr>, Unwanted);

// Deriving it would move what the pointer points to.
impl PartialEq for Looks {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0) && self.1 == other.1
    }
}

impl Eq for Looks {}

impl Hash for Looks {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PhysicalExpr for Looks {
    fn data_type(&self, input_schema: &Schema) -> Result<DataType> {
        self.0.data_type(input_schema)
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.0.nullable(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.1.0.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution("nobody wants the rows any more".to_owned()));
        }
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(child), true) => Ok(Arc::new(Self(child, self.1.clone()))),
            _ => Err(DataFusionError::Internal("one child is expected".to_owned())),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

/// Runs its input in a task of its own, which ends with whoever reads.
#[derive(Debug)]
struct Stoppable {
    input: Arc<dyn ExecutionPlan>,
    unwanted: Unwanted,
}

impl DisplayAs for Stoppable {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoppableExec")
    }
}

impl ExecutionPlan for Stoppable {
    fn name(&self) -> &'static str {
        "StoppableExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input, unwanted: self.unwanted.clone() })),
            _ => Err(DataFusionError::Internal("one child is expected".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut rows = self.input.execute(partition, context)?;
        let mut builder = RecordBatchReceiverStreamBuilder::new(rows.schema(), BATCHES_AHEAD);
        let sender = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = rows.next().await {
                // Whoever read is gone.
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(Box::pin(Reader { rows: builder.build(), unwanted: self.unwanted.clone() }))
    }
}

/// What reads the rows; when it is dropped, nobody wants them.
struct Reader {
    rows: SendableRecordBatchStream,
    unwanted: Unwanted,
}

impl Stream for Reader {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.poll_next_unpin(context)
    }
}

impl RecordBatchStream for Reader {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.unwanted.0.store(true, Ordering::Relaxed);
    }
}
