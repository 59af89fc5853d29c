//! A node that answers the rows of its one input as they are, and does something as they pass.

use std::{
    fmt::{Debug, Formatter, Result as Written},
    sync::Arc,
};

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties},
};

/// What is done as rows pass.
pub(super) trait Pass: Clone + Debug + Send + Sync + 'static {
    /// What the node is called.
    const NAME: &'static str;

    /// The rows of a partition, on their way.
    fn pass(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream;
}

/// Such a node.
#[derive(Debug)]
pub(super) struct Passing<P> {
    pub(super) input: Arc<dyn ExecutionPlan>,
    pub(super) pass: P,
}

impl<P: Pass> DisplayAs for Passing<P> {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut Formatter<'_>) -> Written {
        f.write_str(P::NAME)
    }
}

impl<P: Pass> ExecutionPlan for Passing<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input, pass: self.pass.clone() })),
            _ => Err(DataFusionError::Internal("one child is expected".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(self.pass.pass(self.input.execute(partition, context)?))
    }
}
