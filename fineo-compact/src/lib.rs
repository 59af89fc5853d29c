//! The batch half of Fineo: what stage staged archived becomes deduplicated columnar files, one table per metric.
//!
//! A [`Compactor`] reads a tenant's archived records behind what the tables cover, groups them by metric and UTC
//! day, drops what is there already, and writes Parquet files: declared fields typed, frequent undeclared names in
//! columns of their own, everything else in one compact column. Files and the positions that they cover are
//! committed together. Later, when no query needs them any more, the rows leave the nearline store.

mod behind;
mod build;
mod column;
mod compactor;
mod days;
mod encode;
mod entry;
mod expire;
mod filed;
mod files;
mod former;
mod intake;
mod job;
mod known;
mod listed;
mod metric;
mod names;
mod options;
mod plan;
mod print;
mod profile;
mod progress;
mod report;
mod rewrite;
mod slices;
mod spill;
mod tenant;
#[cfg(test)]
mod testing;
mod text_class;
mod threads;
mod tiers;
mod undelivered;
mod untold;
mod upkeep;
mod waiting;

pub use compactor::{Compactor, CompactorParts};
pub use filed::FiledRows;
pub use options::{CompactOptions, Fresh, Rewrite, Selection};
pub use progress::in_files;
pub use report::{CompactReport, FailedTenant, MetricReport, NameConflict, NewName, Notifier, TenantReport};
