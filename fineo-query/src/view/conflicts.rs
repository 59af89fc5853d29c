//! `fineo_conflicts`: values that do not fit their field's type, counted as they are asked for.

use std::{collections::BTreeMap, fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, StringViewBuilder, TimestampMicrosecondBuilder, UInt64Builder},
        datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType},
    },
    catalog::{TableProvider, streaming::StreamingTable},
    error::Result as EngineResult,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use fineo_core::{Error, Result};
use fineo_schema::{FieldType, LogicalColumn, Metric, SeenNames, Source, coerce};
use futures::TryStreamExt;

use crate::{
    catalog::Sources,
    column::{Column, Content, TIMESTAMP, instant},
    error::foreign,
    scan::all_rows,
};

/// The most characters of a sample.
const SAMPLE_CHARS_MAX: usize = 64;

pub(super) fn table(sources: &Sources) -> Arc<dyn TableProvider> {
    let conflicts = Conflicts { sources: sources.clone(), schema: schema() };
    let table = StreamingTable::try_new(schema(), vec![Arc::new(conflicts)]).expect("both have one schema");
    Arc::new(table)
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("metric", DataType::Utf8View, false),
        Field::new("field", DataType::Utf8View, false),
        Field::new("alias", DataType::Utf8View, false),
        Field::new("count", DataType::UInt64, false),
        Field::new("sample", DataType::Utf8View, false),
        Field::new("first_seen", instant(), false),
        Field::new("last_seen", instant(), false),
    ]))
}

struct Conflicts {
    sources: Sources,
    schema: SchemaRef,
}

impl fmt::Debug for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conflicts")
    }
}

impl PartitionStream for Conflicts {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let sources = self.sources.clone();
        let metrics: Vec<Arc<Metric>> = sources.metrics().cloned().collect();
        let batches = futures::stream::iter(metrics.into_iter().map(Ok)).and_then(move |metric| {
            let (sources, context) = (sources.clone(), Arc::clone(&context));
            async move { conflicts_of(&sources, &metric, &context).await }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// A stored name of a field.
struct Name {
    name: Arc<str>,
    field_type: FieldType,
    /// The column that SQL shows of the field.
    shown: Arc<str>,
    /// The texts under the name alone.
    text: Column,
    /// The same as values in the field's unit, where converting them may make one too large.
    value: Option<Column>,
}

/// What is known of the conflicts of one stored name.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    /// The text of the first in order of time, then of text: the same wherever the rows are.
    sample: String,
    first: i64,
    last: i64,
}

impl Tally {
    fn add(&mut self, time: i64, text: &str) {
        if self.count == 0 || time <= self.first {
            let end = text.char_indices().nth(SAMPLE_CHARS_MAX).map_or(text.len(), |(end, _)| end);
            let text = &text[..end];
            if self.count == 0 || (time, text) < (self.first, &self.sample) {
                (self.first, self.sample) = (time, text.to_owned());
            }
        }
        self.last = if self.count == 0 { time } else { self.last.max(time) };
        self.count += 1;
    }
}

/// The conflicts of one metric, as its rows are counted.
struct Count<'a> {
    metric: &'a Metric,
    /// The stored names.
    names: Vec<Name>,
    /// By index of the name.
    tallies: BTreeMap<usize, Tally>,
}

async fn conflicts_of(sources: &Sources, metric: &Metric, context: &Arc<TaskContext>) -> EngineResult<RecordBatch> {
    let mut count = Count::new(metric);
    if count.names.is_empty() {
        return count.rows().map_err(foreign);
    }
    let rows = Arc::new(sources.rows(metric));
    let mut batches = std::pin::pin!(all_rows(rows, count.columns(), Arc::clone(context)));
    while let Some(batch) = batches.try_next().await? {
        count.add(&batch);
    }
    count.rows().map_err(foreign)
}

impl Name {
    fn new(shown: &Arc<str>, field_type: FieldType, source: &Source) -> Self {
        let cells = |field_type: Option<FieldType>, source: Source| {
            let name = Arc::clone(&source.name);
            let logical = LogicalColumn { name: Arc::clone(&name), field: None, field_type, sources: vec![source] };
            Column { name, content: Content::Cells(Arc::new(logical)) }
        };
        let is_converted = field_type.is_number() && !source.conversions.is_empty();
        Self {
            name: Arc::clone(&source.name),
            field_type,
            shown: Arc::clone(shown),
            text: cells(None, Source { conversions: Vec::new(), ..source.clone() }),
            value: is_converted.then(|| cells(Some(field_type), source.clone())),
        }
    }
}

impl<'a> Count<'a> {
    fn new(metric: &'a Metric) -> Self {
        let columns = metric.columns(&SeenNames::default());
        let names = columns.iter().filter_map(|column| Some((column, column.field_type?)));
        let names = names.flat_map(|(column, field_type)| {
            column.sources.iter().map(move |source| Name::new(&column.name, field_type, source))
        });
        Self { metric, names: names.collect(), tallies: BTreeMap::new() }
    }

    /// The time, then the texts under each name, then the values of the names that have some.
    fn columns(&self) -> Vec<Column> {
        let time = Column { name: TIMESTAMP.into(), content: Content::Timestamp };
        let texts = self.names.iter().map(|name| name.text.clone());
        let values = self.names.iter().filter_map(|name| name.value.clone());
        std::iter::once(time).chain(texts).chain(values).collect()
    }

    /// Counts the cells of one batch.
    fn add(&mut self, batch: &RecordBatch) {
        let mut values = batch.columns().iter().skip(1 + self.names.len());
        for at in 0..self.names.len() {
            let value = self.names[at].value.as_ref().and_then(|_| values.next());
            self.add_cells(batch, at, value);
        }
    }

    /// Counts the cells under the name at `at`, which are read as `value` where that needs more than the text.
    fn add_cells(&mut self, batch: &RecordBatch, at: usize, value: Option<&ArrayRef>) {
        let texts = batch.column(1 + at).as_string_view();
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
        let field_type = self.names[at].field_type;
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            let text = texts.value(row);
            let fits = match value {
                Some(value) => value.is_valid(row),
                None => coerce::fits(text, field_type),
            };
            if fits {
                continue;
            }
            self.tallies.entry(at).or_default().add(times[row], text);
        }
    }

    fn rows(self) -> Result<RecordBatch> {
        let [mut metrics, mut shown, mut aliases, mut samples] = std::array::from_fn(|_| StringViewBuilder::new());
        let mut counts = UInt64Builder::new();
        let [mut first, mut last] = std::array::from_fn(|_| TimestampMicrosecondBuilder::new());
        for (at, tally) in self.tallies {
            let name = &self.names[at];
            metrics.append_value(self.metric.name());
            shown.append_value(&name.shown);
            aliases.append_value(&name.name);
            counts.append_value(tally.count);
            samples.append_value(&tally.sample);
            first.append_value(tally.first);
            last.append_value(tally.last);
        }
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(metrics.finish()),
            Arc::new(shown.finish()),
            Arc::new(aliases.finish()),
            Arc::new(counts.finish()),
            Arc::new(samples.finish()),
            Arc::new(first.finish().with_timezone("UTC")),
            Arc::new(last.finish().with_timezone("UTC")),
        ];
        RecordBatch::try_new(schema(), arrays)
            .map_err(|source| Error::internal("conflicts do not fit their schema").with_source(source))
    }
}
