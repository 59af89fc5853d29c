//! Segments by their names: which are looked at, and which are passed over where they are cold.

use std::collections::HashSet;

use fineo_core::{
    Position, ShardId, TenantId, TimeRange, Timestamp,
    archive::{SegmentInfo, SegmentKind, SegmentName, Stage},
};

use super::Wanted;
use crate::ReplayRequest;

const HOUR: i64 = 3_600_000_000;

fn request() -> ReplayRequest {
    ReplayRequest::new(Stage::Raw, TenantId::new("acme").unwrap())
}

/// A segment written as `shard first..last`.
fn segment(text: &str) -> SegmentInfo {
    let (shard, range) = text.split_once(' ').unwrap();
    let (first, last) = range.split_once("..").unwrap();
    let at = |text: &str| Position::from(text.parse::<u64>().unwrap());
    let shard = ShardId::new(shard).unwrap();
    let (stage, kind, time) = (Stage::Raw, SegmentKind::Received, Timestamp::default());
    SegmentInfo { name: SegmentName { stage, kind, time, shard, first: at(first), last: at(last) }, bytes: 1 }
}

/// Which of `segments` are looked at, in their order and then those behind; the others have to be passed over.
fn check(mut wanted: Wanted, segments: &[&str], looked_at: &[&str]) {
    let infos: Vec<SegmentInfo> = segments.iter().map(|text| segment(text)).collect();
    let mut found: Vec<SegmentInfo> = infos.iter().filter(|info| wanted.holds(info)).cloned().collect();
    found.extend(wanted.behind());
    let expected: Vec<SegmentInfo> = looked_at.iter().map(|text| segment(text)).collect();
    assert_eq!(found, expected, "{segments:?}");
    for info in &infos {
        assert_eq!(wanted.passes_over(info), !expected.contains(info), "{}", info.name.path());
    }
}

#[test]
fn without_positions_every_segment_is_looked_at() {
    check(Wanted::new(&request(), None), &["a 1..9", "b 1..9"], &["a 1..9", "b 1..9"]);
}

#[test]
fn of_wanted_positions_their_segments_and_the_first_behind_them_are_looked_at() {
    let at = |position: u64| Position::from(position);
    let within = [(ShardId::new("a").unwrap(), at(12), at(13)), (ShardId::new("a").unwrap(), at(25), at(25))];
    let segments = ["a 1..9", "a 10..19", "a 20..29", "a 40..49", "a 30..39", "b 10..19"];
    check(Wanted::new(&request(), Some(&within)), &segments, &["a 10..19", "a 20..29", "a 30..39"]);
}

#[test]
fn pointers_want_positions_of_their_stage() {
    let pointer = |stage: &str, position: u64| format!("{stage}/a/{}", Position::from(position));
    let pointers = HashSet::from([pointer("raw", 12), pointer("staged", 45), "nonsense".to_owned()]);
    let wanted = Wanted::new(&request().with_pointers(Some(pointers)), None);
    check(wanted, &["a 1..9", "a 10..19", "a 20..29", "a 40..49"], &["a 10..19", "a 20..29"]);
    check(Wanted::new(&request().with_pointers(Some(HashSet::new())), None), &["a 1..9"], &[]);
}

#[test]
fn what_was_written_an_hour_before_the_wanted_time_has_nothing_of_it() {
    let from = 10 * HOUR;
    let wanted = Wanted::new(&request().with_time(TimeRange { from, to: 20 * HOUR }), None);
    for (written_at, is_over) in [(0, true), (9 * HOUR - 1, true), (9 * HOUR, false), (30 * HOUR, false)] {
        assert_eq!(wanted.is_over(Timestamp::saturating_from_micros(written_at)), is_over, "{written_at}");
    }
    assert!(!Wanted::new(&request(), None).is_over(Timestamp::MIN));
}

#[test]
fn what_is_missing_matters_where_it_may_have_wanted_positions() {
    let at = |position: u64| Position::from(position);
    let a = ShardId::new("a").unwrap();
    let within = [(a.clone(), at(12), at(13))];
    let wanted = Wanted::new(&request(), Some(&within));
    for (after, last, may) in [
        (None, 11, false),
        (None, 12, true),
        (Some(11), 12, true),
        (Some(12), 20, true),
        (Some(13), 20, false),
        (Some(2), 11, false),
    ] {
        assert_eq!(wanted.may_lie_in(&a, after.map(at), at(last)), may, "behind {after:?}, up to {last}");
    }
    assert!(!wanted.may_lie_in(&ShardId::new("b").unwrap(), None, at(12)));
    assert!(Wanted::new(&request(), None).may_lie_in(&a, None, at(1)));
}
