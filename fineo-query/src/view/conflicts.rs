//! `fineo_conflicts`: values that do not fit their field's type, counted as they are asked for.

use std::{collections::BTreeMap, fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch, StringViewBuilder, TimestampMicrosecondBuilder, UInt64Builder},
        datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType},
    },
    catalog::{TableProvider, streaming::StreamingTable},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use fineo_core::{
    Error, Position, Result, ShardId,
    nearline::{ScanRequest, SystemColumns},
};
use fineo_schema::{Field as MetricField, Metric, coerce};
use futures::TryStreamExt;

use crate::{catalog::Sources, column::instant, error::foreign};

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

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let sources = self.sources.clone();
        let metrics: Vec<Arc<Metric>> = sources.metrics().cloned().collect();
        let batches = futures::stream::iter(metrics.into_iter().map(Ok)).and_then(move |metric| {
            let sources = sources.clone();
            async move { conflicts_of(&sources, &metric).await.map_err(foreign) }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// What is known of the conflicts of one stored name.
#[derive(Debug)]
struct Tally {
    count: u64,
    sample: String,
    first: i64,
    last: i64,
}

async fn conflicts_of(sources: &Sources, metric: &Metric) -> Result<RecordBatch> {
    let fields: Vec<&Arc<MetricField>> = metric.fields().iter().filter(|field| !field.is_hidden()).collect();
    let names: Vec<(usize, Arc<str>)> = fields
        .iter()
        .enumerate()
        .flat_map(|(index, field)| field.names.iter().map(move |name| (index, Arc::clone(name))))
        .collect();
    let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
    let has_deletions = names.iter().any(|(_, name)| metric.unreadable_through(name).is_some());
    let system = SystemColumns { position: has_deletions, ..SystemColumns::default() };
    for id in metric.row_metrics().iter().filter(|_| !names.is_empty()) {
        let request = ScanRequest::new(sources.schema.tenant().clone(), id.clone())
            .with_names(names.iter().map(|(_, name)| Arc::clone(name)))
            .with_system(system);
        let mut batches = sources.nearline.scan(request);
        while let Some(batch) = batches.try_next().await? {
            for (at, (field, name)) in names.iter().enumerate() {
                count(&batch, at, has_deletions, &fields, *field, metric, name, &mut tallies)?;
            }
        }
    }
    rows(metric, &fields, &names, tallies)
}

#[expect(clippy::too_many_arguments, reason = "one loop body, called from one place")]
fn count(
    batch: &RecordBatch,
    at: usize,
    has_positions: bool,
    fields: &[&Arc<MetricField>],
    field: usize,
    metric: &Metric,
    name: &str,
    tallies: &mut BTreeMap<usize, Tally>,
) -> Result<()> {
    let first_cell = if has_positions { 3 } else { 1 };
    let texts = batch.column(first_cell + at).as_string_view();
    if texts.null_count() == texts.len() {
        return Ok(());
    }
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
    let deleted = metric.unreadable_through(name).filter(|_| has_positions);
    for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
        let text = texts.value(row);
        if coerce::fits(text, fields[field].field_type) {
            continue;
        }
        if let Some(cover) = deleted {
            let shard = ShardId::new(batch.column(1).as_string_view().value(row))?;
            let bytes = batch.column(2).as_fixed_size_binary().value(row).try_into();
            let bytes = bytes.map_err(|_| Error::corrupt("a stored position has the wrong length"))?;
            if cover.contains(&shard, Position::from_bytes(bytes)) {
                continue;
            }
        }
        let tally = tallies.entry(at).or_insert_with(|| Tally {
            count: 0,
            sample: text.chars().take(SAMPLE_CHARS_MAX).collect(),
            first: times[row],
            last: times[row],
        });
        tally.count += 1;
        tally.first = tally.first.min(times[row]);
        tally.last = tally.last.max(times[row]);
    }
    Ok(())
}

fn rows(
    metric: &Metric,
    fields: &[&Arc<MetricField>],
    names: &[(usize, Arc<str>)],
    tallies: BTreeMap<usize, Tally>,
) -> Result<RecordBatch> {
    let [mut metrics, mut shown, mut aliases, mut samples] = std::array::from_fn(|_| StringViewBuilder::new());
    let mut counts = UInt64Builder::new();
    let [mut first, mut last] = std::array::from_fn(|_| TimestampMicrosecondBuilder::new());
    for (at, tally) in tallies {
        let (field, name) = &names[at];
        metrics.append_value(metric.name());
        shown.append_value(fields[*field].name());
        aliases.append_value(name);
        counts.append_value(tally.count);
        samples.append_value(&tally.sample);
        first.append_value(tally.first);
        last.append_value(tally.last);
    }
    let batch = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(metrics.finish()),
            Arc::new(shown.finish()),
            Arc::new(aliases.finish()),
            Arc::new(counts.finish()),
            Arc::new(samples.finish()),
            Arc::new(first.finish().with_timezone("UTC")),
            Arc::new(last.finish().with_timezone("UTC")),
        ],
    );
    batch.map_err(|source| Error::internal("conflicts do not fit their schema").with_source(source))
}
