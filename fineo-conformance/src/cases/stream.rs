//! The cases of the stream contract.

pub(super) mod append;
pub(super) mod durable;
pub(super) mod read;
