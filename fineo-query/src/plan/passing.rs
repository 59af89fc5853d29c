//! A node that answers the rows of its one input as they are, and does something as they pass, or says less of them.

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

    /// Whether it says of its rows in what order they are, as its input does.
    const KEEPS_ORDER: bool = true;

    /// The rows of a partition, on their way.
    fn pass(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        rows
    }

    /// What is said of the rows, by what the input says.
    fn properties(&self, input: &Arc<PlanProperties>) -> Arc<PlanProperties> {
        Arc::clone(input)
    }
}

/// Such a node.
#[derive(Debug)]
pub(super) struct Passing<P> {
    input: Arc<dyn ExecutionPlan>,
    pass: P,
    properties: Arc<PlanProperties>,
}

impl<P: Pass> Passing<P> {
    /// One over `input`.
    pub(super) fn over(input: Arc<dyn ExecutionPlan>, pass: P) -> Self {
        let properties = pass.properties(input.properties());
        Self { input, pass, properties }
    }
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
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![P::KEEPS_ORDER]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::over(input, self.pass.clone()))),
            _ => Err(DataFusionError::Internal("one child is expected".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(self.pass.pass(self.input.execute(partition, context)?))
    }
}
