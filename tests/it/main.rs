//! Whole-system tests: programs against the facade, on every backend.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "aws")]
mod aws;
mod backup;
mod bad_inputs;
mod disk;
mod ideas;
mod into;
mod isolation;
mod kill;
mod late;
mod meanwhile;
mod merges;
mod promises;
mod restored;
mod roles;
mod support;
mod taps;
mod user_program;
