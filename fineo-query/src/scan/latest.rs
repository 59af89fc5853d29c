//! The plan node for who wants of each key only the newest row: it has the nearline store begin with the newest, and
//! tells it which rows are old by now.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::{AsArray, RecordBatch},
        compute::filter_record_batch,
        datatypes::TimestampMicrosecondType,
    },
    common::tree_node::TreeNodeRecursion,
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, stream::RecordBatchStreamAdapter},
};
use fineo_core::nearline::Latest;
use futures::StreamExt;

use super::FineoScan;

/// Reads a scan's nearline rows from the newest on, and leaves out rows behind newer ones of their key that pass its
/// test; not necessarily all of them. What it leaves out can change no answer that only the newest rows count for.
#[derive(Debug, Clone)]
pub(crate) struct LatestExec {
    scan: Arc<dyn ExecutionPlan>,
    newest: Newest,
}

/// What makes a row the newest of its key.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    /// Where the scan has the time.
    pub(crate) timestamp: usize,
    /// Where it has the key, and the stored names that this is under; without one, all rows have one key.
    pub(crate) key: Option<(usize, Vec<Arc<str>>)>,
    /// What a row must pass to make others old. It fails on no row.
    pub(crate) test: Option<Arc<dyn PhysicalExpr>>,
}

impl LatestExec {
    /// The same rows as those of `scan`, but for those that `newest` makes old.
    pub(crate) fn new(scan: Arc<dyn ExecutionPlan>, newest: Newest) -> Self {
        Self { scan, newest }
    }
}

impl Newest {
    /// The rows of `batch` that pass the test; they are known to `latest` from now on.
    fn accepted(&self, batch: RecordBatch, latest: &Latest) -> Result<RecordBatch> {
        let passed = match &self.test {
            None => batch,
            Some(test) => {
                let passed = test.evaluate(&batch)?.into_array(batch.num_rows())?;
                filter_record_batch(&batch, passed.as_boolean())?
            }
        };
        if latest.is_full() {
            return Ok(passed);
        }
        let micros = passed.column(self.timestamp).as_primitive::<TimestampMicrosecondType>().values();
        match &self.key {
            None => latest.accept(micros.iter().max().map(|newest| (None, *newest))),
            Some((place, _)) => {
                let keys = passed.column(*place).as_string_view();
                latest.accept(keys.iter().zip(micros.iter().copied()));
            }
        }
        Ok(passed)
    }
}

impl DisplayAs for LatestExec {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.newest.key.as_ref().map(|(place, _)| self.scan.schema().field(*place).name().clone());
        write!(f, "LatestExec: newest first, by=[{}]", by.unwrap_or_default())?;
        match &self.newest.test {
            Some(test) => write!(f, ", where={test}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for LatestExec {
    fn name(&self) -> &'static str {
        "LatestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.scan]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.newest.test.as_ref().map_or(Ok(TreeNodeRecursion::Continue), visit)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([scan]) => Ok(Arc::new(Self { scan, newest: self.newest.clone() })),
            Err(_) => Err(DataFusionError::Internal("the newest rows of one scan are read".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let nearline = self.scan.downcast_ref::<FineoScan>().filter(|scan| scan.is_nearline(partition));
        let Some(scan) = nearline else { return self.scan.execute(partition, context) };
        let names = self.newest.key.iter().flat_map(|(_, names)| names.iter().cloned());
        let (latest, newest) = (Arc::new(Latest::by(names)), self.newest.clone());
        let batches = scan.newest(partition, &context, &latest)?;
        let accepted = batches.map(move |batch| newest.accepted(batch?, &latest));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), accepted)))
    }
}
