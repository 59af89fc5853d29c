//! The rows of one day, or of a part of it, into one file: deduplicated, in order, deterministic.

use std::collections::{HashMap, HashSet};

use arrow_array::{Array, cast::AsArray};
use fineo_core::{Cover, EventId, Position, Result, ShardId};
use foldhash::fast::RandomState;

use crate::{
    build::{Chunk, Recipe, RowsBuilder},
    encode::{FileHead, Writing, encode, layout_of},
    entry::{COMMITTED, Entry, entries},
    rewrite::printed,
};

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

/// Makes the file of `parts`, which hold every entry of the day or of a part of it, and go before it is written.
///
/// # Errors
///
/// `Corrupt` when the entries are not what was written.
pub(crate) fn write_day(
    recipe: &Recipe,
    head: &FileHead,
    parts: Vec<Vec<u8>>,
    known: &Known,
    shards: &[ShardId],
    writing: Writing,
) -> Result<DayOutcome> {
    let mut all = Vec::new();
    for part in &parts {
        for entry in entries(part) {
            all.push(entry?);
        }
    }
    let (kept, duplicates) = deduplicate(all, known);
    if kept.is_empty() {
        return Ok(DayOutcome { file: None, duplicates });
    }
    let mut positions = Cover::default();
    let mut builder = RowsBuilder::new(recipe);
    for entry in &kept {
        if let Some(shard) = shards.get(usize::from(entry.shard)) {
            positions.advance(shard, entry.position);
        }
        builder.row(entry)?;
    }
    let rows = builder.finish();
    let order = order_of(&rows, recipe, &kept);
    let layout = layout_of(head, recipe, &builder, &rows);
    // All of it is in the rows.
    drop((builder, kept));
    drop(parts);
    let bytes = encode(&layout, recipe, &rows, &order, writing)?;
    let file = Encoded { bytes, rows: rows.rows as u64, positions };
    Ok(DayOutcome { file: Some(file), duplicates })
}

/// Keeps one entry of each event: the committed one, else the one with the first position. Of several shards, whose
/// positions cannot be compared, the first by id counts. What is kept stays in its order.
fn deduplicate<'a>(all: Vec<Entry<'a>>, known: &Known) -> (Vec<Entry<'a>>, u64) {
    let mut by_id: Vec<(u128, u32)> =
        (0_u32..).zip(&all).map(|(number, entry)| (number_of(entry.id), number)).collect();
    let precedence = |number: u32| {
        let entry = &all[number as usize];
        (entry.shard != COMMITTED, entry.shard, entry.position)
    };
    by_id.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| precedence(one.1).cmp(&precedence(other.1))));
    let mut is_kept = vec![true; all.len()];
    let mut duplicates = 0;
    let mut last: Option<&Entry<'_>> = None;
    for (_, number) in by_id {
        let entry = &all[number as usize];
        let is_same = last.is_some_and(|last| last.id == entry.id);
        // The same record from two segments that overlap is no duplicate, only read twice.
        let is_read_twice = last.is_some_and(|last| (last.shard, last.position) == (entry.shard, entry.position));
        let is_new = entry.shard != COMMITTED;
        let is_known =
            is_new && (known.committed.contains(&entry.id) || known.losers.contains(&(entry.shard, entry.position)));
        last = Some(entry);
        duplicates += u64::from((is_same || is_known) && !is_read_twice && is_new);
        is_kept[number as usize] = !is_same && !is_known;
    }
    let kept = all.iter().zip(is_kept).filter_map(|(entry, is_kept)| is_kept.then_some(*entry)).collect();
    (kept, duplicates)
}

fn number_of(id: EventId) -> u128 {
    u128::from_be_bytes(id.0)
}

/// The numbers of the rows in the order of the file: by key, then time, then id.
fn order_of(rows: &Chunk, recipe: &Recipe, entries: &[Entry<'_>]) -> Vec<u32> {
    let keys = keys_of(rows, recipe);
    let key = |number: u32| keys.get(number as usize).copied().unwrap_or(0);
    let mut order: Vec<(u32, u32, i64)> =
        (0_u32..).zip(entries).map(|(number, entry)| (key(number), number, entry.timestamp.micros())).collect();
    order.sort_unstable_by(|one, other| {
        let id = |number: u32| entries[number as usize].id;
        let by_time = (one.0, one.2).cmp(&(other.0, other.2));
        by_time.then_with(|| id(one.1).cmp(&id(other.1)))
    });
    order.into_iter().map(|(_, number, _)| number).collect()
}

/// The rank of each row's key among all keys, the first one for a row without one; nothing where there is no key.
fn keys_of(rows: &Chunk, recipe: &Recipe) -> Vec<u32> {
    let Some(column) = recipe.plan.key.map(|key| key as usize) else { return Vec::new() };
    let value_type = recipe.plan.columns[column].value_type;
    let mut numbers: HashMap<String, u32, RandomState> = HashMap::default();
    let mut of_rows = Vec::with_capacity(rows.rows);
    let mut number_of = |key: &str| match numbers.get(key) {
        Some(number) => *number,
        None => {
            let number = u32::try_from(numbers.len()).expect("a job has fewer rows than that");
            numbers.insert(key.to_owned(), number);
            number
        }
    };
    let column = &rows.columns[column];
    let texts = column.texts.as_ref().and_then(|texts| texts.as_string_opt::<i32>());
    let words = column.values.as_string_opt::<i32>();
    for row in 0..rows.rows {
        let number = match (texts.filter(|texts| texts.is_valid(row)), words) {
            (Some(texts), _) => number_of(texts.value(row)),
            (None, _) if column.values.is_null(row) => number_of(""),
            (None, Some(words)) => number_of(words.value(row)),
            (None, None) => number_of(&printed(&*column.values, value_type, row).unwrap_or_default()),
        };
        of_rows.push(number);
    }
    let mut by_text: Vec<(String, u32)> = numbers.into_iter().collect();
    by_text.sort_unstable();
    let mut ranks = vec![0; by_text.len()];
    for (rank, (_, number)) in (0_u32..).zip(by_text) {
        ranks[number as usize] = rank;
    }
    of_rows.into_iter().map(|number| ranks[number as usize]).collect()
}

#[cfg(test)]
mod tests;
