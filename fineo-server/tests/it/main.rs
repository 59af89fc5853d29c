//! The doors, from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod desk;
mod flight;
mod pg;
mod wire;
