//! What the doors are fed in every run of the tests; `FINEO_FEED_SECONDS` makes it more.

use super::{doors, flight, http, pg, seeds};

#[test]
fn the_postgres_readers_survive_what_they_are_fed() {
    // W01, W06, W16, W17
    fineo_conformance::feed(pg::fuzz::TARGETS, seeds, 3_000);
}

#[test]
fn the_http_readers_survive_what_they_are_fed() {
    // E32, E33
    fineo_conformance::feed(http::fuzz::TARGETS, seeds, 3_000);
}

#[test]
fn the_flight_readers_survive_what_they_are_fed() {
    // W21
    fineo_conformance::feed(flight::fuzz::TARGETS, seeds, 3_000);
}

#[test]
fn the_doors_survive_what_they_are_fed_and_a_neighbour_does_not_notice() {
    // W01, W06, W09, W21, W24, W27
    fineo_conformance::feed(doors::TARGETS, seeds, 100);
}
