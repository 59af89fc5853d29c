//! A scan over a segment.

use std::{collections::VecDeque, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::{Buffer, ScalarBuffer};
use fineo_core::{
    Error, ErrorKind, Position, Result,
    nearline::{Latest, Predicate},
};

use super::{Request, WINDOW_ROWS, batch, newest::Newest, positions, push_cells, sixteens, timestamps};
use crate::nearline::{
    cache::Thing,
    column::{ColumnReader, Selection, first_of},
    reading::Reading,
    segment::{ReadReach, Segment},
    text::ABSENT,
};

/// So many rows of a segment are few: what is read of them is kept in memory, and answered at once when it is there.
const ROWS_FEW_MAX: usize = 4096;
/// How many rows back one looks at a time.
const WINDOW_BACK_ROWS: usize = 4096;

/// Goes through the rows of a segment that lie in the time range, from the last one back for who wants the newest.
#[derive(Debug)]
pub(super) struct StoredScan {
    reading: Reading,
    next: usize,
    end: usize,
    tests: Vec<Test>,
    /// What tells the rows that the request's cover hides, where some may be hidden.
    hidden: Vec<Hidden>,
    /// Of the names that are wanted; opened when the first row is.
    columns: Option<Columns>,
    /// Rows that passed the tests and wait to become batches.
    passed: VecDeque<u32>,
    /// Of who wants the newest of each key: the columns of its key, and the rows of which keys he still wants.
    newest: Option<(Vec<Key>, Newest)>,
}

/// A column of keys, and the number of its first text.
#[derive(Debug)]
struct Key {
    column: ColumnReader,
    first: u32,
}

#[derive(Debug)]
struct Columns {
    alias: Option<ColumnReader>,
    shard: Option<ColumnReader>,
    /// Of each thing that is asked for, the columns of its names.
    cells: Vec<Vec<ColumnReader>>,
}

/// A predicate over this segment: columns, and the codes of the texts wanted, or none for any text.
#[derive(Debug)]
struct Test(Vec<(ColumnReader, Option<Vec<u32>>)>);

/// The rows of one shard up to a position.
#[derive(Debug)]
struct Hidden {
    shard: ColumnReader,
    codes: Vec<u32>,
    last: Position,
}

impl StoredScan {
    /// All batches of `segment`, if the rows are few and lie in memory.
    pub(super) fn at_once(segment: &Arc<Segment>, request: &Request) -> Option<VecDeque<RecordBatch>> {
        // Where something is missing or wrong, who may wait for the disk finds out.
        let mut done = VecDeque::new();
        if let Some(mut scan) = Self::open(segment, ReadReach::Memory, request).ok()? {
            while scan.step(request, &mut done).ok()? {}
        }
        Some(done)
    }

    /// A scan of `segment` that goes to the disk; none when no row of it can be wanted.
    pub(super) fn on_disk(segment: &Arc<Segment>, request: &Request) -> Result<Option<Self>> {
        Self::open(segment, ReadReach::Kept, request)
    }

    fn open(segment: &Arc<Segment>, reach: ReadReach, request: &Request) -> Result<Option<Self>> {
        let beyond = &request.scan.beyond;
        if segment.covered.iter().all(|(shard, _, last)| beyond.contains(shard, *last)) {
            return Ok(None);
        }
        let mut reading = Reading::open(segment, reach)?;
        let time = request.scan.time;
        let next = reading.row_at(time.from)?;
        let end = if time.to == i64::MAX { segment.rows() } else { reading.row_at(time.to)? };
        if next >= end {
            return Ok(None);
        }
        if end - next > ROWS_FEW_MAX || request.scan.latest.is_some() {
            if reach == ReadReach::Memory {
                return Err(Error::new(ErrorKind::Unavailable, "the rows are many"));
            }
            reading.reach = ReadReach::Disk;
        }
        let mut tests = Vec::new();
        for predicate in &request.scan.predicates {
            let test = Test::open(&reading, predicate)?;
            if test.0.is_empty() {
                return Ok(None);
            }
            tests.push(test);
        }
        let mut hidden = Vec::new();
        for (shard, first, _) in &segment.covered {
            let Some(last) = beyond.last(shard).filter(|last| first <= last) else { continue };
            let reader = ColumnReader::open(&reading, Thing::Shard)?;
            let codes = reader.codes_of(&[shard.as_str().into()]);
            hidden.push(Hidden { shard: reader, codes, last });
        }
        let newest = request.scan.latest.as_ref().map(|latest| newest(&reading, latest)).transpose()?;
        let passed = VecDeque::new();
        Ok(Some(Self { reading, next, end, tests, hidden, columns: None, passed, newest }))
    }

    /// Goes windows back to the next rows of keys that are still wanted; answers whether there may be more.
    fn step_back(&mut self, request: &Request, done: &mut VecDeque<RecordBatch>) -> Result<bool> {
        let (Some((keys, newest)), Some(latest)) = (&mut self.newest, &request.scan.latest) else { return Ok(false) };
        newest.refresh(latest, |number| text(keys, number));
        while self.next < self.end {
            let (to, rows) = (self.end, WINDOW_BACK_ROWS.min(request.scan.batch_rows_max.max(1)));
            let from = to.saturating_sub(rows).max(self.next);
            let last = self.reading.timestamps(to - 1, to)?[0];
            if !newest.may_want(last) {
                self.end = self.next;
                break;
            }
            self.end = from;
            let mut numbers = vec![ABSENT; to - from];
            keys.iter().try_for_each(|key| key.column.number(from, &mut numbers, key.first))?;
            // A row that is not wanted at the window's last instant is not at its own.
            let Some(first) = numbers.iter().position(|key| newest.wants(*key, last)) else { continue };
            let (from, numbers) = (from + first, &numbers[first..]);
            let micros = self.reading.timestamps(from, to)?;
            let wanted = |place: usize| newest.wants(numbers[place], micros[place]);
            let is_passed = tested(&self.reading, (&self.tests, &self.hidden), from, to)?;
            let places: Vec<usize> = (0..to - from).filter(|place| is_passed[*place] && wanted(*place)).collect();
            if places.is_empty() {
                continue;
            }
            newest.answer(places.iter().map(|place| numbers[*place]));
            let rows = places.iter().map(|place| row_number(from + place)).collect();
            done.push_back(self.batch(request, &Selection::Rows(rows))?);
            break;
        }
        Ok(self.next < self.end)
    }

    /// What it goes through.
    pub(super) fn segment(&self) -> &Segment {
        &self.reading.segment
    }

    /// Makes a batch or goes a window on; answers whether there may be more.
    pub(super) fn step(&mut self, request: &Request, done: &mut VecDeque<RecordBatch>) -> Result<bool> {
        if self.newest.is_some() {
            return self.step_back(request, done);
        }
        let batch_rows = request.scan.batch_rows_max.max(1);
        if self.tests.is_empty() && self.hidden.is_empty() {
            let to = (self.next + batch_rows).min(self.end);
            done.push_back(self.batch(request, &Selection::Range(self.next, to))?);
            self.next = to;
            return Ok(self.next < self.end);
        }
        if self.next < self.end && self.passed.len() < batch_rows {
            self.test_window()?;
        }
        let is_over = self.next >= self.end;
        if self.passed.len() >= batch_rows || (is_over && !self.passed.is_empty()) {
            let rows: Vec<u32> = self.passed.drain(..batch_rows.min(self.passed.len())).collect();
            done.push_back(self.batch(request, &Selection::Rows(rows))?);
        }
        Ok(!is_over || !self.passed.is_empty())
    }

    fn test_window(&mut self) -> Result<()> {
        let to = (self.next + WINDOW_ROWS).min(self.end);
        let all = tested(&self.reading, (&self.tests, &self.hidden), self.next, to)?;
        let passed = all.iter().enumerate().filter(|(_, passed)| **passed);
        self.passed.extend(passed.map(|(place, _)| row_number(self.next + place)));
        self.next = to;
        Ok(())
    }

    fn columns(&mut self, request: &Request) -> Result<&Columns> {
        if self.columns.is_none() {
            let open = |thing| ColumnReader::open(&self.reading, thing);
            let system = request.scan.system;
            let mut cells = Vec::with_capacity(request.scan.names.len());
            for names in &request.names {
                let found = names.clone().filter_map(|name| self.reading.column(&request.scan.names[name]));
                cells.push(found.map(open).collect::<Result<_>>()?);
            }
            self.columns = Some(Columns {
                alias: system.alias.then(|| open(Thing::Alias)).transpose()?,
                shard: system.position.then(|| open(Thing::Shard)).transpose()?,
                cells,
            });
        }
        Ok(self.columns.as_ref().expect("they were just opened"))
    }

    fn batch(&mut self, request: &Request, selection: &Selection) -> Result<RecordBatch> {
        self.columns(request)?;
        let columns = self.columns.as_ref().expect("they were just opened");
        let reading = &self.reading;
        let system = request.scan.system;
        let (from, to) = selection.bounds();
        let mut arrays: Vec<ArrayRef> = vec![timestamps(select(reading.timestamps(from, to)?, selection))];
        if system.event_id {
            arrays.push(sixteens(select_sixteens(&reading.ids(from, to)?, selection))?);
        }
        if let Some(alias) = &columns.alias {
            arrays.push(alias.array(selection)?);
        }
        if system.ingested_at {
            arrays.push(timestamps(select(reading.ingested(from, to)?, selection)));
        }
        if let Some(shard) = &columns.shard {
            arrays.push(shard.array(selection)?);
            let all = reading.positions(from, to)?;
            arrays.push(match selection {
                Selection::Range(..) => positions(all.range(0..to - from))?,
                Selection::Rows(rows) => positions(rows.iter().map(|row| all.get(*row as usize - from)))?,
            });
        }
        if system.content {
            arrays.push(sixteens(select_sixteens(&reading.contents(from, to)?, selection))?);
        }
        let cells = columns.cells.iter().map(|columns| match columns.as_slice() {
            [] => Ok(None),
            [only] => only.array(selection).map(Some),
            several => first_of(several, selection).map(Some),
        });
        push_cells(request, cells, selection.len(), &mut arrays)?;
        batch(request, arrays)
    }
}

/// Which of the rows from `from` to before `to` pass all tests and are not hidden.
fn tested(reading: &Reading, (tests, hidden): (&[Test], &[Hidden]), from: usize, to: usize) -> Result<Vec<bool>> {
    let mut all = vec![true; to - from];
    let mut any = vec![false; to - from];
    for test in tests {
        any.fill(false);
        for (column, codes) in &test.0 {
            column.mark(from, &mut any, codes.as_deref())?;
        }
        all.iter_mut().zip(&any).for_each(|(all, any)| *all &= *any);
    }
    if !hidden.is_empty() {
        let positions = reading.positions(from, to)?;
        for hidden in hidden {
            any.fill(false);
            hidden.shard.mark(from, &mut any, Some(&hidden.codes))?;
            for (all, (of_shard, position)) in all.iter_mut().zip(any.iter().zip(positions.range(0..to - from))) {
                *all &= !(*of_shard && position <= hidden.last);
            }
        }
    }
    Ok(all)
}

/// The keys of a segment that `latest` asks for, and what is known of them.
fn newest(reading: &Reading, latest: &Latest) -> Result<(Vec<Key>, Newest)> {
    let mut keys: Vec<Key> = Vec::new();
    let mut first = 0;
    for thing in latest.names().iter().filter_map(|name| reading.column(name)) {
        let column = ColumnReader::open(reading, thing)?;
        let texts = column.texts().len();
        keys.push(Key { column, first });
        first += row_number(texts);
    }
    let newest = Newest::of(latest, keys.iter().flat_map(|key| key.column.texts()));
    Ok((keys, newest))
}

/// The text of a number of one of `keys`.
fn text(keys: &[Key], number: u32) -> &str {
    let behind = keys.partition_point(|key| key.first <= number);
    let key = &keys[behind - 1];
    key.column.text(number - key.first)
}

fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a segment is bounded")
}

impl Test {
    /// Opens what `predicate` looks at. A test without columns is one that no row passes.
    fn open(reading: &Reading, predicate: &Predicate) -> Result<Self> {
        let (names, texts) = match predicate {
            Predicate::AnyText { names, texts } => (names, Some(texts)),
            Predicate::AnyPresent { names } => (names, None),
        };
        let mut columns = Vec::new();
        for thing in names.iter().filter_map(|name| reading.column(name)) {
            let column = ColumnReader::open(reading, thing)?;
            match texts.map(|texts| column.codes_of(texts)) {
                Some(codes) if codes.is_empty() => {}
                codes => columns.push((column, codes)),
            }
        }
        Ok(Self(columns))
    }
}

fn select(numbers: ScalarBuffer<i64>, selection: &Selection) -> ScalarBuffer<i64> {
    match selection {
        Selection::Range(..) => numbers,
        Selection::Rows(rows) => {
            let (from, _) = selection.bounds();
            rows.iter().map(|row| numbers[*row as usize - from]).collect()
        }
    }
}

fn select_sixteens(bytes: &Buffer, selection: &Selection) -> Buffer {
    match selection {
        Selection::Range(..) => bytes.clone(),
        Selection::Rows(rows) => {
            let (from, _) = selection.bounds();
            let place = |row: &u32| 16 * (*row as usize - from);
            rows.iter().flat_map(|row| bytes[place(row)..place(row) + 16].iter().copied()).collect()
        }
    }
}
