//! One SQL table per metric, wherever its rows are.
//!
//! An [`Engine`] opens [`Session`]s; a session belongs to one tenant and answers its queries as a stream of
//! Arrow batches. A table exposes every name that a field ever had, types are applied as stored texts are
//! read, and a query reads only the stored names and the time range that it needs.

mod catalog;
mod column;
mod convert;
mod engine;
mod error;
mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gather;
mod instants;
mod limits;
mod parameter;
mod pins;
mod plan;
mod reader;
mod scan;
mod session;
mod sql;
mod stream;
mod table;
mod view;

/// The bounds of queries for a planner beside the engine, which reads tables of its own.
pub mod beside {
    pub use crate::plan::beside::{bounded, check_plan, check_statement};
}
pub use engine::{Engine, EngineParts};
pub use limits::QueryLimits;
pub use parameter::Parameter;
pub use session::{ColumnInfo, Description, Session, TableInfo};
pub use sql::{brackets::check_table_brackets, steps::ParserSteps, text::check_predicate};
pub use stream::QueryStream;

/// Why a query failed. Its context has a stable `code`, and where they are known a `hint` and a `position`.
pub type QueryError = fineo_core::Error;
