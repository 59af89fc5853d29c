//! The pace of events that are sent again.

use std::time::Duration;

use fineo_core::Timestamp;

use super::Pace;

#[test]
fn events_wait_for_as_long_as_lay_between_their_arrivals() {
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    let mut pace = Pace::default();
    // Arrival, now, and how long to wait.
    for (arrived, now, wait) in [
        (1_000, 500_000, 0),
        (1_500, 500_100, 400),
        // It took longer than the recording: no wait until it has caught up.
        (2_000, 900_000, 0),
        (900_000, 900_000, 499_000),
        // An archive in another order.
        (10, 1_600_000, 0),
    ] {
        assert_eq!(pace.wait(at(arrived), at(now)), Duration::from_micros(wait), "{arrived}");
    }
}
