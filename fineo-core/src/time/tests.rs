//! Instants and ranges.

use super::{TimeRange, Timestamp};

#[test]
fn the_years_1_to_9999_are_all_there_is() {
    assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    assert!(Timestamp::from_micros(Timestamp::MIN.micros() - 1).is_err());
    assert!(Timestamp::from_micros(Timestamp::MAX.micros() + 1).is_err());
}

#[test]
fn a_range_has_its_first_instant_and_not_its_last() {
    let range = TimeRange { from: 10, to: 20 };
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    assert!(range.contains(at(10)) && range.contains(at(19)));
    assert!(!range.contains(at(9)) && !range.contains(at(20)));
}

#[test]
fn an_intersection_may_be_empty() {
    let left = TimeRange { from: 0, to: 10 };
    assert!(left.intersect(&TimeRange { from: 10, to: 20 }).is_empty());
    assert!(!left.intersect(&TimeRange::ALL).is_empty());
    assert!(left.overlaps(9, 30) && !left.overlaps(10, 30));
}
