//! `fineo_discovered`: names that were sent and never declared, with what is known of them.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{
            ArrayRef, Float64Builder, ListBuilder, RecordBatch, StringViewBuilder, TimestampMicrosecondBuilder,
            UInt64Builder,
        },
        datatypes::{DataType, Field, Schema},
    },
    catalog::TableProvider,
};
use fineo_schema::NameStats;

use crate::{catalog::Sources, column::instant};

pub(super) fn table(sources: &Sources) -> Arc<dyn TableProvider> {
    let mut rows = Rows::new();
    for metric in sources.metrics() {
        let seen = sources.seen(metric);
        for name in metric.undeclared(&seen) {
            if let Some(stats) = seen.told_of(metric, name) {
                rows.add(metric.name(), &stats);
            }
        }
    }
    let rows = rows.finish();
    super::of_rows(rows.schema(), rows)
}

struct Rows {
    metric: StringViewBuilder,
    name: StringViewBuilder,
    count: UInt64Builder,
    first: TimestampMicrosecondBuilder,
    last: TimestampMicrosecondBuilder,
    samples: ListBuilder<StringViewBuilder>,
    shares: Vec<Float64Builder>,
}

impl Rows {
    fn new() -> Self {
        Self {
            metric: StringViewBuilder::new(),
            name: StringViewBuilder::new(),
            count: UInt64Builder::new(),
            first: TimestampMicrosecondBuilder::new(),
            last: TimestampMicrosecondBuilder::new(),
            samples: ListBuilder::new(StringViewBuilder::new()),
            shares: NameStats::TYPES.iter().map(|_| Float64Builder::new()).collect(),
        }
    }

    fn add(&mut self, metric: &str, stats: &NameStats) {
        self.metric.append_value(metric);
        self.name.append_value(&stats.name);
        self.count.append_value(stats.count);
        self.first.append_value(stats.first.micros());
        self.last.append_value(stats.last.micros());
        for sample in stats.samples.iter() {
            self.samples.values().append_value(sample);
        }
        self.samples.append(true);
        for (builder, (_, share)) in self.shares.iter_mut().zip(stats.shares()) {
            builder.append_value(share);
        }
    }

    fn finish(mut self) -> RecordBatch {
        let samples = self.samples.finish();
        let mut fields = vec![
            Field::new("metric", DataType::Utf8View, false),
            Field::new("name", DataType::Utf8View, false),
            Field::new("count", DataType::UInt64, false),
            Field::new("first_seen", instant(), false),
            Field::new("last_seen", instant(), false),
            Field::new("samples", datafusion::arrow::array::Array::data_type(&samples).clone(), false),
        ];
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(self.metric.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.count.finish()),
            Arc::new(self.first.finish().with_timezone("UTC")),
            Arc::new(self.last.finish().with_timezone("UTC")),
            Arc::new(samples),
        ];
        for (field_type, mut share) in NameStats::TYPES.into_iter().zip(self.shares) {
            fields.push(Field::new(format!("{field_type}_share"), DataType::Float64, false));
            arrays.push(Arc::new(share.finish()));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("the columns were made for these fields")
    }
}
