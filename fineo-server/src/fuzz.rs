//! What strangers and clients can send to the doors, fed to what reads it: by tests, and by a fuzzer that compiles with
//! `--cfg fuzzing`.

use crate::{flight, http, pg};

/// A reader under its name.
pub type Target = (&'static str, fn(&[u8]));

/// The readers of all doors.
pub fn targets() -> Vec<Target> {
    [pg::fuzz::TARGETS, http::fuzz::TARGETS, flight::fuzz::TARGETS].concat()
}

/// What each of them may begin with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target.split('_').next() {
        Some("pg") => pg::fuzz::seeds(target),
        Some("http") => http::fuzz::seeds(target),
        _ => flight::fuzz::seeds(target),
    }
}

#[cfg(test)]
#[test]
fn the_doors_survive_what_they_are_fed() {
    // W01, W06, W16, W17, W21, E32, E33
    fineo_conformance::feed(&targets(), seeds, 3_000);
}
