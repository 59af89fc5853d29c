//! What a look at names shares with them.

use std::sync::Arc;

use super::{CHUNK_NAMES, Names, Tracked};
use crate::SeenNames;

const COUNT: usize = 3 * CHUNK_NAMES + 7;

fn many() -> Names {
    let mut names = Names::default();
    for stats in SeenNames::of_names((0..COUNT).map(|number| format!("n{number}"))).stats() {
        names.push(Tracked { stats: stats.clone(), is_dirty: false });
    }
    names
}

#[test]
fn names_are_found_by_their_numbers() {
    let mut names = many();
    assert_eq!((names.len(), names.chunks().count()), (COUNT, 4));
    for number in [0, 255, 256, 511, 512, 774] {
        assert_eq!(*names.get(number).unwrap().stats.name, *format!("n{number}"));
        assert_eq!(*names.get_mut(number).unwrap().stats.name, *format!("n{number}"));
    }
    assert!(names.get(775).is_none() && names.get_mut(1024).is_none());
    assert!(names.iter().zip(0..).all(|(tracked, number)| *tracked.stats.name == *format!("n{number}")));
}

#[test]
fn a_look_copies_no_names_and_what_is_counted_behind_it_only_those_beside_it_once() {
    let mut names = many();
    let look = names.clone();
    let same =
        |names: &Names| names.chunks.iter().zip(&look.chunks).map(|(one, other)| Arc::ptr_eq(one, other)).collect();
    let all: Vec<bool> = same(&names);
    assert_eq!(all, [true; 4]);
    names.get_mut(300).unwrap().stats.count += 1;
    let copied = Arc::as_ptr(&names.chunks[1]);
    names.get_mut(301).unwrap().stats.count += 1;
    assert_eq!(Arc::as_ptr(&names.chunks[1]), copied);
    let left: Vec<bool> = same(&names);
    assert_eq!(left, [true, false, true, true]);
    assert_eq!((names.get(300).unwrap().stats.count, look.get(300).unwrap().stats.count), (2, 1));
}
