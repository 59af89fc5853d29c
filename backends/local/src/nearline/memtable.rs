//! Rows in memory: written at once, read at once, column by column, append-only.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use fineo_core::{
    Cover, EventId, Position, ShardId,
    nearline::{Row, RowHead, Written},
};

use super::{
    hash::{BuildIdHasher, BuildNameHasher},
    heads::{Contents, Positions},
    text::TextColumn,
};

/// What an allocator takes for each piece of memory beside its bytes, about.
const PIECE_BYTES: usize = 16;
/// What a column takes that is counted nowhere else: four pieces, its name, and the name's place among the names.
const COLUMN_BYTES: usize = 4 * PIECE_BYTES + 64;
/// What a memtable with rows takes however few they are: itself, and the pieces of its lists.
const FIXED_BYTES: usize = size_of::<Memtable>() + 20 * PIECE_BYTES;
/// Room for so many columns is made at first.
const COLUMNS_MIN: usize = 4;

/// Rows of one tenant and metric. Who knows how many rows there were once, may read those for ever.
#[derive(Debug)]
pub(super) struct Memtable {
    rows: RwLock<MemRows>,
}

impl Memtable {
    /// No rows yet. `seed` is chance.
    pub(super) fn new(seed: u64) -> Self {
        Self { rows: RwLock::new(MemRows::new(seed)) }
    }

    /// The rows, for reading.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, MemRows> {
        self.rows.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The rows, for adding to.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, MemRows> {
        self.rows.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The columns of a [`Memtable`].
#[derive(Debug)]
pub(super) struct MemRows {
    pub(super) timestamps: Vec<i64>,
    pub(super) ids: Vec<EventId>,
    pub(super) contents: Contents,
    pub(super) positions: Positions,
    pub(super) ingested: Vec<i64>,
    pub(super) aliases: TextColumn,
    pub(super) shards: TextColumn,
    /// The cells, each name's in its own column.
    pub(super) columns: Vec<(Arc<str>, TextColumn)>,
    names: HashMap<Arc<str>, u32, BuildNameHasher>,
    by_id: HashMap<EventId, u32, BuildIdHasher>,
    /// How many rows the journal has.
    pub(super) journaled: usize,
    seed: u64,
    /// What the lists of the columns take.
    cell_bytes: usize,
}

impl MemRows {
    fn new(seed: u64) -> Self {
        Self {
            timestamps: Vec::new(),
            ids: Vec::new(),
            contents: Contents::default(),
            positions: Positions::default(),
            ingested: Vec::new(),
            aliases: TextColumn::new(seed),
            shards: TextColumn::new(seed),
            columns: Vec::new(),
            names: HashMap::with_hasher(BuildNameHasher(seed)),
            by_id: HashMap::default(),
            journaled: 0,
            seed,
            cell_bytes: 0,
        }
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The memory that the rows take, about; none without rows. It is cheap to ask for after every write.
    pub(super) fn memory_bytes(&self) -> usize {
        if self.ids.is_empty() {
            return 0;
        }
        let heads = self.timestamps.capacity() * size_of::<i64>()
            + self.ids.capacity() * size_of::<EventId>()
            + self.ingested.capacity() * size_of::<i64>()
            + self.contents.memory_bytes()
            + self.positions.memory_bytes()
            + table_bytes(self.by_id.capacity(), size_of::<(EventId, u32)>());
        let columns = self.columns.capacity() * size_of::<(Arc<str>, TextColumn)>()
            + table_bytes(self.names.capacity(), size_of::<(Arc<str>, u32)>())
            + self.columns.len() * COLUMN_BYTES;
        FIXED_BYTES + heads + columns + self.aliases.memory_bytes() + self.shards.memory_bytes() + self.cell_bytes
    }

    /// What a row with this id and content would be here; none when the id is not here.
    pub(super) fn find(&self, head: &RowHead) -> Option<Written> {
        let row = *self.by_id.get(&head.id)? as usize;
        Some(if self.contents.get(row, head.id) == head.content { Written::Duplicate } else { Written::Conflict })
    }

    /// Begins a row whose id is not here.
    pub(super) fn push(&mut self, head: &RowHead, alias: &str, shard: &str) -> u32 {
        let row = u32::try_from(self.ids.len()).expect("a memtable is bounded");
        self.by_id.insert(head.id, row);
        self.timestamps.push(head.timestamp.micros());
        self.contents.push(head.content, head.id, &self.ids);
        self.ids.push(head.id);
        self.positions.push(head.position);
        self.ingested.push(head.ingested_at.micros());
        self.aliases.push(row, alias);
        self.shards.push(row, shard);
        row
    }

    /// The number of the column of `name`.
    pub(super) fn column_number(&mut self, name: &Arc<str>) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = u32::try_from(self.columns.len()).expect("a memtable is bounded");
        if self.columns.len() == self.columns.capacity() {
            // There may be thousands: as much again would be left empty.
            self.columns.reserve_exact(self.columns.len() / 4 + COLUMNS_MIN);
        }
        self.columns.push((Arc::clone(name), TextColumn::new(self.seed)));
        self.names.insert(Arc::clone(name), number);
        number
    }

    /// Adds a cell to the row begun last.
    pub(super) fn cell(&mut self, column: u32, row: u32, text: &str) {
        let column = &mut self.columns[column as usize].1;
        let before = column.memory_bytes();
        column.push(row, text);
        // Less where looking for twins is given up.
        self.cell_bytes = self.cell_bytes + column.memory_bytes() - before;
    }

    /// Adds `row` with its cells. `numbers` remembers the columns of the names of these rows.
    pub(super) fn push_row(&mut self, row: &Row<'_>, shard: &ShardId, names: &[Arc<str>], numbers: &mut [u32]) {
        let at = self.push(row.head(), row.alias(), shard.as_str());
        for (name, text) in row.cells_numbered() {
            let number = &mut numbers[name as usize];
            if *number == u32::MAX {
                *number = self.column_number(&names[name as usize]);
            }
            self.cell(*number, at, text);
        }
    }

    /// The cells of `name`.
    pub(super) fn column(&self, name: &str) -> Option<&TextColumn> {
        self.names.get(name).map(|number| &self.columns[*number as usize].1)
    }

    /// Which of the rows from `from` to before `to` `cover` contains.
    pub(super) fn covered(&self, cover: &Cover, from: usize, to: usize) -> Vec<bool> {
        let texts = &self.shards.texts;
        let lasts: Vec<Option<Position>> = (0..texts.len())
            .map(|number| {
                let shard = texts.text(u32::try_from(number).expect("few shards"));
                ShardId::new(shard).ok().and_then(|shard| cover.last(&shard))
            })
            .collect();
        let is_covered =
            |(code, position): (&u32, Position)| lasts[*code as usize].is_some_and(|last| position <= last);
        self.shards.codes[from..to].iter().zip(self.positions.range(from..to)).map(is_covered).collect()
    }

    /// A copy without the rows that `is_gone` marks.
    pub(super) fn without(&self, is_gone: &[bool]) -> Memtable {
        let mut kept = Self::new(self.seed);
        let mut new_rows = vec![u32::MAX; self.len()];
        for row in (0..self.len()).filter(|row| !is_gone[*row]) {
            let head = RowHead {
                timestamp: fineo_core::Timestamp::saturating_from_micros(self.timestamps[row]),
                id: self.ids[row],
                content: self.contents.get(row, self.ids[row]),
                position: self.positions.get(row),
                ingested_at: fineo_core::Timestamp::saturating_from_micros(self.ingested[row]),
            };
            let alias = self.aliases.texts.text(self.aliases.codes[row]);
            let shard = self.shards.texts.text(self.shards.codes[row]);
            new_rows[row] = kept.push(&head, alias, shard);
            kept.journaled += usize::from(row < self.journaled);
        }
        for (name, column) in &self.columns {
            let cells = column.rows.iter().zip(&column.codes).filter(|(row, _)| !is_gone[**row as usize]);
            let mut number = None;
            for (row, code) in cells {
                let number = *number.get_or_insert_with(|| kept.column_number(name));
                kept.cell(number, new_rows[*row as usize], column.texts.text(*code));
            }
        }
        Memtable { rows: RwLock::new(kept) }
    }
}

/// What a hash table takes that has room for `capacity` things of `bytes` each: seven of eight places are taken at most, and each
/// has a byte beside it.
fn table_bytes(capacity: usize, bytes: usize) -> usize {
    if capacity == 0 { 0 } else { (capacity * 8 / 7 + 1) * (bytes + 1) + PIECE_BYTES }
}
