//! When what is in files may leave the nearline store, however often and however irregularly runs come.

use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    Position, SchemaRepo, ShardId,
    repo::{Keep, Subject, Version, Write},
};
use proptest::prelude::*;

use super::*;
use crate::progress::Progress;

const MINUTE: i64 = 60 * 1_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
const ENTRIES_MAX: usize = 2 * PARTS as usize + 1;

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

/// What a run compacted, by its number.
fn through(run: usize) -> Cover {
    [(ShardId::new("s0").unwrap(), Position::from(run as u64))].into_iter().collect()
}

/// Runs that note something at these instants, and at each of them look at what was in files for `wait`.
fn check(runs: &[i64], wait: Duration) {
    let mut former = Former::default();
    for (run, now) in runs.iter().enumerate() {
        former.note(through(run), at(*now), wait);
        assert!(former.iter().count() <= ENTRIES_MAX, "{} covers are kept", former.iter().count());
        check_at(&former, &runs[..=run], *now, wait);
    }
    // Nothing new comes, and rows leave all the same.
    let last = runs.last().unwrap();
    for step in 0..=2 * i64::from(PARTS) {
        check_at(&former, runs, last + micros(wait) * step / i64::from(PARTS), wait);
    }
    assert_eq!(former.at(at(*last)), through(runs.len() - 1));
}

fn check_at(former: &Former, runs: &[i64], now: i64, wait: Duration) {
    let leaves = former.at(before(at(now), wait));
    let longest = micros(wait) + micros(wait / PARTS);
    let due = runs.iter().rposition(|since| *since <= now - longest);
    assert!(
        due.is_none_or(|due| leaves.includes(&through(due))),
        "run {due:?} of {} is due, not {leaves:?}",
        runs.len()
    );
    match runs.iter().rposition(|since| *since <= now - micros(wait)) {
        Some(latest) => assert!(through(latest).includes(&leaves), "{leaves:?} is younger than {latest}"),
        None => assert_eq!(leaves, Cover::default()),
    }
}

/// 2,000 runs, so far apart.
fn check_every(minutes: i64) {
    check(&(0..2_000).map(|run| run * minutes * MINUTE).collect::<Vec<_>>(), DAY);
}

#[test]
fn what_is_in_files_for_a_day_leaves_where_runs_come_every_minute() {
    // U5
    check_every(1);
}

#[test]
fn what_is_in_files_for_a_day_leaves_where_runs_come_every_five_minutes() {
    check_every(5);
}

#[test]
fn what_is_in_files_for_a_day_leaves_where_runs_come_every_quarter_of_an_hour() {
    check_every(15);
}

#[test]
fn what_is_in_files_for_a_day_leaves_where_runs_come_every_other_hour() {
    check_every(120);
}

#[test]
fn what_is_in_files_for_a_day_leaves_where_runs_come_in_heaps() {
    let heap = |day: i64| (0..300).map(move |run| day * 1_440 * MINUTE + run * MINUTE / 10);
    check(&[0, 3, 4, 5, 40].into_iter().flat_map(heap).collect::<Vec<_>>(), DAY);
}

#[test]
fn without_a_wait_the_newest_alone_is_kept() {
    let mut former = Former::default();
    (0..100).for_each(|run| former.note(through(run), at(MINUTE), Duration::ZERO));
    assert_eq!(former, [(MINUTE, through(99))].into_iter().collect());
}

#[test]
fn what_a_clock_that_was_ahead_noted_keeps_nothing_back() {
    let mut former = Former::default();
    former.note(through(0), at(400 * micros(DAY)), DAY);
    let mut runs = Vec::new();
    for run in 1..1_000 {
        runs.push(i64::try_from(run).unwrap() * 5 * MINUTE);
        former.note(through(run), at(runs[run - 1]), DAY);
    }
    let now = runs[998];
    let leaves = former.at(before(at(now), DAY)).last(&ShardId::new("s0").unwrap()).unwrap();
    let of_a_day = 24 * 12;
    assert!((Position::from(999 - of_a_day - 13_u64)..=Position::from(999 - of_a_day)).contains(&leaves), "{leaves}");
}

/// How far compaction is, as a program kept it that let go of the 25th cover of more than 48, whenever that was.
async fn of_before(runs: usize) -> Progress {
    let mut former: Vec<(i64, serde_json::Value)> = Vec::new();
    let json = |run: usize| serde_json::json!({ "s0": Position::from(run as u64).to_string() });
    for run in 0..runs {
        former.push((i64::try_from(run).unwrap() * 5 * MINUTE, json(run)));
        if former.len() > 48 {
            former.remove(24);
        }
    }
    let body = serde_json::json!({ "cover": json(runs - 1), "former": former, "retired": json(23) });
    let repo = MemoryRepo::new();
    let subject = Subject::system("compaction/main", Keep::Latest).unwrap();
    let write = Write { subject, expected: Version::NONE, body: Some(body.to_string().into()) };
    repo.append(vec![write], at(0)).await.into_result().unwrap();
    Progress::read(&repo, "main", None).await.unwrap()
}

#[tokio::test]
async fn what_an_earlier_program_kept_back_for_ever_leaves_a_day_later() {
    let mut progress = of_before(2_000).await;
    for run in 2_000..2_000 + 25 * 12 {
        let now = i64::try_from(run).unwrap() * 5 * MINUTE;
        progress.advance(&through(run), at(now), DAY);
        if run == 2_010 {
            assert_eq!(progress.cover_for(DAY, at(now)), through(23), "nobody knows since when the others are there");
        }
    }
    let now = at((2_000 + 25 * 12) * 5 * MINUTE);
    assert!(progress.cover_for(DAY, now).includes(&through(1_999)));
    assert!(through(2_012).includes(&progress.cover_for(DAY, now)));

    // Also of somebody of whom nothing new comes.
    let idle = of_before(2_000).await;
    assert_eq!(idle.cover_for(DAY, at(2_000 * 5 * MINUTE + micros(DAY))), through(1_999));
}

proptest! {
    #[test]
    fn whenever_runs_come_nothing_leaves_too_early_or_stays_for_much_longer(
        steps in prop::collection::vec(prop_oneof![8 => 0..20 * MINUTE, 2 => 0..5 * 60 * MINUTE, 1 => 0..4_000 * MINUTE], 1..400),
        hours in 1..50_u32,
    ) {
        let sum = |before: &mut i64, step: i64| { *before += step; Some(*before) };
        let runs: Vec<i64> = steps.into_iter().scan(0, sum).collect();
        check(&runs, Duration::from_secs(3600) * hours);
    }
}
