//! Names and types of a table's columns.

use std::sync::Arc;

use fineo_schema::FieldType;

use crate::delta::delta_type;

/// When the event happened: `Timestamp(µs, UTC)`, never null.
pub const COLUMN_TIMESTAMP: &str = "timestamp";
/// The UTC day of `timestamp`, by which the table is partitioned; it stands in the path, not in the files.
pub const COLUMN_DAY: &str = "day";
/// One JSON object of all cells that have no column of their own: stored name to text.
pub const COLUMN_REST: &str = "_fineo_rest";
/// What the names of our own columns begin with.
pub const RESERVED_PREFIX: &str = "_fineo_";
/// Followed by a column's name: the text of its cell where the value does not give it back.
pub const TEXT_PREFIX: &str = "_fineo_text_";
/// Followed by a column's name: the stored name of its cell.
pub const NAME_PREFIX: &str = "_fineo_name_";

/// A column as the table knows it. It never changes its type and is never removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableColumn {
    /// Its name.
    pub name: Arc<str>,
    /// What its values are.
    pub value_type: FieldType,
}

impl TableColumn {
    /// Whether values of `value_type` may stand in it: its type is Delta's, which has no `json`, so that texts and JSON are one.
    pub fn holds(&self, value_type: FieldType) -> bool {
        delta_type(self.value_type) == delta_type(value_type)
    }
}

/// The column that a name would have in a table: characters that other engines refuse become `_`. None when the
/// name may not have one, because it is ours.
///
/// Two names may want one column, also when they differ in case only: who gets it is the compaction's to say.
pub fn column_name(name: &str) -> Option<String> {
    let refused = |c: char| matches!(c, ' ' | ',' | ';' | '{' | '}' | '(' | ')' | '\n' | '\t' | '=');
    let column: String = name.chars().map(|c| if refused(c) { '_' } else { c }).collect();
    let lower = column.to_lowercase();
    let is_ours = lower.starts_with(RESERVED_PREFIX) || lower == COLUMN_TIMESTAMP || lower == COLUMN_DAY;
    (!column.is_empty() && !is_ours).then_some(column)
}

#[cfg(test)]
mod tests;
