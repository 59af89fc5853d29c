//! The rows of one tenant and metric, in order of time.

use std::{
    collections::{BTreeMap, HashMap, hash_map},
    ops::Range,
    sync::Arc,
};

use fineo_core::{
    EventId, ShardId, TimeRange, Timestamp,
    nearline::{Latest, Predicate, Row, RowHead, Rows, Written},
};

/// A row as it is kept: never changed, so that a scan may hold it while the table changes.
pub(super) struct StoredRow {
    pub(super) head: RowHead,
    pub(super) shard: ShardId,
    pub(super) alias: Arc<str>,
    // The how many-th row of the store it is.
    pub(super) number: u64,
    // In order of names.
    cells: Vec<(Arc<str>, Range<usize>)>,
    text: Box<str>,
}

impl StoredRow {
    fn new(rows: &Rows, row: Row<'_>, number: u64) -> Self {
        let name_of = |number: u32| Arc::clone(&rows.names()[number as usize]);
        let mut text = String::new();
        let mut cells = Vec::new();
        for (name, value) in row.cells_numbered() {
            let start = text.len();
            text.push_str(value);
            cells.push((name_of(name), start..text.len()));
        }
        cells.sort_by(|(left, _), (right, _)| left.cmp(right));
        let (head, shard, alias) = (*row.head(), rows.shard().clone(), Arc::from(row.alias()));
        Self { head, shard, alias, number, cells, text: text.into() }
    }

    /// The text under `name`, if the row has one.
    pub(super) fn cell(&self, name: &str) -> Option<&str> {
        let index = self.cells.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        let (_, range) = &self.cells[index];
        Some(&self.text[range.clone()])
    }

    /// Whether `latest` knows of a row of the same key that is newer.
    pub(super) fn is_old(&self, latest: &Latest) -> bool {
        let key = latest.names().iter().find_map(|name| self.cell(name));
        latest.accepted([key]).iter().any(|accepted| self.head.timestamp.micros() < *accepted)
    }

    /// Whether the row satisfies `predicate`.
    pub(super) fn satisfies(&self, predicate: &Predicate) -> bool {
        match predicate {
            Predicate::AnyPresent { names } => names.iter().any(|name| self.cell(name).is_some()),
            Predicate::AnyText { names, texts } => {
                let is_wanted = |text: &str| texts.iter().any(|wanted| **wanted == *text);
                names.iter().any(|name| self.cell(name).is_some_and(is_wanted))
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Table {
    rows: BTreeMap<(Timestamp, EventId), Arc<StoredRow>>,
    // Where the row of an event is: the same event may be sent again with another timestamp.
    times: HashMap<EventId, Timestamp>,
}

impl Table {
    /// Stores `row` of `rows` as the `number`-th of the store, unless its event id is taken.
    pub(super) fn write(&mut self, rows: &Rows, row: Row<'_>, number: u64) -> Written {
        let head = row.head();
        match self.times.entry(head.id) {
            hash_map::Entry::Occupied(taken) => {
                let there = &self.rows[&(*taken.get(), head.id)];
                if there.head.content == head.content { Written::Duplicate } else { Written::Conflict }
            }
            hash_map::Entry::Vacant(free) => {
                free.insert(head.timestamp);
                let stored = StoredRow::new(rows, row, number);
                self.rows.insert((head.timestamp, head.id), Arc::new(stored));
                Written::New
            }
        }
    }

    /// The rows of `time` as they are now.
    pub(super) fn snapshot(&self, time: &TimeRange) -> Vec<Arc<StoredRow>> {
        if time.is_empty() || time.from > Timestamp::MAX.micros() {
            return Vec::new();
        }
        let from = (Timestamp::saturating_from_micros(time.from), EventId::default());
        let rows = self.rows.range(from..).map(|(_, row)| row);
        rows.take_while(|row| time.contains(row.head.timestamp)).cloned().collect()
    }

    /// Keeps the rows that `is_kept` names and answers how many went.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&StoredRow) -> bool) -> u64 {
        let before = self.rows.len();
        let times = &mut self.times;
        self.rows.retain(|(_, id), row| {
            let keep = is_kept(row);
            if !keep {
                times.remove(id);
            }
            keep
        });
        (before - self.rows.len()) as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
