//! What is kept, and what makes room.

use super::*;

#[test]
fn what_was_not_used_for_long_makes_room() {
    let mut recent = Recent::default();
    for number in 0..KEPT_MAX {
        recent.keep(number, number);
    }
    assert_eq!(recent.find(&0), Some(0));
    recent.keep(KEPT_MAX, KEPT_MAX);
    assert_eq!((recent.find(&0), recent.find(&1), recent.find(&KEPT_MAX)), (Some(0), None, Some(KEPT_MAX)));
    assert!(recent.by_key.len() <= KEPT_MAX);
}
