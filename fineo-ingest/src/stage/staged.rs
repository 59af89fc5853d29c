//! Stage staged: records become rows, grouped by tenant and metric.

use std::{collections::HashMap, sync::Arc};

use fineo_core::{
    Code, MetricId, Rejection, ShardId, TenantId,
    archive::Stage,
    nearline::{RowHead, Rows},
    repo::Version,
    stream::Delivery,
};
use fineo_schema::{RecordHead, RecordLayout, RecordVisitor};
use foldhash::fast::RandomState;

use super::payload::{self, StagedEntry};
use crate::errors::{ErrorClass, ErrorRow, error_id};

/// A layout's place in the schema's history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LayoutKey {
    pub(crate) tenant: TenantId,
    pub(crate) metric: MetricId,
    pub(crate) schema: Version,
}

/// The layouts that records were written under. None for one that the schema does not know.
pub(crate) type Layouts = HashMap<LayoutKey, Option<Arc<RecordLayout>>, RandomState>;

/// The rows of one tenant and metric in a batch.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) tenant: TenantId,
    pub(crate) metric: MetricId,
    pub(crate) rows: Rows,
    /// Which delivery of the batch each row is.
    pub(crate) deliveries: Vec<u32>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct StagedOutcome {
    pub(crate) groups: Vec<Group>,
    pub(crate) errors: Vec<ErrorRow>,
}

/// Which deliveries of a batch are records of one tenant, metric and schema.
#[derive(Debug)]
pub(crate) struct Runs<'a> {
    /// The run of each delivery; [`UNNUMBERED`] for one that is no entry.
    of: Vec<u32>,
    kinds: Vec<Kind<'a>>,
}

/// What the records of a run have in common, and how much there is of them.
#[derive(Debug)]
struct Kind<'a> {
    tenant: &'a TenantId,
    bytes: &'a [u8],
    /// The first of them.
    first: usize,
    records: usize,
    payload_bytes: usize,
}

/// A run whose records are being read.
struct Run<'a> {
    layout: Option<&'a Arc<RecordLayout>>,
    group: usize,
    /// The numbers of the layout's names among the rows' names, by slot; [`UNNUMBERED`] for one not met yet.
    numbers: Vec<u32>,
}

const UNNUMBERED: u32 = u32::MAX;
/// The bytes that a cell takes in a record, about.
const CELL_BYTES: usize = 12;

impl<'a> Runs<'a> {
    /// Finds the runs of `deliveries`.
    pub(crate) fn of(deliveries: &'a [Delivery]) -> Self {
        let mut of = Vec::with_capacity(deliveries.len());
        let mut kinds: Vec<Kind<'a>> = Vec::new();
        let mut numbers: HashMap<(&TenantId, &[u8]), usize, RandomState> = HashMap::default();
        let mut last = 0;
        for (index, delivery) in deliveries.iter().enumerate() {
            let Some(bytes) = payload::kind(&delivery.payload) else {
                of.push(UNNUMBERED);
                continue;
            };
            let is_this = |kind: &Kind<'_>| kind.bytes == bytes && *kind.tenant == delivery.tenant;
            if !kinds.get(last).is_some_and(is_this) {
                last = *numbers.entry((&delivery.tenant, bytes)).or_insert(kinds.len());
                if last == kinds.len() {
                    kinds.push(Kind { tenant: &delivery.tenant, bytes, first: index, records: 0, payload_bytes: 0 });
                }
            }
            kinds[last].records += 1;
            kinds[last].payload_bytes += delivery.payload.len();
            of.push(u32::try_from(last).expect("a batch is bounded"));
        }
        Self { of, kinds }
    }

    /// The layouts that the records need.
    pub(crate) fn layouts(&self, deliveries: &[Delivery]) -> Vec<LayoutKey> {
        let key = |kind: &Kind<'_>| {
            let entry = payload::read(&deliveries.get(kind.first)?.payload).ok()?;
            let metric = MetricId::new(entry.metric).ok()?;
            Some(LayoutKey { tenant: kind.tenant.clone(), metric, schema: entry.schema })
        };
        self.kinds.iter().filter_map(key).collect()
    }
}

/// Reads the records of `deliveries`, whose `runs` were found, into rows of `shard`.
pub(crate) fn apply(layouts: &Layouts, shard: &ShardId, deliveries: &[Delivery], runs: &Runs<'_>) -> StagedOutcome {
    let mut outcome = StagedOutcome::default();
    let mut groups = GroupNumbers::default();
    let mut begun: Vec<Option<Run<'_>>> = runs.kinds.iter().map(|_| None).collect();
    for ((index, delivery), number) in (0_u32..).zip(deliveries).zip(&runs.of) {
        let entry = match payload::read(&delivery.payload) {
            Ok(entry) => entry,
            Err(error) => {
                outcome.errors.push(failed(delivery, None, &error.to_string()));
                continue;
            }
        };
        // What can be read has a kind.
        let number = *number as usize;
        let run = begun[number].get_or_insert_with(|| {
            let kind = &runs.kinds[number];
            begin_run(layouts, shard, kind, &entry, &mut groups, &mut outcome.groups)
        });
        let read = match run.layout {
            Some(layout) => read_row(layout, run, &mut outcome.groups, delivery, &entry, index),
            None => Err("the schema has no layout for the record".to_owned()),
        };
        if let Err(message) = read {
            outcome.errors.push(failed(delivery, Some(&entry), &message));
        }
    }
    let groups = outcome.groups.into_iter().filter(|group| !group.rows.is_empty());
    // A store takes the rows, while discovery still looks at them.
    outcome.groups = groups.map(|group| Group { rows: group.rows.shared(), ..group }).collect();
    outcome
}

/// The numbers of the groups begun, by tenant and metric.
type GroupNumbers<'a> = HashMap<(&'a TenantId, MetricId), usize, RandomState>;

fn begin_run<'a, 'b>(
    layouts: &'a Layouts,
    shard: &ShardId,
    kind: &Kind<'b>,
    entry: &StagedEntry<'_>,
    numbers: &mut GroupNumbers<'b>,
    groups: &mut Vec<Group>,
) -> Run<'a> {
    let metric = MetricId::new(entry.metric).unwrap_or_else(|_| MetricId::errors());
    let key = LayoutKey { tenant: kind.tenant.clone(), metric, schema: entry.schema };
    let layout = layouts.get(&key).and_then(Option::as_ref);
    let LayoutKey { tenant, metric, .. } = key;
    let group = *numbers.entry((kind.tenant, metric.clone())).or_insert(groups.len());
    if group == groups.len() {
        groups.push(Group { tenant, metric, rows: Rows::new(shard.clone()), deliveries: Vec::new() });
    }
    groups[group].deliveries.reserve(kind.records);
    // A cell takes about as many bytes in a row as in a record.
    groups[group].rows.reserve(kind.records, kind.payload_bytes / CELL_BYTES, kind.payload_bytes);
    let numbers = vec![UNNUMBERED; layout.map_or(0, |layout| layout.slots())];
    Run { layout, group, numbers }
}

fn read_row(
    layout: &RecordLayout,
    run: &mut Run<'_>,
    groups: &mut [Group],
    delivery: &Delivery,
    entry: &StagedEntry<'_>,
    index: u32,
) -> Result<(), String> {
    let group = &mut groups[run.group];
    let rows_before = group.rows.len();
    let mut filling = Filling { rows: &mut group.rows, numbers: &mut run.numbers, delivery, entry };
    match layout.read(entry.record, entry.id, &mut filling) {
        Ok(_) => {
            group.deliveries.push(index);
            Ok(())
        }
        Err(error) => {
            remove_last(group, rows_before);
            Err(error.to_string())
        }
    }
}

/// Takes back a row that turned out to be unreadable. Rare, so the rows are built anew.
fn remove_last(group: &mut Group, rows_before: usize) {
    if group.rows.len() == rows_before {
        return;
    }
    let mut kept = Rows::new(group.rows.shard().clone());
    // Runs remember the numbers of names.
    for name in group.rows.names() {
        kept.name_number(name);
    }
    for row in group.rows.iter().take(rows_before) {
        kept.row(*row.head(), row.alias());
        for (name, text) in row.cells() {
            kept.cell(name, text);
        }
    }
    group.rows = kept;
}

fn failed(delivery: &Delivery, entry: Option<&StagedEntry<'_>>, message: &str) -> ErrorRow {
    let id = match entry {
        Some(entry) => error_id(&[&entry.id.0], Stage::Staged),
        None => error_id(&[&delivery.position.to_bytes(), &delivery.payload], Stage::Staged),
    };
    ErrorRow {
        tenant: delivery.tenant.clone(),
        stage: Stage::Staged,
        class: ErrorClass::Commit,
        rejection: Rejection::new(Code::Internal, format!("the record cannot be read: {message}")),
        id,
        received_at: entry.map(|entry| entry.arrived_at).unwrap_or_default(),
        position: delivery.position,
        metric: None,
        raw: delivery.payload.clone(),
    }
}

/// The error row of a row whose id is taken by other content.
pub(crate) fn conflict(group: &Group, row: usize, delivery: &Delivery) -> Option<ErrorRow> {
    let read = group.rows.get(row)?;
    let head = read.head();
    let mut event = serde_json::Map::new();
    for (name, text) in read.cells() {
        event.insert(name.to_owned(), text.into());
    }
    let raw = serde_json::to_vec(&event).unwrap_or_default();
    let message = "another event with this event_id and other content came first".to_owned();
    Some(ErrorRow {
        tenant: group.tenant.clone(),
        stage: Stage::Staged,
        class: ErrorClass::Malformed,
        rejection: Rejection::new(Code::IdConflict, message),
        // Several events may conflict over one id; each has its row.
        id: error_id(&[&head.id.0, &head.content.0], Stage::Staged),
        received_at: head.ingested_at,
        position: delivery.position,
        metric: Some(read.alias().to_owned()),
        raw: raw.into(),
    })
}

/// Takes in a record as a row of a group.
struct Filling<'a> {
    rows: &'a mut Rows,
    numbers: &'a mut [u32],
    delivery: &'a Delivery,
    entry: &'a StagedEntry<'a>,
}

impl RecordVisitor for Filling<'_> {
    fn head(&mut self, head: &RecordHead<'_>) {
        let row = RowHead {
            timestamp: head.timestamp,
            id: self.entry.id,
            content: head.content,
            position: self.delivery.position,
            ingested_at: head.written_at,
        };
        self.rows.row(row, head.alias);
    }

    fn cell(&mut self, name: &str, text: &str) {
        self.rows.cell(name, text);
    }

    fn declared(&mut self, slot: usize, name: &str, text: &str) {
        let Some(number) = self.numbers.get_mut(slot) else { return self.cell(name, text) };
        if *number == UNNUMBERED {
            *number = self.rows.name_number(name);
        }
        self.rows.cell_numbered(*number, text);
    }
}
