//! The vocabulary of Fineo and its four contracts.
//!
//! A Fineo pipeline is built from four parts that a deployment chooses: a [`Stream`] of entries, an
//! [`Archive`] of segments, a [`NearlineStore`] of rows and a [`SchemaRepo`] of versions. This crate says
//! what each of them promises, in numbered guarantees that the conformance suite runs against every
//! backend, and holds the words that they share: tenants, positions, times, errors, outcomes.
//!
//! It knows no backend, no SQL and no JSON.
//!
//! ```
//! use fineo_core::{Cover, Position, ShardId};
//!
//! let shard = ShardId::new("s0")?;
//! let mut cover = Cover::default();
//! cover.advance(&shard, Position::from(20));
//! assert!(cover.contains(&shard, Position::from(20)));
//! assert!(!cover.contains(&shard, Position::from(21)));
//! # Ok::<(), fineo_core::Error>(())
//! ```

pub mod archive;
pub mod nearline;
pub mod repo;
pub mod stream;

mod capability;
mod clock;
mod error;
mod freshness;
mod id;
mod outcome;
mod position;
mod rejection;
mod stores;
mod tenant;
mod time;

pub use archive::Archive;
pub use capability::Durability;
pub use clock::{Clock, Entropy, ManualClock, SeededEntropy, SystemClock, SystemEntropy};
pub use error::{Error, ErrorKind, Result, on_one_line};
pub use freshness::FreshnessToken;
pub use id::{ContentHash, EventId, MetricId};
pub use nearline::NearlineStore;
pub use outcome::Outcome;
pub use position::{Cover, Position, ShardId};
pub use rejection::{Code, Rejection};
pub use repo::SchemaRepo;
pub use stores::Stores;
pub use stream::Stream;
pub use tenant::TenantId;
pub use time::{TimeRange, Timestamp};
