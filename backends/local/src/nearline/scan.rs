//! A scan: a snapshot of memtables and segments, turned into batches window by window.

mod memory;
mod newest;
mod stored;

use std::{cell::LazyCell, collections::VecDeque, ops::Range, sync::Arc};

use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_schema::SchemaRef;
use fineo_core::{
    Error, ErrorKind, Position, Result,
    nearline::{ScanRequest, scan_schema},
};
use futures::stream::{self, BoxStream};

use super::{memtable::Memtable, segment::Segment};
use memory::MemoryScan;
use stored::StoredScan;

/// How many rows are tested at a time when there are predicates.
const WINDOW_ROWS: usize = 1 << 16;
/// The most batches that one step off the caller's thread makes.
const BATCHES_PER_STEP: usize = 4;

/// What a scan goes through.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Memtables, and how many of their rows there were.
    pub(super) memtables: Vec<(Arc<Memtable>, usize)>,
    pub(super) segments: Vec<Arc<Segment>>,
}

/// The batches of `request` over `snapshot`.
pub(super) fn batches(request: ScanRequest, snapshot: Result<Snapshot>) -> BoxStream<'static, Result<RecordBatch>> {
    let mut snapshot = match snapshot {
        Ok(snapshot) => snapshot,
        Err(error) => return Box::pin(stream::iter([Err(error)])),
    };
    let request = Request { schema: scan_schema(&request), names: things(&request), scan: request };
    if request.scan.latest.is_some() {
        // What was written last is mostly the newest.
        snapshot.memtables.reverse();
        snapshot.segments.sort_by_key(|segment| std::cmp::Reverse(segment.entry.time_max));
    }
    let mut parts: VecDeque<Part> = VecDeque::new();
    for (memtable, rows) in snapshot.memtables {
        parts.push_back(Part::Memory(MemoryScan::new(memtable, rows)));
    }
    let time = request.scan.time;
    for segment in snapshot.segments {
        if time.overlaps(segment.entry.time_min, segment.entry.time_max) {
            parts.push_back(Part::Segment(segment));
        }
    }
    let scan = Scan { request: Arc::new(request), parts, done: VecDeque::new() };
    Box::pin(stream::unfold(Some(scan), |scan| async move {
        let mut scan = scan?;
        // Rows in memory are there at once; for others one may have to wait for the disk.
        while scan.done.is_empty() {
            match scan.at_once() {
                Ok(true) => tokio::task::consume_budget().await,
                Ok(false) => break,
                Err(error) => return Some((Err(error), None)),
            }
        }
        if let Some(batch) = scan.done.pop_front() {
            return Some((Ok(batch), Some(scan)));
        }
        if scan.parts.is_empty() {
            return None;
        }
        let step = tokio::task::spawn_blocking(move || {
            let result = scan.step();
            (scan, result)
        });
        match step.await {
            Ok((mut scan, Ok(()))) => scan.done.pop_front().map(|batch| (Ok(batch), Some(scan))),
            Ok((_, Err(error))) => Some((Err(error), None)),
            Err(error) => {
                let error = Error::new(ErrorKind::Cancelled, "the scan was cut off").with_source(error);
                Some((Err(error), None))
            }
        }
    }))
}

#[derive(Debug)]
struct Request {
    scan: ScanRequest,
    /// Places in the scan's names: of each thing that is asked for, those of its names in their order.
    names: Vec<Range<usize>>,
    schema: SchemaRef,
}

/// The ranges of names of `request` that stand for one thing, and each of the others alone.
fn things(request: &ScanRequest) -> Vec<Range<usize>> {
    let mut things = Vec::with_capacity(request.names.len());
    let mut next = 0;
    while next < request.names.len() {
        let ranked = request.ranked.iter().find(|range| range.start == next && !range.is_empty());
        let thing = ranked.map_or(next..next + 1, |range| next..range.end.min(request.names.len()));
        next = thing.end;
        things.push(thing);
    }
    things
}

#[derive(Debug)]
enum Part {
    Memory(MemoryScan),
    Segment(Arc<Segment>),
    Stored(Box<StoredScan>),
}

#[derive(Debug)]
struct Scan {
    request: Arc<Request>,
    parts: VecDeque<Part>,
    done: VecDeque<RecordBatch>,
}

impl Scan {
    /// Goes on with the next part if that lies in memory; answers whether it does.
    fn at_once(&mut self) -> Result<bool> {
        match self.parts.front() {
            Some(Part::Memory(_)) => self.part()?,
            Some(Part::Segment(segment)) => {
                let Some(mut done) = StoredScan::at_once(segment, &self.request) else { return Ok(false) };
                self.parts.pop_front();
                self.done.append(&mut done);
            }
            Some(Part::Stored(_)) | None => return Ok(false),
        }
        Ok(true)
    }

    /// Makes some batches, or finds that there are no more. Blocks.
    fn step(&mut self) -> Result<()> {
        // Who wants the newest rows says of each batch what he wants no more.
        let batches = if self.request.scan.latest.is_some() { 1 } else { BATCHES_PER_STEP };
        while self.done.len() < batches && !self.parts.is_empty() {
            self.part()?;
        }
        Ok(())
    }

    /// Goes on with the next part.
    fn part(&mut self) -> Result<()> {
        let Some(part) = self.parts.pop_front() else { return Ok(()) };
        let rest = match part {
            Part::Memory(mut scan) => scan.step(&self.request, &mut self.done)?.then_some(Part::Memory(scan)),
            Part::Segment(segment) => {
                let opened = StoredScan::on_disk(&segment, &self.request);
                opened.inspect_err(|error| segment.set_aside(error))?.map(|scan| Part::Stored(Box::new(scan)))
            }
            Part::Stored(mut scan) => {
                let more = scan.step(&self.request, &mut self.done);
                more.inspect_err(|error| scan.segment().set_aside(error))?.then_some(Part::Stored(scan))
            }
        };
        if let Some(rest) = rest {
            self.parts.push_front(rest);
        }
        Ok(())
    }
}

fn timestamps(micros: ScalarBuffer<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::new(micros, None).with_timezone("UTC"))
}

fn sixteens(bytes: Buffer) -> Result<ArrayRef> {
    fixed(16, bytes)
}

fn positions(positions: impl Iterator<Item = Position>) -> Result<ArrayRef> {
    let bytes: Vec<u8> = positions.flat_map(Position::to_bytes).collect();
    fixed(i32::try_from(Position::LEN).expect("a position is short"), Buffer::from_vec(bytes))
}

fn fixed(width: i32, bytes: Buffer) -> Result<ArrayRef> {
    let array = FixedSizeBinaryArray::try_new(width, bytes, None).map_err(arrow_error)?;
    Ok(Arc::new(array))
}

/// Adds the cells of each thing that `request` asks for, or none where there are none: they stand under its first name.
fn push_cells(
    request: &Request,
    cells: impl Iterator<Item = Result<Option<ArrayRef>>>,
    rows: usize,
    arrays: &mut Vec<ArrayRef>,
) -> Result<()> {
    let nothing = LazyCell::new(|| Arc::new(StringViewArray::new_null(rows)) as ArrayRef);
    for (cells, names) in cells.zip(&request.names) {
        arrays.push(cells?.unwrap_or_else(|| Arc::clone(&nothing)));
        arrays.extend(names.clone().skip(1).map(|_| Arc::clone(&nothing)));
    }
    Ok(())
}

fn batch(request: &Request, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    debug_assert!(columns.iter().all(|column| column.len() == columns[0].len()));
    RecordBatch::try_new(Arc::clone(&request.schema), columns).map_err(arrow_error)
}

fn arrow_error(source: arrow_schema::ArrowError) -> Error {
    Error::internal("a batch does not add up").with_source(source)
}
