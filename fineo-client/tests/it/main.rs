//! The client against a server that misbehaves as it is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod rig;
mod send;
mod server;
mod tries;
