//! The functions over in-memory stores, called with events as AWS sends them.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops where it fails, and its support is its own")]

mod import;
mod stage;
mod support;
mod template;
