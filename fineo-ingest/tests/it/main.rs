//! Tests of the whole of ingest over the in-memory stores.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops where it fails, and its support is its own")]

mod batches;
mod cold;
mod damaged;
mod defect;
mod deleted;
mod desk;
mod directory;
mod earlier;
mod expired;
mod intake;
mod large;
mod late;
mod lock;
mod looks;
mod many;
mod missing;
mod moved;
mod others;
mod pipeline;
mod promises;
mod repaired;
mod shards;
mod support;
mod sweep;
mod takeover;
mod throttled;
