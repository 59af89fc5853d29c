//! One committed state of a table, and a change to it.

use std::{collections::HashMap, sync::Arc};

use fineo_core::{Cover, MetricId, Result, TenantId, Timestamp};

use crate::{FileSums, TableColumn, text};

/// One committed state of a table: its files and the positions that they cover. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Whose table it is.
    pub tenant: TenantId,
    /// Of which metric.
    pub metric: MetricId,
    /// The version of the Delta table; none when there is no table yet.
    pub version: Option<u64>,
    /// The positions that the files answer for: rows up to them are here, if they are anywhere.
    pub cover: Cover,
    /// The live files, in order of day and path.
    pub files: Vec<DataFile>,
    /// Which replay of the archive the files were made by; a swap of generations replaces all files.
    pub generation: u64,
    /// The columns that the table has, the day aside, in the order in which they came.
    ///
    /// Types are those of the Delta table, which has no `json`: such a column is of `string`.
    pub columns: Vec<TableColumn>,
    /// Columns of types that Fineo does not have: another program added them. Their names are taken.
    pub foreign_columns: Vec<Arc<str>>,
    /// How often garbage was collected: part of the names of new files, so that none is used again.
    pub boundary: u64,
    /// The chance that tells this commit from every other, of 32 hexadecimal digits; empty without a table.
    pub nonce: Arc<str>,
    pub(crate) inner: Inner,
}

/// What only a commit needs to know of the state before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inner {
    /// The number of the cover document.
    pub(crate) number: i64,
    /// What the cover document says about the set of files.
    pub(crate) digest: u128,
    /// The metadata action, as JSON.
    pub(crate) metadata: Arc<str>,
    /// What the table asks of a writer.
    pub(crate) writer_version: i64,
}

/// A live file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Its path, relative to the table.
    pub path: Arc<str>,
    /// The UTC day of all its rows, counted from 1970-01-01.
    pub day: i32,
    /// Its size.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// The first instant of a row.
    pub first: Timestamp,
    /// The last instant of a row.
    pub last: Timestamp,
    /// Per shard, the highest position of a row.
    pub positions: Cover,
    /// Whether it is one of several into which rows were cut that are too many for one file.
    pub is_part: bool,
}

/// A Parquet file with a [`crate::FileLayout`] that was written to its place and is durable there, to be made a
/// part of the table.
///
/// Rows, times, columns and statistics are read from its footer by the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Its path, relative to the table, by [`Snapshot::new_path`] of the commit's base.
    pub path: Arc<str>,
    /// Per shard, the highest position of a row.
    pub positions: Cover,
    /// Whether it is one of several into which rows were cut that are too many for one file.
    pub is_part: bool,
    /// The checksums of its bytes, as its writer made them.
    pub sums: FileSums,
}

/// What a commit does to a table.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Files that become live.
    pub add: Vec<NewFile>,
    /// Paths of live files that are no longer.
    pub remove: Vec<Arc<str>>,
    /// The whole cover from now on. It includes the former one, unless there is a new generation.
    pub cover: Cover,
    /// The generation from now on; none leaves it as it is.
    pub generation: Option<u64>,
}

/// What a commit found. Losing a race is an answer, not an error.
#[derive(Debug, Clone)]
pub enum Committed {
    /// The change was made; this is the state after it.
    Done(Arc<Snapshot>),
    /// Nothing was changed: somebody else committed since the base was read. This is the state to think about.
    Conflict(Arc<Snapshot>),
}

impl Snapshot {
    /// The state before the first commit.
    pub fn empty(tenant: &TenantId, metric: &MetricId) -> Self {
        Self {
            tenant: tenant.clone(),
            metric: metric.clone(),
            version: None,
            cover: Cover::default(),
            files: Vec::new(),
            generation: 0,
            columns: Vec::new(),
            foreign_columns: Vec::new(),
            boundary: 0,
            nonce: "".into(),
            inner: Inner::default(),
        }
    }

    /// The path of a file to be written for a commit on this state: `day=2026-11-22/part-<hash>-<boundary>.parquet`.
    /// `hash` is that of the input set, of lower-case hexadecimal digits.
    ///
    /// A name that was made before garbage was collected is refused by the commit ([`Committed::Conflict`]), because
    /// the file may be gone.
    ///
    /// # Errors
    ///
    /// `Invalid` when the day is out of range.
    pub fn new_path(&self, day: i32, hash: &str) -> Result<Arc<str>> {
        Ok(format!("day={}/part-{hash}-{}.parquet", text::day_text(day)?, self.boundary).into())
    }

    /// The bytes that this value takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let files = self.files.len() * (size_of::<DataFile>() + 300);
        files + self.columns.len() * 100 + 2 * self.inner.metadata.len() + 500
    }

    /// The live files by their paths.
    pub fn files_by_path(&self) -> HashMap<&str, &DataFile> {
        self.files.iter().map(|file| (&*file.path, file)).collect()
    }

    /// How many rows all files have.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// How many bytes all files have.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
