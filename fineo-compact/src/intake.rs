//! Takes staged records in: each to the group of its metric and day, looked at once on the way.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
    sync::Arc,
};

use fineo_core::{ContentHash, Cover, EventId, MetricId, Position, Result, ShardId, Timestamp};
use fineo_ingest::StagedBlock;
use fineo_schema::{FieldType, Identity, Metric, RecordLayout, RecordValue, SentName, TenantSchema, ValueVisitor};

use crate::{
    entry::{Entry, HEAD_BYTES},
    names::{Guesses, Names},
    profile::Profile,
    spill::{Scratch, Spill},
};

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Ids that clients choose are compared in so many parts, by their first bits.
const ID_PARTS: u8 = 16;

/// What belongs together on its way to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// The entries of a metric's day.
    Day { metric: usize, day: i32 },
    /// Which ids that clients chose have which positions and times.
    Ids { metric: usize, part: u8 },
}

impl Group {
    /// The days of a metric.
    pub(crate) fn days_of(metric: usize) -> RangeInclusive<Self> {
        Self::Day { metric, day: i32::MIN }..=Self::Day { metric, day: i32::MAX }
    }

    /// The parts of a metric's chosen ids.
    pub(crate) fn ids_of(metric: usize) -> RangeInclusive<Self> {
        Self::Ids { metric, part: 0 }..=Self::Ids { metric, part: u8::MAX }
    }
}

/// One metric's part of a run.
#[derive(Debug)]
pub(crate) struct MetricIntake {
    pub(crate) id: MetricId,
    /// The metric under the schema of the run; none for one that is gone.
    pub(crate) metric: Option<Arc<Metric>>,
    /// By the number of a shard: up to where the table has the records.
    base: Vec<Option<Position>>,
    /// Whether the metric was deleted.
    is_deleted: bool,
    pub(crate) names: Names,
    pub(crate) profile: Profile,
    pub(crate) layouts: Vec<Arc<RecordLayout>>,
    /// By the number of a layout, then by slot: the number of the name; none for one that was not met.
    slots: Vec<Vec<Option<u32>>>,
    layout_of: HashMap<u64, u32>,
    guesses: Guesses,
    /// New records of the metric.
    pub(crate) records: u64,
    /// Their bytes in the archive, unpacked.
    pub(crate) bytes: u64,
    /// Per declared field's name: values that do not fit its type.
    pub(crate) conflicts: BTreeMap<u32, u64>,
    /// Per shard, the last of its records.
    pub(crate) last: Vec<Option<Position>>,
}

/// The layouts that records were written under, by metric and version of the schema.
pub(crate) type Layouts = HashMap<(MetricId, u64), Arc<RecordLayout>>;

/// A tenant's new records, grouped.
#[derive(Debug)]
pub(crate) struct Intake {
    schema: Arc<TenantSchema>,
    pub(crate) shards: Vec<ShardId>,
    /// By the number of a shard: what is to be taken in, from behind the first to the second.
    range: Vec<(Option<Position>, Position)>,
    covers: BTreeMap<MetricId, Cover>,
    pub(crate) metrics: Vec<MetricIntake>,
    by_id: HashMap<String, usize>,
    pub(crate) spill: Spill<Group>,
    /// Records that no stage could read: they are among the errors.
    pub(crate) unreadable: u64,
}

impl Intake {
    /// Takes in what lies behind `from` and at or before `to`, without what the tables cover.
    pub(crate) fn new(
        schema: Arc<TenantSchema>,
        from: &Cover,
        to: &Cover,
        covers: BTreeMap<MetricId, Cover>,
        scratch: Scratch,
        bytes_max: usize,
    ) -> Self {
        let shards = to.iter().map(|(shard, _)| shard.clone()).collect();
        let range = to.iter().map(|(shard, last)| (from.last(shard), last)).collect();
        let spill = Spill::new(scratch, bytes_max);
        let (metrics, by_id) = (Vec::new(), HashMap::new());
        Self { schema, shards, range, covers, metrics, by_id, spill, unreadable: 0 }
    }

    /// The schema of the run.
    pub(crate) fn schema(&self) -> &Arc<TenantSchema> {
        &self.schema
    }

    /// The number of a shard; none when nothing of it is taken in.
    pub(crate) fn shard(&self, shard: &ShardId) -> Option<u16> {
        let index = self.shards.iter().position(|known| known == shard)?;
        u16::try_from(index).ok()
    }

    /// Takes in a block of `shard`.
    ///
    /// # Errors
    ///
    /// `Corrupt` for a damaged block, or when a scratch file cannot be written.
    pub(crate) fn take(&mut self, block: &StagedBlock, shard: u16, layouts: &Layouts) -> Result<()> {
        let (after, to) = self.range[usize::from(shard)];
        let mut places: Vec<Option<(usize, u32)>> = Vec::new();
        for record in block.records() {
            let record = record?;
            if after.is_some_and(|after| record.position <= after) || record.position > to {
                continue;
            }
            if places.len() <= record.kind {
                places.resize(record.kind + 1, None);
            }
            let found = match places[record.kind] {
                Some(found) => Some(found),
                None => self.place_of(record.metric, record.schema.0, layouts),
            };
            let Some((metric, layout)) = found else {
                self.unreadable += 1;
                continue;
            };
            places[record.kind] = found;
            let intake = &mut self.metrics[metric];
            if intake.is_done(shard, record.position) {
                continue;
            }
            let read = intake.look_at(&record, layout);
            let Ok(head) = read else {
                self.unreadable += 1;
                continue;
            };
            let entry = Entry {
                layout,
                shard,
                position: record.position,
                id: record.id,
                timestamp: head.timestamp,
                record: record.record,
            };
            intake.count(&entry);
            let day = day_of(head.timestamp);
            if intake.is_chosen_id(&self.schema, &head, record.id) {
                self.spill
                    .append(&Group::Ids { metric, part: record.id.0[0] % ID_PARTS }, |out| entry_id(&entry, out))?;
            }
            self.spill.append(&Group::Day { metric, day }, |out| entry.write(out))?;
        }
        Ok(())
    }

    /// The metric's number and the layout's among its layouts.
    fn place_of(&mut self, metric: &str, version: u64, layouts: &Layouts) -> Option<(usize, u32)> {
        let number = match self.by_id.get(metric) {
            Some(number) => *number,
            None => {
                let id = MetricId::new(metric).ok()?;
                self.metrics.push(self.begin(&id));
                self.by_id.insert(metric.to_owned(), self.metrics.len() - 1);
                self.metrics.len() - 1
            }
        };
        let intake = &mut self.metrics[number];
        let layout = match intake.layout_of.get(&version) {
            Some(layout) => *layout,
            None => {
                let layout = layouts.get(&(intake.id.clone(), version))?;
                intake.add_layout(Arc::clone(layout), Some(version))
            }
        };
        Some((number, layout))
    }

    fn begin(&self, id: &MetricId) -> MetricIntake {
        let cover = self.covers.get(id);
        let by_shard = |cover: Option<&Cover>| {
            self.shards.iter().map(|shard| cover.and_then(|cover| cover.last(shard))).collect::<Vec<_>>()
        };
        MetricIntake {
            id: id.clone(),
            metric: self.schema.metric(id).cloned(),
            base: by_shard(cover),
            is_deleted: self.schema.is_deleted(id),
            names: Names::default(),
            profile: Profile::default(),
            layouts: Vec::new(),
            slots: Vec::new(),
            layout_of: HashMap::new(),
            guesses: Guesses::default(),
            records: 0,
            bytes: 0,
            conflicts: BTreeMap::new(),
            last: vec![None; self.shards.len()],
        }
    }

    /// About how many new rows a metric's day has.
    pub(crate) fn rows_of(&self, metric: usize, day: i32) -> u64 {
        let MetricIntake { records, bytes, .. } = self.metrics[metric];
        let bytes_of_row = HEAD_BYTES as u64 + bytes / records.max(1);
        self.spill.size(&Group::Day { metric, day }) as u64 / bytes_of_row
    }

    /// Adds a metric whose files are written anew although it has no new records.
    pub(crate) fn metric_number(&mut self, id: &MetricId) -> usize {
        if let Some(number) = self.by_id.get(id.as_str()) {
            return *number;
        }
        self.metrics.push(self.begin(id));
        self.by_id.insert(id.as_str().to_owned(), self.metrics.len() - 1);
        self.metrics.len() - 1
    }
}

/// What of a chosen id is compared across days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChosenId {
    pub(crate) id: EventId,
    pub(crate) shard: u16,
    pub(crate) position: Position,
    pub(crate) micros: i64,
}

const CHOSEN_BYTES: usize = 16 + 2 + Position::LEN + 8;

fn entry_id(entry: &Entry<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.id.0);
    out.extend_from_slice(&entry.shard.to_le_bytes());
    out.extend_from_slice(&entry.position.to_bytes());
    out.extend_from_slice(&entry.timestamp.micros().to_le_bytes());
}

/// The chosen ids of bytes of a [`Group::Ids`].
pub(crate) fn chosen_ids(bytes: &[u8]) -> impl Iterator<Item = ChosenId> {
    bytes.chunks_exact(CHOSEN_BYTES).filter_map(|chunk| {
        let (id, rest) = chunk.split_first_chunk::<16>()?;
        let (shard, rest) = rest.split_first_chunk::<2>()?;
        let (position, rest) = rest.split_first_chunk::<{ Position::LEN }>()?;
        let micros = rest.first_chunk::<8>()?;
        Some(ChosenId {
            id: EventId(*id),
            shard: u16::from_le_bytes(*shard),
            position: Position::from_bytes(*position),
            micros: i64::from_le_bytes(*micros),
        })
    })
}

/// The UTC day of an instant, counted from 1970-01-01.
pub(crate) fn day_of(timestamp: Timestamp) -> i32 {
    i32::try_from(timestamp.micros().div_euclid(MICROS_PER_DAY)).expect("the years 0001-9999 have fewer days")
}

impl MetricIntake {
    /// Whether the table has the record, or its metric was deleted: nobody can read it, whenever it was written.
    fn is_done(&self, shard: u16, position: Position) -> bool {
        self.is_deleted || self.base[usize::from(shard)].is_some_and(|last| position <= last)
    }

    /// Adds a layout; `version` is the schema's.
    pub(crate) fn add_layout(&mut self, layout: Arc<RecordLayout>, version: Option<u64>) -> u32 {
        let number = u32::try_from(self.layouts.len()).expect("a schema has fewer versions than that");
        self.slots.push(vec![None; layout.slots()]);
        self.layouts.push(layout);
        if let Some(version) = version {
            self.layout_of.insert(version, number);
        }
        number
    }

    fn count(&mut self, entry: &Entry<'_>) {
        self.records += 1;
        self.bytes += entry.record.len() as u64;
        let last = &mut self.last[usize::from(entry.shard)];
        *last = (*last).max(Some(entry.position));
    }

    fn is_chosen_id(&self, schema: &TenantSchema, head: &Head, id: EventId) -> bool {
        let by_key = |metric: &Arc<Metric>| metric.identity_at(schema, head.written_at) == Identity::Key;
        head.content.0 != id.0 && self.metric.as_ref().is_some_and(by_key)
    }

    fn look_at(&mut self, record: &fineo_ingest::StagedRecord<'_>, layout: u32) -> Result<Head> {
        self.guesses.begin();
        let mut look = Look {
            names: &mut self.names,
            guesses: &mut self.guesses,
            slots: &mut self.slots[layout as usize],
            profile: &mut self.profile,
            conflicts: &mut self.conflicts,
            arrived_at: record.arrived_at.micros(),
        };
        let head = self.layouts[layout as usize].read_values(record.record, record.id, &mut look)?;
        self.profile.records += 1;
        Ok(Head { timestamp: head.timestamp, written_at: head.written_at, content: head.content })
    }
}

/// What is needed of a record's head.
#[derive(Debug, Clone, Copy)]
struct Head {
    timestamp: Timestamp,
    written_at: Timestamp,
    content: ContentHash,
}

/// Looks at the cells of a record.
struct Look<'b> {
    names: &'b mut Names,
    guesses: &'b mut Guesses,
    slots: &'b mut [Option<u32>],
    profile: &'b mut Profile,
    conflicts: &'b mut BTreeMap<u32, u64>,
    arrived_at: i64,
}

impl<'a> ValueVisitor<'a> for Look<'_> {
    fn undeclared(&mut self, name: &'a str, text: &'a str) {
        let number = self.guesses.next(self.names, name);
        self.profile.of(number, self.names).text(text, self.arrived_at);
    }

    fn declared(&mut self, _field: usize, name: SentName<'a>, value: Option<RecordValue<'a>>, text: Option<&'a str>) {
        let number = match name.slot.map(|slot| &mut self.slots[slot]) {
            Some(slot) => *slot.get_or_insert_with(|| self.names.number(name.text)),
            None => self.guesses.next(self.names, name.text),
        };
        self.profile.of(number, self.names).value(value, text, self.arrived_at);
        if value.is_none() {
            *self.conflicts.entry(number).or_insert(0) += 1;
        }
    }
}

/// The layout of rows that are read back from files.
pub(crate) fn layout_of_rows(id: &MetricId, metric: Option<&Metric>) -> Arc<RecordLayout> {
    match metric {
        Some(metric) => Arc::clone(metric.layout()),
        None => Arc::new(RecordLayout::new(id, std::iter::empty::<(fineo_schema::FieldId, FieldType)>())),
    }
}
