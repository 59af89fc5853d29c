//! Open tables: which columnar files a metric has, and which positions they cover.
//!
//! Each metric of a tenant has a Delta Lake table of Parquet files, partitioned by day. [`Tables`] opens a
//! [`Snapshot`] of one, commits a [`Change`] atomically with the positions that its files cover, and collects
//! files that no reader can need. What stands in a file is told by its [`FileLayout`].
//!
//! It knows no SQL engine and no policy of what to compact when.

mod cache;
mod column;
mod cover;
mod delta;
mod failure;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod layout;
mod objects;
mod snapshot;
mod sums;
mod tables;
mod text;

pub use column::{
    COLUMN_DAY, COLUMN_REST, COLUMN_TIMESTAMP, NAME_PREFIX, RESERVED_PREFIX, TEXT_PREFIX, TableColumn, column_name,
};
pub use file::{FileMeta, FileReader};
pub use layout::{ColumnLayout, FileLayout};
pub use objects::Objects;
pub use snapshot::{Change, Committed, DataFile, NewFile, Snapshot};
pub use sums::FileSums;
pub use tables::{Collected, Tables, TablesOptions};
