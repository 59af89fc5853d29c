//! The four contracts, executable: cases for every backend, models, fault wrappers and crash sweeps.
//!
//! Each numbered guarantee of [`fineo_core::Stream`], [`fineo_core::Archive`], [`fineo_core::NearlineStore`]
//! and [`fineo_core::SchemaRepo`] has at least one [`Case`] here. A backend says how its storage is opened
//! ([`Backend`], [`Place`]) and runs them all from a test without harness:
//!
//! ```no_run
//! # struct MyBackend;
//! # #[async_trait::async_trait]
//! # impl fineo_conformance::Backend for MyBackend {
//! #     fn name(&self) -> String { "mine".into() }
//! #     async fn fresh(&self) -> fineo_core::Result<Box<dyn fineo_conformance::Place>> { unreachable!() }
//! # }
//! // tests/it/main.rs, with `harness = false`
//! fn main() -> std::process::ExitCode {
//!     fineo_conformance::main(std::env::args(), vec![Box::new(MyBackend)])
//! }
//! ```
//!
//! A case that a backend cannot be asked, because a capability is missing, is reported as ignored with the
//! reason, never as passed. [`fault`] wraps a contract in faults that are data; [`sweep()`] stops a scenario at
//! each of its await points in turn; `pipeline` (a feature) is the scenario of both stages on the backend's stores.

pub mod fault;
#[cfg(feature = "pipeline")]
pub mod pipeline;

mod backend;
mod case;
mod cases;
mod feed;
mod model;
mod parity;
mod rows;
mod run;
mod support;
mod sweep;

pub use backend::{Backend, Place, Restart, Wrapped};
pub use case::{Case, Contract, Run, Verdict};
pub use cases::{all, archive, nearline, repo, stream};
pub use feed::{Target, feed};
pub use parity::{parity_list, parity_table};
pub use run::{main, trials};
pub use sweep::{Part, Sweep, sweep, sweep_cancel, sweep_part};
