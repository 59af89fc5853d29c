//! The manual clock and seeded chance.

use std::time::Duration;

use futures::FutureExt;

use super::{Clock, Entropy, ManualClock, SeededEntropy};
use crate::Timestamp;

#[test]
fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
    let clock = ManualClock::new(Timestamp::default());
    let mut sleeper = clock.sleep(Duration::from_secs(10));
    clock.advance(Duration::from_secs(9));
    assert!((&mut sleeper).now_or_never().is_none());
    clock.advance(Duration::from_secs(1));
    assert!(sleeper.now_or_never().is_some());
    assert_eq!(clock.now().micros(), 10_000_000);
}

#[test]
fn a_seed_gives_the_same_chance_again() {
    let (left, right, other) = (SeededEntropy::new(1), SeededEntropy::new(1), SeededEntropy::new(2));
    let first = left.id();
    assert_eq!(first, right.id());
    assert_ne!(first, left.id());
    assert_ne!(first, other.id());
}
