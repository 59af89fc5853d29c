//! Tables that Fineo itself brings: errors, conflicts, discovered names, and the list of tables and columns.

mod conflicts;
mod discovered;
mod errors;
mod information;
mod ruled_out;

use std::sync::Arc;

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    catalog::TableProvider,
    datasource::MemTable,
};

use crate::{catalog::Sources, table::RowTable};

/// A table that is no metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// `errors.stream`: one row per rejected or failed event.
    Errors,
    /// `fineo_conflicts`: values that do not fit their field's type.
    Conflicts,
    /// `fineo_discovered`: names that were sent and never declared.
    Discovered,
    /// `information_schema.tables`.
    Tables,
    /// `information_schema.columns`.
    Columns,
    /// `information_schema.schemata`.
    Schemata,
}

impl View {
    /// Its name within its schema.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Errors => "stream",
            Self::Conflicts => "fineo_conflicts",
            Self::Discovered => "fineo_discovered",
            Self::Tables => "tables",
            Self::Columns => "columns",
            Self::Schemata => "schemata",
        }
    }
}

/// The rows of the nearline store that `view` is, where it is nothing else.
pub(crate) fn rows(view: View, sources: &Sources) -> Option<RowTable> {
    match view {
        View::Errors => errors::rows(sources),
        View::Conflicts | View::Discovered | View::Tables | View::Columns | View::Schemata => None,
    }
}

/// The table that answers for `view`.
pub(crate) fn provider(view: View, sources: &Sources) -> Arc<dyn TableProvider> {
    match view {
        View::Errors => errors::table(sources),
        View::Conflicts => conflicts::table(sources),
        View::Discovered => discovered::table(sources),
        View::Tables => information::tables(sources),
        View::Columns => information::columns(sources),
        View::Schemata => information::schemata(),
    }
}

/// The columns of `errors.stream`, in order.
pub(crate) use errors::columns as error_columns;

/// A table of rows that are there already.
fn of_rows(schema: SchemaRef, rows: RecordBatch) -> Arc<dyn TableProvider> {
    let table = MemTable::try_new(schema, vec![vec![rows]]).expect("the rows were made for this schema");
    Arc::new(table)
}
