//! One answer wherever rows are: nearline, in files, in both, and while they move.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod damaged;
mod equal;
mod explain;
mod late;
mod merged;
mod moved;
mod moving;
mod simulated;
mod units;
mod world;
