//! The plan node that reads nearline rows and hands out typed columns.

mod columnar;
mod file;
mod latest;
pub(crate) mod pushed;
mod repairs;
mod resent;
mod rows;
mod tail;

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, RecordBatchOptions, StringViewBuilder},
        datatypes::{Schema, SchemaRef},
    },
    common::{Statistics, stats::Precision, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet},
        statistics::StatisticsArgs,
        stream::RecordBatchStreamAdapter,
    },
};
use fineo_core::{
    TimeRange,
    nearline::{Latest, Predicate, ScanRequest},
};
use fineo_table::Snapshot;
use futures::{Stream, StreamExt, TryStreamExt};

use crate::{
    column::{Column, Content},
    error::foreign,
    filter::describe,
    table::Rows,
};

pub(crate) use latest::{LatestExec, Newest};

use columnar::{Asked, Files};
use pushed::Tests;
use repairs::Repairs;
use resent::Resent;
use rows::RowReader;
use tail::{Counted, Tail};

/// Reads the rows of one tenant and metric: of each id that they are stored under those that are in no file, one
/// partition each, and those in files, in as many partitions as there are tasks.
#[derive(Debug, Clone)]
pub(crate) struct FineoScan {
    rows: Arc<Rows>,
    columns: Arc<[Column]>,
    time: TimeRange,
    predicates: Vec<Predicate>,
    limit: Option<usize>,
    /// The pinned state of each id's table, where there are tables.
    snapshots: Vec<Arc<Snapshot>>,
    files: Option<Files>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What a scan is asked for.
pub(crate) struct Wanted {
    /// The columns, in this order.
    pub(crate) columns: Vec<Column>,
    /// Whose times lie here.
    pub(crate) time: TimeRange,
    /// What the nearline store may apply.
    pub(crate) predicates: Vec<Predicate>,
    /// What files may apply.
    pub(crate) tests: Tests,
    /// The most rows.
    pub(crate) limit: Option<usize>,
    /// How many tasks share the work on files.
    pub(crate) tasks: usize,
}

impl FineoScan {
    /// A scan of what is `wanted`; pins the states of the tables that it reads.
    pub(crate) async fn new(rows: Arc<Rows>, wanted: Wanted) -> fineo_core::Result<Self> {
        let Wanted { columns, time, predicates, tests, limit, tasks } = wanted;
        let mut snapshots = Vec::new();
        let mut files = None;
        if let Some(pins) = &rows.pins {
            for metric in &rows.metrics {
                snapshots.push(pins.snapshot(metric).await?);
            }
            let asked = Asked { columns: columns.clone(), time, tests };
            files = Some(Files::of(pins, &snapshots, asked, tasks)).filter(|files| files.total > 0);
        }
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let partitions = rows.metrics.len() + files.as_ref().map_or(0, |files| files.partitions);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions.max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (columns, properties) = (columns.into(), Arc::new(properties));
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { rows, columns, time, predicates, limit, snapshots, files, schema, properties, metrics })
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns, of a scan of all rows.
    pub(crate) fn all_columns(&self) -> Option<&[Column]> {
        self.limit.is_none().then_some(&*self.columns)
    }

    /// The same scan with the `properties` of one that is like it.
    pub(crate) fn with_properties(&self, properties: &Arc<PlanProperties>) -> Self {
        Self { properties: Arc::clone(properties), ..self.clone() }
    }

    /// Whether `partition` has rows of the nearline store.
    fn is_nearline(&self, partition: usize) -> bool {
        partition < self.rows.metrics.len()
    }

    /// The rows of a partition of the nearline store, the newest first, but for those that `latest` makes old.
    fn newest(
        &self,
        partition: usize,
        context: &TaskContext,
        latest: &Arc<Latest>,
    ) -> Result<SendableRecordBatchStream> {
        let batches = self.nearline(partition, context, Some(latest)).map_err(foreign);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }

    /// The rows of one id that are in no file.
    fn nearline(
        &self,
        partition: usize,
        context: &TaskContext,
        latest: Option<&Arc<Latest>>,
    ) -> impl Stream<Item = fineo_core::Result<RecordBatch>> + use<> {
        let pinned = self.rows.pins.clone().zip(self.snapshots.get(partition).cloned());
        let resent = pinned.as_ref().and_then(|(pins, snapshot)| Resent::of(pins, snapshot));
        let reader = RowReader::new(&self.columns, Arc::clone(&self.schema), resent.is_some());
        let metric = &self.rows.metrics[partition];
        let request = reader.request(&self.rows.tenant, metric, context.session_config().batch_size());
        let request = request.with_time(self.time);
        let mut request = self.predicates.iter().cloned().fold(request, ScanRequest::with_predicate);
        if let Some((_, snapshot)) = &pinned {
            request = request.beyond(snapshot.cover.clone());
        }
        if let Some(latest) = latest {
            request = request.with_latest(Arc::clone(latest));
        }
        let rows = Arc::clone(&self.rows);
        let counted = Counted {
            rows: MetricBuilder::new(&self.metrics).counter("nearline_rows", partition),
            resent: MetricBuilder::new(&self.metrics).counter("nearline_rows_resent", partition),
        };
        let mut repairs = Repairs::none(context.memory_pool());
        let read = async move {
            if reader.shows_repairs() {
                repairs.read(&rows).await?;
            }
            let tail = Tail { batches: rows.store.scan(request), reader, repairs, resent, pinned, counted };
            Ok(futures::stream::try_unfold(Some(tail), Tail::next))
        };
        futures::stream::once(read).try_flatten()
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
        if let Some(files) = &self.files {
            write!(f, ", files={files}, nearline=beyond [{}]", covers(&self.snapshots))?;
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

    /// The same scan, to be read once more: partitions share what is left to be read.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.files.as_ref().map(Files::unopened);
        Ok(Arc::new(Self { files, metrics: ExecutionPlanMetricsSet::new(), ..(*self).clone() }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = Arc::clone(&self.schema);
        if self.is_nearline(partition) {
            let batches = self.nearline(partition, &context, None);
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, at_most(self.limit, batches.map_err(foreign)))));
        }
        let share = partition - self.rows.metrics.len();
        let Some(files) = self.files.clone().filter(|files| share < files.partitions) else {
            let nothing = futures::stream::empty();
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, nothing)));
        };
        let named = Arc::clone(&schema);
        let reading = files.clone();
        let read = async move { reading.read(share, &context).await };
        let batches = futures::stream::once(read).try_flatten();
        let batches = batches.or_else(move |error| {
            let files = files.clone();
            async move { Err(files.explain(error).await) }
        });
        let batches = batches.map(move |batch| {
            let (_, arrays, rows) = batch?.into_parts();
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&named), arrays, &options)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, at_most(self.limit, batches))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        for metric in
            self.files.iter().filter_map(Files::metrics).flat_map(|files| files.iter().cloned().collect::<Vec<_>>())
        {
            metrics.push(metric);
        }
        Some(metrics)
    }

    fn statistics_from_inputs(
        &self,
        _input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let (Some(files), None) = (&self.files, args.partition()) {
            statistics.num_rows = Precision::Inexact(files.rows());
        }
        Ok(Arc::new(statistics))
    }
}

/// All rows as `columns`, one part of them behind the other.
pub(crate) fn all_rows(
    rows: Arc<Rows>,
    columns: Vec<Column>,
    context: Arc<TaskContext>,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let wanted = Wanted {
        columns,
        time: TimeRange::ALL,
        predicates: Vec::new(),
        tests: Tests::default(),
        limit: None,
        tasks: 1,
    };
    let parts = async move {
        let scan = FineoScan::new(rows, wanted).await.map_err(foreign)?;
        let parts = 0..scan.properties.output_partitioning().partition_count();
        let parts = parts.map(move |part| scan.execute(part, Arc::clone(&context)));
        Ok::<_, DataFusionError>(futures::stream::iter(parts).try_flatten())
    };
    futures::stream::once(parts).try_flatten()
}

/// `s0 ≤ 20, s1 ≤ 4`.
fn covers(snapshots: &[Arc<Snapshot>]) -> String {
    let shown =
        snapshots.iter().flat_map(|snapshot| snapshot.cover.iter()).map(|(shard, position)| match position.to_u128() {
            Some(number) => format!("{shard} ≤ {number}"),
            None => format!("{shard} ≤ {position}"),
        });
    shown.collect::<Vec<_>>().join(", ")
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

/// The hexadecimal texts of `count` ids.
fn hexadecimal<'a>(count: usize, ids: impl Iterator<Item = &'a [u8]>) -> ArrayRef {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut texts = StringViewBuilder::with_capacity(count);
    let mut text = String::with_capacity(32);
    for id in ids {
        text.clear();
        for byte in id {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        texts.append_value(&text);
    }
    Arc::new(texts.finish())
}

/// An id from its bytes.
fn sixteen(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}
