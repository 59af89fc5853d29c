//! The files of a scan: opened once, read by as many partitions as there are tasks.

mod reader;

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::datatypes::{Schema, SchemaRef},
    common::{ColumnStatistics, ScalarValue, Statistics, stats::Precision},
    datasource::{
        listing::PartitionedFile,
        object_store::ObjectStoreUrl,
        physical_plan::{FileGroup, FileGroupPartitioner, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    error::{DataFusionError, Result as EngineResult},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr, conjunction,
        expressions::{BinaryExpr, lit},
    },
    physical_plan::{ExecutionPlan, metrics::MetricsSet},
};
use fineo_core::{Error, Result, TimeRange};
use fineo_table::{DataFile, FileReader, Snapshot};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::{
    file::{Bounds, FilePlan, Plans, hinted},
    pushed::Tests,
};
use crate::{
    column::Column,
    error::{carried, foreign},
    pins::Pins,
};

use reader::Readers;

/// How many footers are read at once.
const FOOTERS_AT_ONCE: usize = 16;

/// The files that a scan reads.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pins: Arc<Pins>,
    chosen: Vec<(Arc<Snapshot>, usize)>,
    /// How many files there are in all.
    pub(super) total: usize,
    /// How many tasks share the work.
    pub(super) partitions: usize,
    asked: Arc<Asked>,
    opened: Arc<OnceCell<Arc<DataSourceExec>>>,
}

/// What files are asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) columns: Vec<Column>,
    pub(super) time: TimeRange,
    pub(super) tests: Tests,
}

impl Files {
    /// Of the files of `snapshots`, those with times that are asked for.
    pub(super) fn of(pins: &Arc<Pins>, snapshots: &[Arc<Snapshot>], asked: Asked, partitions: usize) -> Self {
        let time = asked.time;
        let mut chosen = Vec::new();
        for snapshot in snapshots {
            let is_wanted = |file: &DataFile| time.overlaps(file.first.micros(), file.last.micros());
            let wanted = snapshot.files.iter().enumerate().filter(|(_, file)| !time.is_empty() && is_wanted(file));
            chosen.extend(wanted.map(|(index, _)| (Arc::clone(snapshot), index)));
        }
        let total = snapshots.iter().map(|snapshot| snapshot.files.len()).sum();
        let partitions = if chosen.is_empty() { 0 } else { partitions.max(1) };
        Self { pins: Arc::clone(pins), chosen, total, partitions, asked: Arc::new(asked), opened: Arc::default() }
    }

    /// The same files, to be read once more.
    pub(super) fn unopened(&self) -> Self {
        Self { opened: Arc::default(), ..self.clone() }
    }

    /// How many rows they have.
    pub(super) fn rows(&self) -> usize {
        let rows = self.chosen.iter().map(|(snapshot, index)| snapshot.files[*index].rows).sum::<u64>();
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// What the readers counted so far.
    pub(super) fn metrics(&self) -> Option<MetricsSet> {
        self.opened.get().and_then(|opened| opened.metrics())
    }

    /// The rows that are the share of `partition`, as the asked columns.
    pub(super) async fn read(
        &self,
        partition: usize,
        context: &Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let opened = self.opened.get_or_try_init(|| async {
            context.runtime_env().register_object_store(
                ObjectStoreUrl::parse(STORE)?.as_ref(),
                Arc::clone(&self.pins.tables.objects().store),
            );
            self.open().await
        });
        let opened = opened.await?;
        if partition >= opened.properties().output_partitioning().partition_count() {
            let nothing = futures::stream::empty();
            let schema = opened.schema();
            return Ok(Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, nothing)));
        }
        opened.execute(partition, Arc::clone(context))
    }

    /// What an error of reading means: files that were replaced meanwhile were asked for too late.
    pub(super) async fn explain(&self, error: DataFusionError) -> DataFusionError {
        let Some(ours) = carried(&error).cloned() else { return error };
        let mut explained = ours;
        let mut last: Option<&Arc<Snapshot>> = None;
        for (snapshot, _) in &self.chosen {
            if last.is_none_or(|last| !Arc::ptr_eq(last, snapshot)) {
                explained = self.pins.explain(snapshot, explained).await;
                last = Some(snapshot);
            }
        }
        foreign(explained)
    }

    async fn open(&self) -> EngineResult<Arc<DataSourceExec>> {
        let Asked { columns: shown, time, tests } = &*self.asked;
        let columns: Vec<Column> = shown.iter().chain(&tests.beside).cloned().collect();
        let readers = futures::stream::iter(self.chosen.clone()).map(|(snapshot, index)| async move {
            let reader = self.pins.tables.reader(&snapshot, &snapshot.files[index]).await?;
            Ok::<_, Error>((snapshot, index, reader))
        });
        let readers: Vec<_> = readers.buffered(FOOTERS_AT_ONCE).try_collect().await.map_err(foreign)?;
        let asked = Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>());
        let mut plans = Plans::new(&asked);
        let mut files = Vec::with_capacity(readers.len());
        for (snapshot, index, reader) in readers {
            files.push(file(&snapshot, index, reader, &columns, &mut plans).map_err(foreign)?);
        }
        let groups = [FileGroup::new(files)];
        let split = FileGroupPartitioner::new()
            .with_target_partitions(self.partitions)
            .with_repartition_file_min_size(1)
            .repartition_file_groups(&groups);
        let mut source = ParquetSource::new(Arc::clone(plans.schema()))
            .with_parquet_file_reader_factory(Arc::new(Readers))
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(true);
        if let Some(predicate) = predicate(&plans, *time, tests)? {
            source = source.with_predicate(predicate);
        }
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE)?, Arc::new(source))
            .with_file_groups(split.unwrap_or_else(|| groups.into()))
            .with_projection_indices(Some((0..shown.len()).collect()))?
            .with_expr_adapter(Some(Arc::new(plans)))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// What is asked of each row: its time and the tests, and what the tests imply of a file's own columns.
fn predicate(plans: &Plans, time: TimeRange, tests: &Tests) -> EngineResult<Option<Arc<dyn PhysicalExpr>>> {
    let mut all: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
    let instant = |micros: i64| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
    let mut bound = |op, micros| all.push(Arc::new(BinaryExpr::new(plans.time(), op, instant(micros))));
    if time.from != i64::MIN {
        bound(Operator::GtEq, time.from);
    }
    if time.to != i64::MAX {
        bound(Operator::Lt, time.to);
    }
    for test in &tests.tests {
        all.extend(hinted(test)?);
    }
    Ok((!all.is_empty()).then(|| conjunction(all)))
}

/// The name of the object store among the engine's; readers have their own way to it.
const STORE: &str = "fineo://tables/";

/// `4/9`: how many of how many files are read.
impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.chosen.len(), self.total)
    }
}

fn file(
    snapshot: &Snapshot,
    index: usize,
    reader: FileReader,
    columns: &[Column],
    plans: &mut Plans,
) -> Result<PartitionedFile> {
    let file = &snapshot.files[index];
    let meta = Arc::clone(reader.meta());
    let bounds = Bounds { first: file.first, last: file.last, positions: &file.positions };
    let plan = FilePlan::of(columns, &meta.layout, bounds)?;
    let schema = plans.add(plan, &meta.views);
    let statistics = statistics(file, plans.schema());
    Ok(PartitionedFile::new(file.path.as_ref(), file.bytes)
        .with_arrow_schema(schema)
        .with_extension(reader)
        .with_statistics(Arc::new(statistics)))
}

/// What the commit says of a file: how many rows, and when.
fn statistics(file: &DataFile, schema: &SchemaRef) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(usize::try_from(file.rows).unwrap_or(usize::MAX));
    let instant = |micros: i64| Precision::Exact(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
    if let Some(time) = statistics.column_statistics.last_mut() {
        *time = ColumnStatistics {
            null_count: Precision::Exact(0),
            min_value: instant(file.first.micros()),
            max_value: instant(file.last.micros()),
            ..ColumnStatistics::new_unknown()
        };
    }
    statistics
}
