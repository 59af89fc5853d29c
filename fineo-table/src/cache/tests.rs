//! What a full cache keeps.

use super::Cache;

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let cache = Cache::new(100);
    for key in 0..4 {
        cache.keep(key, key, 25, |_| false);
    }
    assert_eq!(cache.find(&0), Some(0));
    cache.keep(4, 4, 25, |_| false);
    let kept: Vec<i32> = (0..5).filter(|key| cache.find(key).is_some()).collect();
    assert_eq!(kept, [0, 3, 4]);
}

#[test]
fn what_is_larger_than_the_cache_is_not_kept() {
    let cache = Cache::new(100);
    cache.keep(1, 1, 101, |_| false);
    assert_eq!(cache.find(&1), None);
    cache.keep(1, 1, 10, |_| false);
    assert_eq!(cache.find(&1), Some(1));
}

#[test]
fn an_older_value_does_not_replace_a_newer_one() {
    let cache = Cache::new(100);
    cache.keep("head", 7, 10, |_| false);
    cache.keep("head", 6, 10, |kept| *kept > 6);
    assert_eq!(cache.find(&"head"), Some(7));
}
