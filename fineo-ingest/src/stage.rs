//! The two stages: pure functions from deliveries to what goes on and what does not.

pub(crate) mod identity;
pub(crate) mod payload;
pub(crate) mod raw;
pub(crate) mod staged;
pub(crate) mod uses;
