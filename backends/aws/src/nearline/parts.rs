//! Rows beyond the size of an item: their largest cells stand in parts of their own.
//!
//! The parts are written first, under a name that nothing else has; the row's item names them. A row that is not
//! stored in the end leaves no parts that anybody reads.

use std::collections::HashMap;

use fineo_core::{Error, Result, nearline::Row};

use super::{DynamoNearline, cells, key, value};
use crate::dynamo::{Item, Query, binary, binary_of, item_bytes, number, number_of, text, text_of};

/// The largest item that is written as it is: AWS takes 400 KB, and counts as we do but for a few bytes.
const ITEM_BYTES_MAX: usize = 380 << 10;
/// What a row's item has once its largest cells are moved.
const KEPT_BYTES_MAX: usize = 256 << 10;
const PART_BYTES: usize = 350 << 10;
const DATA: &str = "_fineo_data";

/// A row's item and the parts that belong to it.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) item: Item,
    pub(super) parts: Vec<Item>,
}

/// Adds the cells of `row` to its `item`, as far as they fit; `partition` names the parts of the others.
pub(super) fn split(mut item: Item, row: &Row<'_>, partition: impl FnOnce() -> String) -> Split {
    let mut moved = Vec::new();
    // A number may take two bytes more than its digits.
    let size = |(name, text): &(&str, &str)| cells::attribute(name).len() + text.len().max(3);
    let mut all: Vec<(&str, &str)> = row.cells().collect();
    let mut bytes = item_bytes(&item) + all.iter().map(size).sum::<usize>();
    if bytes > ITEM_BYTES_MAX {
        all.sort_by_key(size);
        while bytes > KEPT_BYTES_MAX
            && let Some(largest) = all.pop()
        {
            bytes -= size(&largest);
            moved.push(largest);
        }
    }
    for (name, text) in all {
        item.insert(cells::attribute(name).into_owned(), value::attribute_of(text));
    }
    if moved.is_empty() {
        return Split { item, parts: Vec::new() };
    }
    let partition = partition();
    let data = serde_json::to_vec(&moved).expect("texts are plain data");
    let parts: Vec<Item> = (0..)
        .zip(data.chunks(PART_BYTES))
        .map(|(index, part)| {
            let mut item = part_key(&partition, index);
            item.insert(DATA.to_owned(), binary(part));
            item
        })
        .collect();
    item.insert(cells::PARTS.to_owned(), text(partition));
    item.insert(cells::PARTS_COUNT.to_owned(), number(parts.len()));
    Split { item, parts }
}

fn part_key(partition: &str, index: u32) -> Item {
    key::item(partition, format!("{index:06}"))
}

impl DynamoNearline {
    /// The cells that were moved out of a row's item; none when it has them all.
    pub(super) async fn moved(&self, item: &Item) -> Result<Option<HashMap<String, String>>> {
        if !item.contains_key(cells::PARTS) {
            return Ok(None);
        }
        let count: usize = number_of(item, cells::PARTS_COUNT)?;
        let mut query = Query { condition: "#pk = :pk".to_owned(), ..Query::default() };
        query.names.insert("#pk".to_owned(), key::PARTITION.to_owned());
        query.values.insert(":pk".to_owned(), text(text_of(item, cells::PARTS)?));
        let parts = self.table.all(&query, count).await?;
        let mut data = Vec::new();
        for part in &parts {
            data.extend_from_slice(binary_of(part, DATA)?);
        }
        let cells: Vec<(String, String)> = serde_json::from_slice(&data)
            .map_err(|source| Error::corrupt("the parts of a row are not as they were written").with_source(source))?;
        Ok(Some(cells.into_iter().collect()))
    }

    /// Deletes parts that no row names. What is left costs room and nothing else.
    pub(super) async fn discard(&self, item: &Item) {
        let (Ok(partition), Ok(count)) = (text_of(item, cells::PARTS), number_of(item, cells::PARTS_COUNT)) else {
            return;
        };
        let keys = (0..count).map(|index| part_key(partition, index)).collect();
        if let Err(error) = self.table.delete_all(keys).await {
            tracing::debug!(%error, partition, "parts of a row are left");
        }
    }
}
