//! The plan node that reads nearline rows and hands out typed columns.

mod reader;

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{Schema, SchemaRef},
    },
    common::tree_node::TreeNodeRecursion,
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use fineo_core::{
    TimeRange,
    nearline::{Predicate, ScanRequest},
};
use futures::{Stream, StreamExt, TryStreamExt};

use crate::{
    column::{Column, Content},
    error::foreign,
    filter::describe,
    table::Rows,
};

use reader::Reader;

/// Reads the rows of one tenant and metric; one partition for each id that the metric's rows are stored under.
#[derive(Debug)]
pub(crate) struct FineoScan {
    rows: Arc<Rows>,
    columns: Arc<[Column]>,
    time: TimeRange,
    predicates: Vec<Predicate>,
    limit: Option<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl FineoScan {
    /// A scan of `columns`, in this order.
    pub(crate) fn new(
        rows: Arc<Rows>,
        columns: Vec<Column>,
        time: TimeRange,
        predicates: Vec<Predicate>,
        limit: Option<usize>,
    ) -> Self {
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(rows.metrics.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { rows, columns: columns.into(), time, predicates, limit, schema, properties: Arc::new(properties) }
    }
}

impl DisplayAs for FineoScan {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FineoScan: tenant={}, metric={}, {}", self.rows.tenant, self.rows.title, describe(&self.time))?;
        f.write_str(", columns=[")?;
        for (index, column) in self.columns.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", Shown(column))?;
        }
        f.write_str("]")?;
        if !self.predicates.is_empty() {
            let shown: Vec<String> = self.predicates.iter().map(show).collect();
            write!(f, ", predicates=[{}]", shown.join(", "))?;
        }
        match self.limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

struct Shown<'a>(&'a Column);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)?;
        let Content::Cells(column) = &self.0.content else { return Ok(()) };
        let names: Vec<&str> = column.sources.iter().map(|source| &*source.name).collect();
        if names != [&*self.0.name] {
            write!(f, " <- {}", names.join("|"))?;
        }
        match &column.field_type {
            Some(field_type) => write!(f, ": {field_type}"),
            None => Ok(()),
        }
    }
}

fn show(predicate: &Predicate) -> String {
    match predicate {
        Predicate::AnyText { names, texts } => format!("{} in {texts:?}", names.join("|")),
        Predicate::AnyPresent { names } => format!("{} is present", names.join("|")),
    }
}

impl ExecutionPlan for FineoScan {
    fn name(&self) -> &'static str {
        "FineoScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            return Ok(self);
        }
        Err(DataFusionError::Internal("a scan has no children".to_owned()))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = Arc::clone(&self.schema);
        let Some(metric) = self.rows.metrics.get(partition) else {
            let nothing = futures::stream::empty();
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, nothing)));
        };
        let reader = Reader::new(&self.columns, Arc::clone(&schema));
        let request = reader.request(&self.rows.tenant, metric, context.session_config().batch_size());
        let request = request.with_time(self.time);
        let request = self.predicates.iter().cloned().fold(request, ScanRequest::with_predicate);
        let rows = Arc::clone(&self.rows);
        let read = async move {
            let repairs = reader.repairs(&rows).await?;
            Ok(rows.store.scan(request).map(move |batch| reader.convert(&batch?, &repairs)))
        };
        let batches = futures::stream::once(read).try_flatten().map_err(foreign);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, at_most(self.limit, batches))))
    }
}

/// The first `limit` rows of `batches`.
fn at_most(
    limit: Option<usize>,
    batches: impl Stream<Item = Result<RecordBatch>>,
) -> impl Stream<Item = Result<RecordBatch>> {
    batches.scan(limit.unwrap_or(usize::MAX), |left, batch| {
        let kept = match batch {
            Ok(_) if *left == 0 => None,
            Ok(batch) => {
                let kept = batch.slice(0, batch.num_rows().min(*left));
                *left -= kept.num_rows();
                Some(Ok(kept))
            }
            Err(error) => Some(Err(error)),
        };
        futures::future::ready(kept)
    })
}
