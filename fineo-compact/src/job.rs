//! The rows of one day, or of a part of it, into one file: deduplicated, in order, deterministic.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use fineo_core::{Cover, EventId, Position, Result, ShardId};
use fineo_schema::{RecordLayout, RecordValue, ValueVisitor};

use crate::{
    build::{Recipe, RowsBuilder},
    encode::{FileHead, Writing, encode, layout_of},
    entry::{COMMITTED, Entry, entries},
    names::Guesses,
    print::print,
};

/// Rows that are built at once.
const CHUNK_ROWS: usize = 16_384;

/// What a day's rows are compared with.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The ids that stay in committed files of the day.
    pub(crate) committed: HashSet<EventId>,
    /// Records whose id another record of another time has, which came first.
    pub(crate) losers: std::sync::Arc<HashSet<(u16, Position)>>,
}

/// A file that is ready to be stored.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u64,
    /// Per shard, the highest position of a new row.
    pub(crate) positions: Cover,
}

/// What became of a day's entries.
#[derive(Debug, Default)]
pub(crate) struct DayOutcome {
    /// None when every row was a duplicate.
    pub(crate) file: Option<Encoded>,
    /// New records that were dropped, because their event is there already.
    pub(crate) duplicates: u64,
}

/// A row, for sorting.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    entry: Entry<'a>,
    /// The rank of the key among the rows' keys.
    key: u32,
}

/// Makes the file of `parts`, which hold every entry of the day or of a part of it.
///
/// # Errors
///
/// `Corrupt` when the entries are not what was written.
pub(crate) fn write_day(
    recipe: &Recipe,
    head: &FileHead,
    parts: &[Vec<u8>],
    known: &Known,
    shards: &[ShardId],
    writing: Writing,
) -> Result<DayOutcome> {
    let mut all = Vec::new();
    for part in parts {
        for entry in entries(part) {
            all.push(entry?);
        }
    }
    let (kept, duplicates) = deduplicate(all, known);
    if kept.is_empty() {
        return Ok(DayOutcome { file: None, duplicates });
    }
    let rows = sorted(recipe, kept)?;
    let mut positions = Cover::default();
    let mut builder = RowsBuilder::new(recipe);
    let mut chunks = Vec::new();
    for row in &rows {
        if let Some(shard) = shards.get(usize::from(row.entry.shard)) {
            positions.advance(shard, row.entry.position);
        }
        builder.row(&row.entry)?;
        if builder.rows() >= CHUNK_ROWS {
            chunks.push(builder.finish());
        }
    }
    if builder.rows() > 0 {
        chunks.push(builder.finish());
    }
    let layout = layout_of(head, recipe, &builder, &chunks);
    let bytes = encode(&layout, recipe, chunks, writing)?;
    let rows = rows.len() as u64;
    let file = Encoded { bytes, rows, positions };
    Ok(DayOutcome { file: Some(file), duplicates })
}

/// Keeps one entry of each event: the committed one, else the one with the first position. Of several shards, whose
/// positions cannot be compared, the first by id counts.
fn deduplicate<'a>(mut all: Vec<Entry<'a>>, known: &Known) -> (Vec<Entry<'a>>, u64) {
    let precedence = |one: &Entry<'_>, other: &Entry<'_>| {
        let is_new = |entry: &Entry<'_>| entry.shard != COMMITTED;
        is_new(one)
            .cmp(&is_new(other))
            .then_with(|| one.shard.cmp(&other.shard))
            .then_with(|| one.position.cmp(&other.position))
    };
    all.sort_unstable_by(|one, other| one.id.cmp(&other.id).then_with(|| precedence(one, other)));
    let mut duplicates = 0;
    let mut last: Option<Entry<'_>> = None;
    all.retain(|entry| {
        let is_same = last.is_some_and(|last| last.id == entry.id);
        // The same record from two segments that overlap is no duplicate, only read twice.
        let is_read_twice = last.is_some_and(|last| (last.shard, last.position) == (entry.shard, entry.position));
        let is_new = entry.shard != COMMITTED;
        let is_known =
            is_new && (known.committed.contains(&entry.id) || known.losers.contains(&(entry.shard, entry.position)));
        last = Some(*entry);
        duplicates += u64::from((is_same || is_known) && !is_read_twice && is_new);
        !is_same && !is_known
    });
    (all, duplicates)
}

/// Rows by key, then time, then id: the order of the file.
fn sorted<'a>(recipe: &Recipe, kept: Vec<Entry<'a>>) -> Result<Vec<Row<'a>>> {
    let keys = keys_of(recipe, &kept)?;
    let mut rows: Vec<Row<'a>> = kept.into_iter().zip(keys).map(|(entry, key)| Row { entry, key }).collect();
    rows.sort_unstable_by(|one, other| {
        let by_key = one.key.cmp(&other.key);
        by_key.then_with(|| by_time(&one.entry, &other.entry))
    });
    Ok(rows)
}

fn by_time(one: &Entry<'_>, other: &Entry<'_>) -> Ordering {
    one.timestamp.cmp(&other.timestamp).then_with(|| one.id.cmp(&other.id))
}

/// The rank of each entry's key among all keys; 0 for an entry without one.
fn keys_of(recipe: &Recipe, entries: &[Entry<'_>]) -> Result<Vec<u32>> {
    let Some(column) = recipe.plan.key else { return Ok(vec![0; entries.len()]) };
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut keys = Vec::with_capacity(entries.len());
    let mut find = FindKey::new(recipe, column);
    for entry in entries {
        find.read(entry)?;
        keys.push(match (&find.found, numbers.get(find.found.as_str())) {
            (_, Some(number)) => *number,
            (key, None) => {
                let number = u32::try_from(numbers.len()).expect("a job has fewer rows than that");
                numbers.insert(key.clone(), number);
                number
            }
        });
    }
    let mut by_text: Vec<(String, u32)> = numbers.into_iter().collect();
    by_text.sort_unstable();
    let mut ranks = vec![0; by_text.len()];
    for (rank, (_, number)) in (0_u32..).zip(by_text) {
        ranks[number as usize] = rank;
    }
    Ok(keys.into_iter().map(|number| ranks[number as usize]).collect())
}

/// Finds the text of one column's cell.
struct FindKey<'a> {
    recipe: &'a Recipe,
    column: u32,
    guesses: Guesses,
    fields: Vec<fineo_schema::FieldType>,
    layout: Option<u32>,
    rank: Option<u32>,
    found: String,
}

impl<'a> FindKey<'a> {
    fn new(recipe: &'a Recipe, column: u32) -> Self {
        let found = String::new();
        Self { recipe, column, guesses: Guesses::default(), fields: Vec::new(), layout: None, rank: None, found }
    }

    fn read(&mut self, entry: &Entry<'_>) -> Result<()> {
        let recipe = self.recipe;
        let layout: &RecordLayout = recipe.layout(entry)?;
        if self.layout != Some(entry.layout) {
            self.fields = layout.fields().iter().map(|(_, field_type)| *field_type).collect();
            self.layout = Some(entry.layout);
        }
        self.guesses.begin();
        self.rank = None;
        self.found.clear();
        layout.read_values(entry.record, entry.id, self)?;
        Ok(())
    }

    fn is_better(&mut self, name: &str) -> bool {
        let name = self.guesses.find(&self.recipe.names, name);
        let target = name.and_then(|name| self.recipe.targets[name as usize]);
        let Some(target) = target.filter(|target| target.column == self.column) else { return false };
        let is_better = self.rank.is_none_or(|rank| target.rank < rank);
        if is_better {
            self.rank = Some(target.rank);
            self.found.clear();
        }
        is_better
    }
}

impl<'e> ValueVisitor<'e> for FindKey<'_> {
    fn undeclared(&mut self, name: &'e str, text: &'e str) {
        if self.is_better(name) {
            self.found.push_str(text);
        }
    }

    fn declared(&mut self, field: usize, name: &'e str, value: Option<RecordValue<'e>>, text: Option<&'e str>) {
        if self.is_better(name) {
            match text {
                Some(text) => self.found.push_str(text),
                None => print(value.as_ref(), self.fields[field], &mut self.found),
            }
        }
    }
}

#[cfg(test)]
mod tests;
