//! A scan over a memtable: the lock is held for one window at a time.

use std::{collections::VecDeque, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch, StringViewArray,
    builder::{ArrayBuilder, StringViewBuilder},
};
use arrow_buffer::Buffer;
use fineo_core::{
    Result,
    nearline::{Latest, Predicate},
};

use super::{Request, batch, positions, push_cells, sixteens, timestamps};
use crate::nearline::{
    memtable::{MemRows, Memtable},
    text::{TextColumn, is_one_of},
};

/// Goes through the rows that a memtable had when the scan began; from the last one back for who wants the newest.
#[derive(Debug)]
pub(super) struct MemoryScan {
    memtable: Arc<Memtable>,
    next: usize,
    end: usize,
}

impl MemoryScan {
    /// A scan of the first `rows` of `memtable`.
    pub(super) fn new(memtable: Arc<Memtable>, rows: usize) -> Self {
        Self { memtable, next: 0, end: rows }
    }

    /// Goes a window on and makes its batches; answers whether there is more.
    pub(super) fn step(&mut self, request: &Request, done: &mut VecDeque<RecordBatch>) -> Result<bool> {
        let rows_max = request.scan.batch_rows_max.max(1);
        let (from, to) = match request.scan.latest {
            None => (self.next, (self.next + rows_max).min(self.end)),
            Some(_) => (self.end.saturating_sub(rows_max).max(self.next), self.end),
        };
        let rows = self.memtable.read();
        let mut selected = selected(&rows, request, from, to);
        match &request.scan.latest {
            None => self.next = to,
            Some(latest) => {
                self.end = from;
                keep_newest(&rows, latest, from, to, &mut selected);
            }
        }
        if !selected.is_empty() {
            done.push_back(make(&rows, request, &selected)?);
        }
        Ok(self.next < self.end)
    }
}

/// Takes those out of the `selected` rows from `from` to before `to` that are old.
fn keep_newest(rows: &MemRows, latest: &Latest, from: usize, to: usize, selected: &mut Vec<u32>) {
    let columns: Vec<&TextColumn> = latest.names().iter().filter_map(|name| rows.column(name)).collect();
    let mut keys: Vec<Option<&str>> = vec![None; to - from];
    for column in columns.iter().rev() {
        for place in column.places(row_number(from), row_number(to)) {
            keys[column.rows[place] as usize - from] = Some(column.texts.text(column.codes[place]));
        }
    }
    let key = |row: u32| keys[row as usize - from];
    let accepted = latest.accepted(selected.iter().map(|row| key(*row)));
    let mut accepted = accepted.into_iter();
    selected.retain(|row| accepted.next().is_some_and(|accepted| accepted <= rows.timestamps[*row as usize]));
}

fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a memtable is bounded")
}

/// The rows from `from` to before `to` that are wanted.
fn selected(rows: &MemRows, request: &Request, from: usize, to: usize) -> Vec<u32> {
    let time = request.scan.time;
    let in_time = |micros: &i64| time.from <= *micros && *micros < time.to;
    let mut all: Vec<bool> = rows.timestamps[from..to].iter().map(in_time).collect();
    if !request.scan.beyond.is_empty() {
        let covered = rows.covered(&request.scan.beyond, from, to);
        all.iter_mut().zip(covered).for_each(|(all, covered)| *all &= !covered);
    }
    for predicate in &request.scan.predicates {
        let mut any = vec![false; to - from];
        match predicate {
            Predicate::AnyText { names, texts } => {
                for column in names.iter().filter_map(|name| rows.column(name)) {
                    let mut codes: Vec<u32> = texts.iter().flat_map(|text| column.texts.find(text)).collect();
                    codes.sort_unstable();
                    if !codes.is_empty() {
                        mark(column, from, &mut any, Some(&codes));
                    }
                }
            }
            Predicate::AnyPresent { names } => {
                names.iter().filter_map(|name| rows.column(name)).for_each(|column| mark(column, from, &mut any, None));
            }
        }
        all.iter_mut().zip(any).for_each(|(all, any)| *all &= any);
    }
    all.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(place, _)| row_number(from + place)).collect()
}

/// Marks in `any` the rows from `from` on with one of `codes`, which ascend, or with any text when that is none.
fn mark(column: &TextColumn, from: usize, any: &mut [bool], codes: Option<&[u32]>) {
    for place in column.places(row_number(from), row_number(from + any.len())) {
        if codes.is_none_or(|codes| is_one_of(codes, column.codes[place])) {
            any[column.rows[place] as usize - from] = true;
        }
    }
}

fn make(rows: &MemRows, request: &Request, selected: &[u32]) -> Result<RecordBatch> {
    let system = request.scan.system;
    let micros = |values: &[i64]| timestamps(selected.iter().map(|row| values[*row as usize]).collect());
    let bytes =
        |of: &dyn Fn(usize) -> [u8; 16]| -> Buffer { selected.iter().flat_map(|row| of(*row as usize)).collect() };
    let mut arrays: Vec<ArrayRef> = vec![micros(&rows.timestamps)];
    if system.event_id {
        arrays.push(sixteens(bytes(&|row| rows.ids[row].0))?);
    }
    if system.alias {
        arrays.push(texts(&rows.aliases, selected));
    }
    if system.ingested_at {
        arrays.push(micros(&rows.ingested));
    }
    if system.position {
        arrays.push(texts(&rows.shards, selected));
        arrays.push(positions(selected.iter().map(|row| rows.positions.get(*row as usize)))?);
    }
    if system.content {
        arrays.push(sixteens(bytes(&|row| rows.contents.get(row, rows.ids[row]).0))?);
    }
    let cells = request.names.iter().map(|names| {
        let columns: Vec<&TextColumn> =
            request.scan.names[names.clone()].iter().filter_map(|name| rows.column(name)).collect();
        Ok(match columns.as_slice() {
            [] => None,
            [only] => Some(texts(only, selected)),
            several => Some(first_of(several, selected)),
        })
    });
    push_cells(request, cells, selected.len(), &mut arrays)?;
    batch(request, arrays)
}

/// The texts of `column` in the `selected` rows.
fn texts(column: &TextColumn, selected: &[u32]) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(selected.len());
    visit(column, selected, |place, code| {
        (builder.len()..place).for_each(|_| builder.append_null());
        builder.append_value(column.texts.text(code));
    });
    (builder.len()..selected.len()).for_each(|_| builder.append_null());
    Arc::new(builder.finish())
}

/// The first text that the `selected` rows have in one of `columns`.
fn first_of(columns: &[&TextColumn], selected: &[u32]) -> ArrayRef {
    let mut found: Vec<Option<&str>> = vec![None; selected.len()];
    for column in columns.iter().rev() {
        visit(column, selected, |place, code| found[place] = Some(column.texts.text(code)));
    }
    Arc::new(StringViewArray::from_iter(found))
}

/// Visits those of the `selected` rows that have a text in `column`: their places, ascending, and codes.
fn visit(column: &TextColumn, selected: &[u32], mut visit: impl FnMut(usize, u32)) {
    let (Some(first), Some(last)) = (selected.first(), selected.last()) else { return };
    let mut at = 0;
    for place in column.places(*first, last + 1) {
        let row = column.rows[place];
        while selected[at] < row {
            at += 1;
        }
        if selected[at] == row {
            visit(at, column.codes[place]);
        }
    }
}
