//! What strangers and clients can send to the doors, fed to what reads it and to the doors themselves: by tests, and by
//! `fuzz-doors` for as long as it is told.

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
#[test]
fn the_readers_survive_what_they_are_fed() {
    // W01, W06, W16, W17, W21, E32, E33
    let readers: Vec<Target> = targets().into_iter().filter(|(name, _)| !name.ends_with("_door")).collect();
    fineo_conformance::feed(&readers, seeds, 3_000);
}

#[cfg(test)]
#[test]
fn the_doors_survive_what_they_are_fed_and_a_neighbour_does_not_notice() {
    // W01, W06, W09, W21, W24, W27
    fineo_conformance::feed(doors::TARGETS, seeds, 100);
}
