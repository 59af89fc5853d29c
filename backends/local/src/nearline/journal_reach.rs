//! From where on the journal may hold rows of a table: what is written again should the journal be damaged.

use std::{collections::BTreeMap, ops::Range};

use fineo_core::{Error, Position, Result};

use super::memtable::MemRows;

/// By shard, a position that no row of a table in the journal lies before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct JournalReach(BTreeMap<String, Position>);

impl JournalReach {
    /// Reaches to the rows of `rows` that `range` names, too; answers whether that is news.
    pub(super) fn extend(&mut self, rows: &MemRows, range: Range<usize>) -> bool {
        let texts = &rows.shards.texts;
        let mut firsts: Vec<Option<Position>> = vec![None; texts.len()];
        for (code, position) in rows.shards.codes[range.clone()].iter().zip(rows.positions.range(range)) {
            let first = &mut firsts[*code as usize];
            *first = Some(first.map_or(position, |first| first.min(position)));
        }
        let mut is_news = false;
        for (code, first) in (0..).zip(firsts) {
            let Some(first) = first else { continue };
            let shard = texts.text(code);
            if self.0.get(shard).is_none_or(|known| first < *known) {
                self.0.insert(shard.to_owned(), first);
                is_news = true;
            }
        }
        is_news
    }

    /// The shards, each with its position.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Position)> {
        self.0.iter().map(|(shard, position)| (shard.as_str(), *position))
    }

    /// The bytes to store.
    pub(super) fn encode(&self) -> Vec<u8> {
        let texts: BTreeMap<&str, String> = self.iter().map(|(shard, first)| (shard, first.to_string())).collect();
        serde_json::to_vec(&texts).expect("texts make JSON")
    }

    /// Reads what [`JournalReach::encode`] wrote.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it is something else.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = |source| Error::corrupt("a reach of the journal is damaged").with_source(source);
        let texts: BTreeMap<String, String> = serde_json::from_slice(bytes).map_err(damaged)?;
        texts.into_iter().map(|(shard, first)| Ok((shard, first.parse()?))).collect::<Result<_>>().map(Self)
    }
}
