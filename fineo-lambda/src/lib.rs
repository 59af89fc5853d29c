//! Fineo's stages and the import of files as AWS Lambda functions: one small binary each.
//!
//! | binary | invoked by | does |
//! |---|---|---|
//! | `fineo-lambda-raw` | a mapping of the raw stream | events → records in the staged stream, archive, errors |
//! | `fineo-lambda-staged` | a mapping of the staged stream | records → rows, archive, errors |
//! | `fineo-lambda-import` | S3 events, also through SNS and SQS | objects → events in the raw stream, a manifest of each |
//! | `fineo-lambda-compact` | a schedule | staged archive → columnar tables |
//!
//! The functions hold no logic of the stages: they are ways into [`fineo_ingest::BatchDriver`], [`fineo_ingest::Edge`] and
//! [`fineo_compact::Compactor`], which work under the same leases and checkpoints as every worker.
//!
//! # What happens when
//!
//! * **Part of a batch fails** because of us (a store is away, throttles, times out): what stands before it is archived and
//!   checkpointed, and the answer names the first record that is not. Only that and what follows comes again. A tenant's
//!   bad event is no failure: it has its row in `errors.stream` and the batch goes on.
//! * **The same batch comes again**, whole or in halves: what lies at or before the shard's checkpoint is left out. What is
//!   passed on again because the first call died before its checkpoint has the same ids and positions, so rows, records and
//!   segments are the same ones.
//! * **The time runs out** in the middle: a call stops to pass on after three quarters of its time, and archives and
//!   checkpoints what is whole by then. Killed all the same, it has moved no checkpoint, and the batch comes again.
//! * **Two calls have one shard** at the same time (the service believes that the first one is dead): the later one takes
//!   the lease over, and the earlier one can move the checkpoint no more. Segments are created, never overwritten; two that
//!   overlap are read as one.
//! * **A worker has the shard**: the call fails until the worker's lease runs out.
//! * **An event of S3 comes again**: the manifest of that upload is there, so nothing is read. If the first call died
//!   before it could write one, the object is taken in again with the same arrival ids, which makes no second row.
//!
//! A mapping owes every record of a shard, in order: `StartingPosition: TRIM_HORIZON`, `ParallelizationFactor: 1`, no
//! filters, `ReportBatchItemFailures`, no end to the attempts. `deploy/aws/template.yaml` has it so.

mod compact;
mod events;
mod import;
mod manifest;
pub mod metrics;
mod object;
mod serve;
mod settings;
mod stage;

use std::time::Duration;

use fineo_backend_aws::Aws;
use fineo_core::{Clock, Durability, Error, Result};
use fineo_table::Objects;

pub use compact::CompactFunction;
pub use events::{Notice, Uploads, uploads};
pub use import::{Buckets, ImportFunction};
pub use manifest::{Manifest, Verdict};
pub use object::Upload;
pub use serve::serve_stage;
pub use settings::{Inbox, Settings};
pub use stage::StageFunction;

/// How much time a call has left that must answer at `deadline`, in milliseconds since 1970.
pub fn time_left(deadline: u64, clock: &dyn Clock) -> Duration {
    let now = u64::try_from(clock.now().micros() / 1000).unwrap_or(0);
    Duration::from_millis(deadline.saturating_sub(now))
}

/// Where the columnar tables of `aws` are.
///
/// # Errors
///
/// `Internal` when the bucket has no URL, which does not happen.
pub fn tables_of(aws: &Aws) -> Result<Objects> {
    let (store, url) = aws.bucket().tables();
    let url = url.parse().map_err(|source| Error::internal("no URL").with_source(source))?;
    Ok(Objects { store, url, durability: Durability::ZoneLoss })
}

/// Sends what the program tells to its log; `FINEO_LOG` says how much.
pub fn init_log() {
    let filter = std::env::var("FINEO_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = tracing_subscriber::EnvFilter::new(filter);
    // Another log that is there already is as good.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).without_time().try_init();
}
