//! Compaction over in-memory stores, from events as they are sent to files as they are read.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod behind;
mod cold;
mod damaged;
mod expired;
mod files;
mod fresh;
mod interrupted;
mod late;
mod listed;
mod missing;
mod model;
mod news;
mod retired;
mod schema;
mod support;
mod together;
mod upkeep;
mod waiting;
