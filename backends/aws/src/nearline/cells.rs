//! Rows as items: what every row has under names of ours, cells under the names as sent.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use fineo_core::{
    ContentHash, EventId, Position, Result, Timestamp,
    nearline::{Predicate, Row, RowHead, Rows},
};

use super::{key, value};
use crate::dynamo::{Item, binary, bytes_of, number, number_of, text, text_of};

pub(super) const ALIAS: &str = "_fineo_alias";
pub(super) const INGESTED_AT: &str = "_fineo_ingested_at";
pub(super) const SHARD: &str = "_fineo_shard";
pub(super) const POSITION: &str = "_fineo_position";
pub(super) const CONTENT: &str = "_fineo_content";
/// Which parts hold the cells that did not fit.
pub(super) const PARTS: &str = "_fineo_parts";
/// How many parts there are.
pub(super) const PARTS_COUNT: &str = "_fineo_parts_count";

const OURS: &str = "_fineo";
const ESCAPED: &str = "_fineo=";

/// The attribute of a stored name: the name itself, unless it is empty or looks like one of ours.
pub(super) fn attribute(name: &str) -> Cow<'_, str> {
    if name.is_empty() || name.starts_with(OURS) { Cow::Owned(format!("{ESCAPED}{name}")) } else { Cow::Borrowed(name) }
}

/// The item of a row without its cells.
pub(super) fn row_item(rows: &Rows, row: &Row<'_>, partition: String) -> Item {
    let head = row.head();
    let mut item = key::item(partition, key::row_name(head.timestamp, head.id));
    item.insert(ALIAS.to_owned(), text(row.alias()));
    item.insert(INGESTED_AT.to_owned(), number(head.ingested_at.micros()));
    item.insert(SHARD.to_owned(), text(rows.shard().as_str()));
    item.insert(POSITION.to_owned(), binary(head.position.to_bytes()));
    item.insert(CONTENT.to_owned(), binary(head.content.0));
    item
}

/// The guard item of a row.
pub(super) fn guard_item(mut key: Item, rows: &Rows, head: &RowHead) -> Item {
    key.insert(SHARD.to_owned(), text(rows.shard().as_str()));
    key.insert(POSITION.to_owned(), binary(head.position.to_bytes()));
    key.insert(CONTENT.to_owned(), binary(head.content.0));
    key
}

/// A row as a scan answers it.
#[derive(Debug)]
pub(super) struct FoundRow {
    pub(super) head: RowHead,
    pub(super) alias: String,
    pub(super) shard: String,
    cells: Cells,
}

#[derive(Debug)]
enum Cells {
    /// As attributes.
    Inline(Item),
    /// Some of them in parts.
    Both(Item, HashMap<String, String>),
}

impl FoundRow {
    /// A row from its item. Only what the projection asked for need be there.
    pub(super) fn read(item: Item, moved: Option<HashMap<String, String>>) -> Result<Self> {
        let (timestamp, id) = key::parse_row_name(text_of(&item, key::SORT)?)?;
        let ingested_at = if item.contains_key(INGESTED_AT) { number_of(&item, INGESTED_AT)? } else { 0 };
        let position = if item.contains_key(POSITION) { bytes_of(&item, POSITION)? } else { Position::ZERO.to_bytes() };
        let content = if item.contains_key(CONTENT) { bytes_of(&item, CONTENT)? } else { [0; 16] };
        let shown = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        let head = RowHead {
            timestamp,
            id: EventId(id.0),
            content: ContentHash(content),
            position: Position::from_bytes(position),
            ingested_at: Timestamp::saturating_from_micros(ingested_at),
        };
        let (alias, shard) = (shown(ALIAS), shown(SHARD));
        let cells = match moved {
            None => Cells::Inline(item),
            Some(moved) => Cells::Both(item, moved),
        };
        Ok(Self { head, alias, shard, cells })
    }

    /// The text under a stored name.
    pub(super) fn cell(&self, name: &str) -> Option<&str> {
        match &self.cells {
            Cells::Inline(item) => found(item, name),
            Cells::Both(item, moved) => moved.get(name).map(String::as_str).or_else(|| found(item, name)),
        }
    }

    /// Whether the row satisfies `predicate`.
    pub(super) fn satisfies(&self, predicate: &Predicate) -> bool {
        let is_present = |name: &Arc<str>| self.cell(name).is_some();
        match predicate {
            Predicate::AnyPresent { names } => names.iter().any(is_present),
            Predicate::AnyText { names, texts } => {
                let is_wanted = |text: &str| texts.iter().any(|wanted| **wanted == *text);
                names.iter().any(|name| self.cell(name).is_some_and(is_wanted))
            }
        }
    }
}

fn found<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(&*attribute(name)).and_then(value::cell_of)
}
