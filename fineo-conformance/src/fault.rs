//! Faults that are data: wrappers around the four contracts and object stores that fail as a [`FaultPlan`] says.
//!
//! Without a rule a wrapper is transparent. Every call of a contract passes a [`CrashPoints`] point before its
//! effect and one after it, so that a harness can stop a scenario at any of them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> fineo_core::Result<()> {
//! use std::sync::Arc;
//! use fineo_backend_memory::MemoryStream;
//! use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyStream, Operation, When};
//! use fineo_core::{Outcome, Stream};
//!
//! let plan = FaultPlan::new(7).with_rule(Operation::StreamSync, When::Nth(0), Fault::FailAfter);
//! let faults = Faults::new(plan);
//! let stream = FaultyStream::new(Arc::new(MemoryStream::new("ingest", 1)), &faults);
//! assert!(matches!(stream.sync().await, Outcome::Unknown(_)));
//! assert!(stream.sync().await.is_done());
//! # Ok(()) }
//! ```

mod archive;
mod cancel;
mod cold;
mod crash;
mod faults;
mod late;
mod nearline;
mod objects;
mod plan;
mod repo;
mod stream;

pub use archive::FaultyArchive;
pub use cancel::CancelAt;
pub use cold::{ColdArchive, Freezer};
pub use crash::{CrashPoints, Interruption};
pub use faults::Faults;
pub use late::LateArchive;
pub use nearline::FaultyNearline;
pub use objects::FaultyObjects;
pub use plan::{Fault, FaultPlan, Operation, Rule, When};
pub use repo::FaultyRepo;
pub use stream::FaultyStream;

#[cfg(test)]
mod tests;
