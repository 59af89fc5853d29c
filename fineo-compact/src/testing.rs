//! Records, schemas and files for the tests of this crate.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::RecordBatch;
use bytes::Bytes;
use fineo_backend_memory::MemoryRepo;
use fineo_core::{ContentHash, EventId, ManualClock, MetricId, Position, ShardId, TenantId, Timestamp};
use fineo_schema::{Cell, Change, ChangeId, ChangeRequest, Metric, RecordHead, SchemaStore, TenantSchema};
use fineo_table::FileLayout;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    build::Recipe,
    encode::{FileHead, Writing},
    entry::{COMMITTED, Entry},
    intake::{day_of, layout_of_rows},
    job::{DayOutcome, Known, write_day},
    names::{Guesses, Names},
    plan::{Evidence, Plan, Shredding},
    profile::Profile,
    rewrite::Rewriting,
};

pub(crate) const SHREDDING: Shredding = Shredding { presence_min: 0.01, columns_max: 300 };
pub(crate) const WRITING: Writing = Writing { level: 1, group_rows: 1 << 17 };

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// A schema with the metric `m` (`n1`) and these fields: name, type, aliases.
pub(crate) async fn schema(fields: &[(&str, &str, &[&str])]) -> Arc<TenantSchema> {
    let clock = Arc::new(ManualClock::new(Timestamp::default()));
    let store = SchemaStore::new(Arc::new(MemoryRepo::new()), clock);
    let mut changes = vec![Change::CreateMetric { name: "m".to_owned(), aliases: vec!["m2".to_owned()] }];
    changes.extend(fields.iter().map(|(name, field_type, aliases)| Change::AddField {
        metric: "m".to_owned(),
        name: (*name).to_owned(),
        field_type: (*field_type).to_owned(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        unit: None,
    }));
    store.apply(&tenant(), ChangeRequest::new(ChangeId::of_bytes([1; 16]), changes)).await.unwrap().schema
}

/// One event: when, which, its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) micros: i64,
    pub(crate) id: u128,
    pub(crate) position: u64,
    pub(crate) alias: &'static str,
    pub(crate) cells: BTreeMap<String, String>,
}

impl Event {
    pub(crate) fn new(micros: i64, id: u128, cells: &[(&str, &str)]) -> Self {
        let cells = cells.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Self { micros, id, position: u64::try_from(id).unwrap(), alias: "m", cells }
    }
}

/// The entries of `events` as records that were written under `written`.
pub(crate) fn entries_of(events: &[Event], written: Option<&Metric>) -> Vec<u8> {
    let layout = layout_of_rows(&MetricId::numbered(1), written);
    let mut out = Vec::new();
    for event in events {
        let timestamp = Timestamp::from_micros(event.micros).unwrap();
        let id = EventId(event.id.to_be_bytes());
        let head = RecordHead { alias: event.alias, timestamp, written_at: timestamp, id, content: ContentHash(id.0) };
        let slot = |name: &str| written.and_then(|metric| metric.slot(name));
        let cells: Vec<Cell<'_>> =
            event.cells.iter().map(|(name, text)| Cell { name, text, slot: slot(name) }).collect();
        let mut record = Vec::new();
        layout.write(&head, &*cells, &mut record);
        let position = Position::from(event.position);
        Entry { layout: 0, shard: 0, position, id, timestamp, record: &record }.write(&mut out);
    }
    out
}

/// What a run makes of `events`, all of one day, read under `schema`.
pub(crate) struct Made {
    pub(crate) recipe: Recipe,
    pub(crate) outcome: DayOutcome,
}

pub(crate) fn make(schema: &Arc<TenantSchema>, events: &[Event], written: Option<&Metric>, known: &Known) -> Made {
    make_with(schema, events, written, known, SHREDDING)
}

pub(crate) fn make_with(
    schema: &Arc<TenantSchema>,
    events: &[Event],
    written: Option<&Metric>,
    known: &Known,
    shredding: Shredding,
) -> Made {
    let id = MetricId::numbered(1);
    let metric = schema.metric(&id).cloned();
    let (mut names, mut profile, mut guesses) = (Names::default(), Profile::default(), Guesses::default());
    for event in events {
        guesses.begin();
        for (name, text) in &event.cells {
            let number = guesses.next(&mut names, name);
            profile.of(number, &names).text(text, event.micros);
        }
        profile.records += 1;
    }
    let evidence = Evidence {
        metric: metric.as_deref(),
        names: &names,
        profile: &profile,
        table: &[],
        foreign: &[],
        rewritten: &[],
    };
    let plan = Plan::new(&evidence, shredding);
    let shards = [ShardId::new("s0").unwrap()];
    let layouts = vec![layout_of_rows(&id, written)];
    let recipe = Recipe::new(Arc::clone(schema), metric, layouts, names, plan, &shards);
    let day = events.first().map_or(0, |event| day_of(Timestamp::from_micros(event.micros).unwrap()));
    let head = FileHead { tenant: tenant(), metric: id, day };
    let parts = [entries_of(events, written)];
    let outcome = write_day(&recipe, &head, parts.to_vec(), known, &shards, WRITING).unwrap();
    Made { recipe, outcome }
}

pub(crate) fn batches(file: &[u8]) -> (FileLayout, Vec<RecordBatch>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
    let metadata = builder.metadata().file_metadata().key_value_metadata().unwrap();
    let json = metadata.iter().find(|entry| entry.key == FileLayout::KEY).unwrap().value.clone().unwrap();
    let layout = FileLayout::from_json(&json).unwrap();
    (layout, builder.build().unwrap().map(Result::unwrap).collect())
}

/// The events of a file, as reading it back gives them, in its order.
pub(crate) fn read_back(schema: &Arc<TenantSchema>, file: &[u8]) -> Vec<Event> {
    let (layout, batches) = batches(file);
    let metric = schema.metric(&layout.metric).cloned();
    let records = layout_of_rows(&layout.metric, metric.as_deref());
    let rewriting =
        Rewriting { file: &layout, metric: metric.as_deref(), layout: (&records, 0), is_deleted: &|_| false };
    let mut events = Vec::new();
    for batch in batches {
        rewriting
            .rows(&batch, |entry, cells| {
                assert_eq!(entry.shard, COMMITTED);
                let head = fineo_schema::RecordLayout::read_head(entry.record, entry.id).unwrap();
                let mut all = BTreeMap::new();
                for (name, text) in cells {
                    assert!(all.insert(name.to_string(), text.clone()).is_none(), "{name} stands in two places");
                }
                events.push(Event {
                    micros: entry.timestamp.micros(),
                    id: u128::from_be_bytes(entry.id.0),
                    position: 0,
                    alias: if head.alias == "m2" { "m2" } else { "m" },
                    cells: all,
                });
                Ok(())
            })
            .unwrap();
    }
    events
}
