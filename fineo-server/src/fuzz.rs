//! What strangers and clients can send to the doors, fed to what reads it and to the doors themselves: by tests, and by
//! `scripts/fuzz-doors` for as long as it is told.

mod calls;
mod doors;
mod said;

use fineo_conformance::Target;

use crate::{flight, http, pg};

/// The readers of all doors, and the doors. The name of each begins with its door's.
pub fn targets() -> Vec<Target> {
    [pg::fuzz::TARGETS, http::fuzz::TARGETS, flight::fuzz::TARGETS, doors::TARGETS].concat()
}

/// What each of them may begin with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target.split_once('_') {
        Some((door, "door")) => said::seeds(door),
        Some(("pg", _)) => pg::fuzz::seeds(target),
        Some(("http", _)) => http::fuzz::seeds(target),
        _ => flight::fuzz::seeds(target),
    }
}

#[cfg(test)]
mod tests;
