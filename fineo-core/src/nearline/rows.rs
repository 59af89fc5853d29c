//! Rows of one tenant and metric, packed so that writing them allocates nothing per row.

use std::{collections::HashMap, ops::Range, sync::Arc};

use crate::{ContentHash, EventId, Position, ShardId, Timestamp};

/// What every row has beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHead {
    /// When the event happened.
    pub timestamp: Timestamp,
    /// Which event it is.
    pub id: EventId,
    /// What the event said, to tell a re-send from a conflict.
    pub content: ContentHash,
    /// Where its record stands in the shard of these rows.
    pub position: Position,
    /// When the event arrived at the edge.
    pub ingested_at: Timestamp,
}

/// Rows from one shard, for one tenant and metric. Cells are texts under stored names, the names as sent.
#[derive(Debug, Clone)]
pub struct Rows(State);

#[derive(Debug, Clone)]
enum State {
    Growing(Parts),
    Shared(Arc<Parts>),
}

#[derive(Debug, Clone)]
struct Parts {
    shard: ShardId,
    names: Vec<Arc<str>>,
    name_numbers: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
    heads: Vec<PackedRow>,
    cells: Vec<PackedCell>,
    text: String,
}

#[derive(Debug, Clone)]
struct PackedRow {
    head: RowHead,
    alias: u32,
    cells: Range<u32>,
}

#[derive(Debug, Clone)]
struct PackedCell {
    name: u32,
    text: Range<u32>,
}

impl Rows {
    /// The most bytes of cell text that one value holds; beyond it start another.
    pub const TEXT_BYTES_MAX: usize = 1 << 30;

    /// No rows yet, from `shard`.
    pub fn new(shard: ShardId) -> Self {
        Self(State::Growing(Parts {
            shard,
            names: Vec::new(),
            name_numbers: HashMap::default(),
            heads: Vec::new(),
            cells: Vec::new(),
            text: String::new(),
        }))
    }

    fn parts(&self) -> &Parts {
        match &self.0 {
            State::Growing(parts) => parts,
            State::Shared(parts) => parts,
        }
    }

    #[inline]
    fn parts_mut(&mut self) -> &mut Parts {
        if let State::Shared(shared) = &self.0 {
            self.0 = State::Growing(Parts::clone(shared));
        }
        match &mut self.0 {
            State::Growing(parts) => parts,
            State::Shared(_) => unreachable!("they grow again by now"),
        }
    }

    /// Says that no more rows are to come for now: clones share them from here on.
    #[must_use]
    pub fn shared(self) -> Self {
        match self.0 {
            State::Growing(parts) => Self(State::Shared(Arc::new(parts))),
            State::Shared(_) => self,
        }
    }

    /// Makes room for so many more rows, cells, and bytes of their texts.
    pub fn reserve(&mut self, rows: usize, cells: usize, text_bytes: usize) {
        let parts = self.parts_mut();
        parts.heads.reserve(rows);
        parts.cells.reserve(cells);
        parts.text.reserve(text_bytes);
    }

    /// Begins a row. `alias` is the metric's name as sent. Its cells follow by [`Rows::cell`].
    pub fn row(&mut self, head: RowHead, alias: &str) {
        let parts = self.parts_mut();
        let alias = parts.name_number(alias);
        let at = u32::try_from(parts.cells.len()).expect("rows are bounded by their text");
        parts.heads.push(PackedRow { head, alias, cells: at..at });
    }

    /// Adds a cell to the row begun last. A name occurs once in a row.
    pub fn cell(&mut self, name: &str, text: &str) {
        let parts = self.parts_mut();
        let name = parts.name_number(name);
        parts.cell(name, text);
    }

    /// The number of `name` here, for [`Rows::cell_numbered`].
    pub fn name_number(&mut self, name: &str) -> u32 {
        self.parts_mut().name_number(name)
    }

    /// As [`Rows::cell`], without the look-up of the name.
    #[inline]
    pub fn cell_numbered(&mut self, name: u32, text: &str) {
        self.parts_mut().cell(name, text);
    }

    /// The shard that the positions belong to.
    pub fn shard(&self) -> &ShardId {
        &self.parts().shard
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.parts().heads.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.parts().heads.is_empty()
    }

    /// The bytes that the cells' texts take.
    pub fn text_bytes(&self) -> usize {
        self.parts().text.len()
    }

    /// The names used by cells and aliases, by number.
    pub fn names(&self) -> &[Arc<str>] {
        &self.parts().names
    }

    /// The rows, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        let rows = self.parts();
        rows.heads.iter().map(move |row| Row { rows, row })
    }

    /// The row at `index`.
    pub fn get(&self, index: usize) -> Option<Row<'_>> {
        let rows = self.parts();
        rows.heads.get(index).map(|row| Row { rows, row })
    }
}

impl Parts {
    #[inline]
    fn name_number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.name_numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("fewer names than 2^32");
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.name_numbers.insert(name, number);
        number
    }

    #[inline]
    fn cell(&mut self, name: u32, text: &str) {
        let start = u32::try_from(self.text.len()).expect("text is bounded");
        self.text.push_str(text);
        let end = u32::try_from(self.text.len()).expect("text is bounded");
        self.cells.push(PackedCell { name, text: start..end });
        if let Some(row) = self.heads.last_mut() {
            row.cells.end += 1;
        }
    }
}

/// One of [`Rows`].
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    rows: &'a Parts,
    row: &'a PackedRow,
}

impl<'a> Row<'a> {
    /// What every row has.
    pub fn head(&self) -> &'a RowHead {
        &self.row.head
    }

    /// The metric's name as sent.
    pub fn alias(&self) -> &'a str {
        &self.rows.names[self.row.alias as usize]
    }

    /// The names' numbers (see [`Rows::names`]) and texts of the cells, in the order they were added.
    pub fn cells_numbered(&self) -> impl Iterator<Item = (u32, &'a str)> + use<'a> {
        let rows = self.rows;
        let range = self.row.cells.start as usize..self.row.cells.end as usize;
        rows.cells[range].iter().map(|cell| {
            let text = &rows.text[cell.text.start as usize..cell.text.end as usize];
            (cell.name, text)
        })
    }

    /// The names and texts of the cells, in the order they were added.
    pub fn cells(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let rows = self.rows;
        self.cells_numbered().map(|(name, text)| (&*rows.names[name as usize], text))
    }
}
