//! Rows of metrics that were ruled out after they had been stored: they answer as errors, no data written.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array},
        datatypes::{Schema, SchemaRef},
    },
    catalog::{Session, TableProvider, streaming::StreamingTable},
    error::Result as EngineResult,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, stream::RecordBatchStreamAdapter, streaming::PartitionStream, union::UnionExec},
};
use fineo_core::{Error, Result};
use fineo_schema::{Metric, SeenNames};
use futures::StreamExt;

use super::errors::columns;
use crate::{
    catalog::Sources,
    column::{ALIAS, Column, Content, INGESTED_AT, TIMESTAMP},
    error::foreign,
    scan::all_rows,
    table::RowTable,
};

/// Error rows as they were stored, and after them the rows of metrics that were ruled out.
#[derive(Debug)]
pub(super) struct WithRuledOut {
    pub(super) stored: RowTable,
    pub(super) ruled_out: StreamingTable,
}

#[async_trait]
impl TableProvider for WithRuledOut {
    fn schema(&self) -> SchemaRef {
        self.stored.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let stored = self.stored.scan(state, projection, filters, None).await?;
        let ruled_out = self.ruled_out.scan(state, projection, &[], None).await?;
        UnionExec::try_new(vec![stored, ruled_out])
    }
}

/// The rows of metrics that were ruled out.
pub(super) fn table(sources: &Sources, metrics: Vec<Arc<Metric>>) -> StreamingTable {
    let columns = columns();
    let schema: SchemaRef = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
    let metrics: Vec<Arc<Metric>> = metrics;
    let rows = RuledOut { sources: sources.clone(), metrics, schema: Arc::clone(&schema) };
    StreamingTable::try_new(schema, vec![Arc::new(rows)]).expect("both have one schema")
}

struct RuledOut {
    sources: Sources,
    metrics: Vec<Arc<Metric>>,
    schema: SchemaRef,
}

impl fmt::Debug for RuledOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RuledOut")
    }
}

impl PartitionStream for RuledOut {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let scans: Vec<_> = self
            .metrics
            .iter()
            .map(|metric| {
                let names = readable_names(metric, &self.sources.seen(metric));
                (Arc::new(self.sources.rows(metric)), asked(metric, &names), names)
            })
            .collect();
        let schema = Arc::clone(&self.schema);
        let batches = futures::stream::iter(scans).flat_map(move |(rows, columns, names)| {
            let schema = Arc::clone(&schema);
            let batches = all_rows(rows, columns, Arc::clone(&context));
            Box::pin(batches.map(move |batch| errors_of(&batch?, &names, &schema).map_err(foreign)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// The stored names but for those of hidden fields.
fn readable_names(metric: &Metric, seen: &SeenNames) -> Arc<[Arc<str>]> {
    let is_readable = |name: &&Arc<str>| !metric.field_named(name).is_some_and(|field| field.is_hidden());
    seen.names().filter(is_readable).cloned().collect()
}

/// Time, alias and arrival, then the text under each name, as far as it was not deleted.
fn asked(metric: &Metric, names: &[Arc<str>]) -> Vec<Column> {
    let own = |name: &str, content| Column { name: name.into(), content };
    let system =
        [own(TIMESTAMP, Content::Timestamp), own(ALIAS, Content::Alias), own(INGESTED_AT, Content::IngestedAt)];
    system.into_iter().chain(names.iter().map(|name| cells(metric, name))).collect()
}

fn cells(metric: &Metric, name: &Arc<str>) -> Column {
    Column { name: Arc::clone(name), content: Content::Cells(Arc::new(metric.text_column(name))) }
}

/// Where the first cell stands, behind time, alias and arrival.
const CELLS: usize = 3;

fn errors_of(batch: &RecordBatch, names: &[Arc<str>], schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let raw: Vec<String> = (0..rows).map(|row| json(batch, names, row)).collect();
    let same = |text: &'static str| -> ArrayRef {
        Arc::new(datafusion::arrow::array::StringViewArray::from_iter_values(std::iter::repeat_n(text, rows)))
    };
    let arrays = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "stage" => same("raw"),
            "class" => same("malformed"),
            "code" => same("ruled_out"),
            "message" => same("the metric was ruled out"),
            "raw" => Arc::new(datafusion::arrow::array::StringViewArray::from_iter_values(&raw)),
            "raw_bytes" => {
                Arc::new(datafusion::arrow::array::BinaryViewArray::from_iter_values(raw.iter().map(String::as_bytes)))
            }
            "metric" => Arc::clone(batch.column(1)),
            "received_at" => Arc::clone(batch.column(2)),
            _ => new_null_array(field.data_type(), rows),
        }
    });
    RecordBatch::try_new(Arc::clone(schema), arrays.collect())
        .map_err(|source| Error::internal("errors do not fit their schema").with_source(source))
}

/// The event of a row, as far as its cells tell: every value is text.
fn json(batch: &RecordBatch, names: &[Arc<str>], row: usize) -> String {
    let mut event = serde_json::Map::new();
    for (at, name) in names.iter().enumerate() {
        let cells = batch.column(CELLS + at).as_string_view();
        if cells.is_valid(row) {
            event.insert(name.to_string(), cells.value(row).into());
        }
    }
    serde_json::Value::Object(event).to_string()
}
