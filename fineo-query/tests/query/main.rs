//! Whole queries over the memory backend.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_inputs;
mod describe;
mod desk;
mod elsewhere;
mod explain;
mod isolation;
mod kept;
mod latest;
mod names;
mod roles;
mod stopping;
mod values;
mod views;
