//! Edge, the two stages, drivers, archives, errors and replay.
//!
//! An event's way: the [`Edge`] frames it and stores it with its arrival; stage raw makes it a record under the
//! tenant's schema; stage staged makes that a row. A [`Pipeline`] runs both stages. What goes no further has a row
//! among the tenant's errors.

mod archive;
mod counters;
mod cover;
mod decode;
mod driver;
mod edge;
mod envelope;
mod errors;
mod filed;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod limits;
mod mend;
mod object;
mod pieces;
mod pipeline;
mod replay;
mod retry;
mod scan;
mod stage;
mod tap;

pub use archive::{ArchivedRecord, Chain, Expired, Listing, Missing, Noted, SegmentReader, StagedBlock, StagedRecord};
pub use counters::{Counters, TenantCounts};
pub use decode::Decoder;
pub use driver::batch::{BatchDriver, BatchReport};
pub use driver::checkpoint::{archived, archived_by};
pub use driver::lease::{Claim, Claimed, Lease};
pub use driver::parts::{PipelineOptions, PipelineParts};
pub use edge::{Edge, EventResult, ImportFormat, ImportOptions, ImportReport, ImportSource, Intake, Receipt, Routing};
pub use envelope::Format;
pub use errors::{ErrorClass, repairs};
pub use filed::{FiledEvents, NoFiles};
pub use limits::Limits;
pub use object::Object;
pub use pieces::Pieces;
pub use pipeline::{Pipeline, PipelineStatus, ShardStatus};
pub use replay::{ColdSegments, ReplayMode, ReplayReport, ReplayRequest, RestoreProgress, SentReport, Speed};
pub use tap::Tap;
