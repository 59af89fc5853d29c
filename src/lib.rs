#![doc = include_str!("../README.md")]

mod backup;
mod builder;
mod compaction;
mod condition;
mod freshness;
mod instance;
mod schema_handle;
mod status;
mod table_status;

pub use fineo_compact as compact;
pub use fineo_core as core;
pub use fineo_ingest as ingest;
pub use fineo_query as query;
pub use fineo_schema as schema;
pub use fineo_table as table;

pub use backup::BackupReport;
pub use builder::{Builder, Parts};
pub use fineo_compact::{CompactOptions, CompactReport, Compactor};
pub use fineo_core::{
    Archive, Clock, Cover, Durability, Entropy, Error, ErrorKind, FreshnessToken, NearlineStore, Result, SchemaRepo,
    Stream, TenantId, Timestamp,
    archive::{Restore, RestoreTier, Stage},
};
pub use fineo_ingest::{
    ColdSegments, ImportFormat, ImportOptions, ImportReport, ImportSource, Receipt, ReplayMode, ReplayReport,
    ReplayRequest, RestoreProgress, Routing, SentReport, Speed,
};
pub use fineo_query::{Parameter, QueryLimits, QueryStream, Session};
pub use fineo_table::Objects;
pub use freshness::DataAsOf;
pub use instance::Fineo;
pub use schema_handle::SchemaHandle;
pub use status::{Capabilities, StageStatus, Status, StoreCapabilities, TenantStatus};
pub use table_status::TableStatus;

#[cfg(feature = "client")]
#[doc = include_str!("../docs/rust.md")]
pub mod client {
    pub use fineo_client::{Client, ClientOptions, EventOutcome, EventStatus, Query, SendError, Sent};
}
#[cfg(feature = "client")]
pub use fineo_client::event::{self, FineoEvent};
#[cfg(feature = "derive")]
pub use fineo_derive::FineoEvent;

/// The in-memory backend: the reference and the test double.
#[cfg(feature = "memory")]
pub use fineo_backend_memory as memory;

/// The embedded backend: one directory, durable.
#[cfg(feature = "local")]
pub use fineo_backend_local as local;

/// The backend on AWS: Kinesis, DynamoDB and S3.
#[cfg(feature = "aws")]
pub use fineo_backend_aws as aws;
