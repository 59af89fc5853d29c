//! One tenant's records as they lie in a block: column by column, most of them as the step from the record before.

use bytes::Bytes;
use fineo_core::{
    Error, EventId, MetricId, Position, Result, TenantId, Timestamp, archive::Stage, repo::Version, stream::Delivery,
};
use fineo_schema::avro::{Reader, write_bytes, write_long, write_optional};

use crate::{
    envelope::{self, Envelope, Format},
    stage::payload,
};

/// The format of an entry that is no envelope; its event is the whole entry.
const UNREADABLE: &str = "unreadable";

/// What a record's steps are counted from.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    position: Position,
    arrived_at: i64,
    id: u128,
}

impl Place {
    /// The id that is expected at `position`: ids of one request count up as positions do.
    fn id_at(&self, position: Position) -> u128 {
        self.id.wrapping_add(low(minus(position, self.position)))
    }
}

/// Records that are being collected for a block.
#[derive(Debug, Default)]
pub(super) struct Columns {
    records: u64,
    last: Place,
    times: Option<(i64, i64)>,
    positions: Vec<u8>,
    arrivals: Vec<u8>,
    ids: Vec<u8>,
    /// What records have in common, each once, and which of them each record has.
    kinds: Vec<Vec<u8>>,
    kind_of: Vec<u8>,
    last_kind: usize,
    payloads: Vec<u8>,
    scratch: Vec<u8>,
}

impl Columns {
    /// How many bytes the block would have now, about.
    pub(super) fn bytes(&self) -> usize {
        self.positions.len() + self.arrivals.len() + self.ids.len() + self.kind_of.len() + self.payloads.len()
    }

    /// How many records there are.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The first and the last arrival.
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        self.times
    }

    /// Adds a delivery of `stage`.
    pub(super) fn push(&mut self, stage: Stage, delivery: &Delivery) {
        match stage {
            Stage::Raw => self.push_event(delivery),
            Stage::Staged => self.push_record(delivery),
        }
    }

    fn push_event(&mut self, delivery: &Delivery) {
        let entry = &delivery.payload;
        let read = envelope::read(entry);
        let (format, envelope) = match &read {
            Ok(envelope) => (envelope.format.as_str(), envelope.clone()),
            Err(_) => (UNREADABLE, unreadable(entry)),
        };
        self.scratch.clear();
        write_bytes(format.as_bytes(), &mut self.scratch);
        write_optional(envelope.metric, &mut self.scratch);
        write_optional(envelope.dropped_key, &mut self.scratch);
        let id = u128::from_be_bytes(envelope.arrival_id.0);
        let unexpected = id.wrapping_sub(self.last.id_at(delivery.position));
        write_shortest(&unexpected.to_be_bytes(), &mut self.ids);
        self.added(delivery.position, envelope.arrived_at, id, envelope.event);
    }

    fn push_record(&mut self, delivery: &Delivery) {
        let entry = &delivery.payload;
        let (id, arrived_at, metric, schema, record) = match payload::read(entry) {
            Ok(read) => (read.id, read.arrived_at, read.metric, read.schema, read.record),
            Err(_) => (EventId::default(), Timestamp::default(), "", Version::NONE, &entry[..]),
        };
        self.scratch.clear();
        write_bytes(metric.as_bytes(), &mut self.scratch);
        write_long(i64::try_from(schema.0).unwrap_or(i64::MAX), &mut self.scratch);
        self.ids.extend_from_slice(&id.0);
        self.added(delivery.position, arrived_at, 0, record);
    }

    /// Adds what the records of both stages have; what this one has in common with others is in `scratch`.
    fn added(&mut self, position: Position, arrived_at: Timestamp, id: u128, payload: &[u8]) {
        let arrived_at = arrived_at.micros();
        if self.kinds.get(self.last_kind) != Some(&self.scratch) {
            self.last_kind = self.kinds.iter().position(|known| *known == self.scratch).unwrap_or(self.kinds.len());
            if self.last_kind == self.kinds.len() {
                self.kinds.push(self.scratch.clone());
            }
        }
        write_long(i64::try_from(self.last_kind).expect("few kinds"), &mut self.kind_of);
        write_shortest(&minus(position, self.last.position), &mut self.positions);
        write_long(arrived_at.wrapping_sub(self.last.arrived_at), &mut self.arrivals);
        write_bytes(payload, &mut self.payloads);
        self.last = Place { position, arrived_at, id };
        let (first, last) = self.times.unwrap_or((arrived_at, arrived_at));
        self.times = Some((first.min(arrived_at), last.max(arrived_at)));
        self.records += 1;
    }

    /// Writes the block's one Avro record to `out`; what was collected is gone.
    pub(super) fn take(&mut self, tenant: &TenantId, out: &mut Vec<u8>) {
        out.clear();
        write_bytes(tenant.as_str().as_bytes(), out);
        write_array(self.records, &self.positions, out);
        write_array(self.records, &self.arrivals, out);
        write_array(self.records, &self.ids, out);
        write_array(self.kinds.len() as u64, &self.kinds.concat(), out);
        write_array(self.records, &self.kind_of, out);
        write_array(self.records, &self.payloads, out);
        (self.records, self.last, self.times, self.last_kind) = Default::default();
        self.kinds.clear();
        for column in [&mut self.positions, &mut self.arrivals, &mut self.ids, &mut self.kind_of, &mut self.payloads] {
            column.clear();
        }
    }
}

fn unreadable(entry: &[u8]) -> Envelope<'_> {
    Envelope {
        arrival_id: EventId::default(),
        arrived_at: Timestamp::default(),
        format: Format::Json,
        metric: None,
        dropped_key: None,
        event: entry,
    }
}

/// An Avro array in one block that tells its size, so that a reader can pass over it.
fn write_array(count: u64, items: &[u8], out: &mut Vec<u8>) {
    if count > 0 {
        write_long(-i64::try_from(count).expect("a block is bounded"), out);
        write_long(i64::try_from(items.len()).expect("a block is bounded"), out);
        out.extend_from_slice(items);
    }
    write_long(0, out);
}

/// A number without its leading zeros; zero has no bytes.
fn write_shortest(bytes: &[u8], out: &mut Vec<u8>) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    write_bytes(&bytes[zeros..], out);
}

type Wide = [u8; Position::LEN];

/// The three words of a position, the lowest first.
fn words(bytes: Wide) -> [u64; 3] {
    let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    [word(16), word(8), word(0)]
}

fn of_words(words: [u64; 3]) -> Wide {
    let mut bytes = [0; Position::LEN];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words.into_iter().rev()) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// `after - before`, modulo what fits.
fn minus(after: Position, before: Position) -> Wide {
    let (after, before) = (words(after.to_bytes()), words(before.to_bytes()));
    let mut borrow = false;
    let mut difference = [0; 3];
    for ((to, after), before) in difference.iter_mut().zip(after).zip(before) {
        let (step, first) = after.overflowing_sub(before);
        let (step, second) = step.overflowing_sub(u64::from(borrow));
        (*to, borrow) = (step, first || second);
    }
    of_words(difference)
}

/// `before + step`, modulo what fits.
fn plus(before: Position, step: Wide) -> Position {
    let (before, step) = (words(before.to_bytes()), words(step));
    let mut carry = false;
    let mut sum = [0; 3];
    for ((to, before), step) in sum.iter_mut().zip(before).zip(step) {
        let (place, first) = before.overflowing_add(step);
        let (place, second) = place.overflowing_add(u64::from(carry));
        (*to, carry) = (place, first || second);
    }
    Position::from_bytes(of_words(sum))
}

fn low(step: Wide) -> u128 {
    u128::from_be_bytes(step[8..].try_into().expect("sixteen bytes"))
}

/// The records of a block, read where they lie.
#[derive(Debug, Clone)]
pub(super) struct ColumnReader<'a> {
    stage: Stage,
    tenant: &'a str,
    left: u64,
    last: Place,
    positions: Reader<'a>,
    arrivals: Reader<'a>,
    ids: Reader<'a>,
    kinds: Vec<Kind<'a>>,
    kind_of: Reader<'a>,
    payloads: Reader<'a>,
}

/// What records have in common.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    Event { format: &'a str, metric: Option<&'a str>, dropped_key: Option<&'a str> },
    Record { metric: &'a str, schema: Version },
}

/// One record of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) position: Position,
    pub(super) arrived_at: Timestamp,
    pub(super) id: EventId,
    pub(super) kind: Kind<'a>,
    /// The place of the kind among the block's.
    pub(super) kind_number: usize,
    pub(super) payload: &'a [u8],
}

impl<'a> ColumnReader<'a> {
    /// Reads the one Avro record of a block that must have `records` records of `stage`.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    pub(super) fn new(stage: Stage, block: &'a [u8], records: u64) -> Result<Self> {
        let mut reader = Reader::new(block);
        let tenant = reader.text()?;
        let positions = column(&mut reader, records)?;
        let arrivals = column(&mut reader, records)?;
        let ids = column(&mut reader, records)?;
        let (count, mut kinds_reader) = array(&mut reader)?;
        let mut kinds = Vec::new();
        for _ in 0..count {
            kinds.push(read_kind(stage, &mut kinds_reader)?);
        }
        let kind_of = column(&mut reader, records)?;
        let payloads = column(&mut reader, records)?;
        if !reader.is_at_end() {
            return Err(Error::corrupt("a block holds more than its records"));
        }
        let last = Place::default();
        Ok(Self { stage, tenant, left: records, last, positions, arrivals, ids, kinds, kind_of, payloads })
    }

    /// Whose records they are.
    pub(super) fn tenant(&self) -> &'a str {
        self.tenant
    }

    fn read(&mut self) -> Result<Item<'a>> {
        let position = plus(self.last.position, widened(self.positions.bytes()?)?);
        let arrived_at = self.last.arrived_at.wrapping_add(self.arrivals.long()?);
        let id = match self.stage {
            Stage::Raw => {
                let unexpected = u128::from_be_bytes(widened(self.ids.bytes()?)?);
                self.last.id_at(position).wrapping_add(unexpected)
            }
            Stage::Staged => u128::from_be_bytes(self.ids.fixed()?),
        };
        let kind_number = usize::try_from(self.kind_of.long()?).unwrap_or(usize::MAX);
        let kind = self.kinds.get(kind_number).copied();
        let kind = kind.ok_or_else(|| Error::corrupt("a record of a block is of no kind that the block has"))?;
        self.last = Place { position, arrived_at, id };
        let arrived_at =
            Timestamp::from_micros(arrived_at).map_err(|_| Error::corrupt("an arrival is out of range"))?;
        let (id, payload) = (EventId(id.to_be_bytes()), self.payloads.bytes()?);
        Ok(Item { position, arrived_at, id, kind, kind_number, payload })
    }
}

impl<'a> Iterator for ColumnReader<'a> {
    type Item = Result<Item<'a>>;

    fn next(&mut self) -> Option<Result<Item<'a>>> {
        self.left = self.left.checked_sub(1)?;
        let item = self.read();
        if item.is_err() {
            self.left = 0;
        }
        Some(item)
    }
}

/// The items of an array, and how many they are.
fn array<'a>(reader: &mut Reader<'a>) -> Result<(u64, Reader<'a>)> {
    let other = || Error::corrupt("a column of a block is not in one piece that tells its size");
    let count = reader.long()?;
    if count == 0 {
        return Ok((0, Reader::new(&[])));
    }
    if count > 0 {
        return Err(other());
    }
    let size = usize::try_from(reader.long()?).map_err(|_| other())?;
    let items = reader.take(size)?;
    // Every item takes a byte at least.
    if reader.long()? != 0 || count.unsigned_abs() > size as u64 {
        return Err(other());
    }
    Ok((count.unsigned_abs(), Reader::new(items)))
}

fn column<'a>(reader: &mut Reader<'a>, records: u64) -> Result<Reader<'a>> {
    let (count, items) = array(reader)?;
    if count == records { Ok(items) } else { Err(Error::corrupt("a column of a block has too many or too few values")) }
}

fn read_kind<'a>(stage: Stage, reader: &mut Reader<'a>) -> Result<Kind<'a>> {
    Ok(match stage {
        Stage::Raw => {
            let (format, metric) = (reader.text()?, reader.optional()?);
            Kind::Event { format, metric, dropped_key: reader.optional()? }
        }
        Stage::Staged => Kind::Record { metric: reader.text()?, schema: Version(reader.long()?.unsigned_abs()) },
    })
}

/// A number with its leading zeros.
fn widened<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    let mut wide = [0; N];
    let zeros = N.checked_sub(bytes.len()).ok_or_else(|| Error::corrupt("a step of a block has too many bytes"))?;
    wide[zeros..].copy_from_slice(bytes);
    Ok(wide)
}

impl Item<'_> {
    /// The entry as the stage received it.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it has a format that is none.
    pub(super) fn entry(&self) -> Result<Bytes> {
        let (arrival_id, arrived_at, event) = (self.id, self.arrived_at, self.payload);
        match self.kind {
            Kind::Event { format: UNREADABLE, .. } => Ok(Bytes::copy_from_slice(event)),
            Kind::Event { format, metric, dropped_key } => {
                let format = [Format::Json, Format::Csv].into_iter().find(|known| known.as_str() == format);
                let format = format.ok_or_else(|| Error::corrupt("a segment has an event of an unknown format"))?;
                Ok(envelope::rebuild(&Envelope { arrival_id, arrived_at, format, metric, dropped_key, event }))
            }
            Kind::Record { metric, schema } => {
                let Ok(metric) = MetricId::new(metric) else { return Ok(Bytes::copy_from_slice(event)) };
                let mut out = Vec::with_capacity(event.len() + 64);
                payload::write_head(&metric, schema, self.id, arrived_at, &mut out);
                out.extend_from_slice(event);
                Ok(out.into())
            }
        }
    }
}
