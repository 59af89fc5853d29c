//! Where the rows of a new segment come from: memtables and older segments look the same to the writer.

use std::{borrow::Cow, sync::Arc};

use fineo_core::{EventId, Result};

use super::{
    heads::{Contents, Positions},
    memtable::MemRows,
    text::TextColumn,
};

/// A column of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which<'a> {
    /// The metric's name as sent.
    Alias,
    /// The shard of the position.
    Shard,
    /// The cells of a stored name.
    Name(&'a str),
}

/// The cells of a column.
#[derive(Debug, Default)]
pub(super) struct Cells<'a> {
    /// The texts, one behind the other.
    pub(super) text: Cow<'a, str>,
    /// Where each of them ends.
    pub(super) ends: Cow<'a, [u32]>,
    /// The row of each cell.
    pub(super) rows: Cow<'a, [u32]>,
    /// The number of each cell's text.
    pub(super) codes: Cow<'a, [u32]>,
}

impl Cells<'_> {
    /// The text of `code`; none when there is no such text.
    pub(super) fn text(&self, code: u32) -> Option<&str> {
        let code = code as usize;
        let start = if code == 0 { 0 } else { *self.ends.get(code - 1)? };
        self.text.get(start as usize..*self.ends.get(code)? as usize)
    }
}

/// Rows, column by column.
pub(super) trait RowSource {
    /// When the events happened.
    fn timestamps(&self) -> Result<Vec<i64>>;
    /// When they arrived.
    fn ingested(&self) -> Result<Vec<i64>>;
    /// Which events they are.
    fn ids(&self) -> Result<Vec<EventId>>;
    /// What they said.
    fn contents(&self) -> Result<Contents>;
    /// Where their records stand.
    fn positions(&self) -> Result<Positions>;
    /// The stored names that have cells.
    fn names(&self) -> Result<Vec<Arc<str>>>;
    /// The cells of a column; none when it has none.
    fn cells(&self, which: Which<'_>) -> Result<Option<Cells<'_>>>;
}

impl RowSource for MemRows {
    fn timestamps(&self) -> Result<Vec<i64>> {
        Ok(self.timestamps.clone())
    }

    fn ingested(&self) -> Result<Vec<i64>> {
        Ok(self.ingested.clone())
    }

    fn ids(&self) -> Result<Vec<EventId>> {
        Ok(self.ids.clone())
    }

    fn contents(&self) -> Result<Contents> {
        Ok(self.contents.clone())
    }

    fn positions(&self) -> Result<Positions> {
        Ok(self.positions.clone())
    }

    fn names(&self) -> Result<Vec<Arc<str>>> {
        Ok(self.columns.iter().map(|(name, _)| Arc::clone(name)).collect())
    }

    fn cells(&self, which: Which<'_>) -> Result<Option<Cells<'_>>> {
        let column = match which {
            Which::Alias => Some(&self.aliases),
            Which::Shard => Some(&self.shards),
            Which::Name(name) => self.column(name),
        };
        Ok(column.map(cells_of))
    }
}

fn cells_of(column: &TextColumn) -> Cells<'_> {
    let (text, ends) = column.texts.parts();
    Cells { text: text.into(), ends: ends.into(), rows: (&column.rows).into(), codes: (&column.codes).into() }
}
