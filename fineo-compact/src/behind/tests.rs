//! How often one who is behind is tried again, what everybody has, and documents of before.

use std::time::Duration;

use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    Position, SchemaRepo,
    repo::{Keep, Subject, Version, Write},
};

use super::*;
use crate::progress::Progress;

const MINUTE: i64 = 60 * 1_000_000;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn cover(of: &[(&str, u64)]) -> Cover {
    of.iter().map(|(shard, last)| (ShardId::new(shard).unwrap(), Position::from(*last))).collect()
}

fn failed(metric: Option<&str>) -> Vec<FailedTenant> {
    vec![FailedTenant { tenant: "acme".to_owned(), metric: metric.map(str::to_owned), error: "no".to_owned() }]
}

/// How often somebody is tried in so many runs, one every minute, for whom the same fails, but something else in the run `other`.
fn tries(runs: i64, other: Option<i64>) -> i64 {
    let (mut behind, mut tries) = (AllBehind::new(), 0);
    for run in 0..runs {
        let now = at(run * MINUTE);
        let is_tried = behind.get(&tenant("acme")).is_none_or(|behind| behind.is_due(now));
        tries += i64::from(is_tried);
        let failed = failed(if other == Some(run) { None } else { Some("n1") });
        note(&mut behind, (tenant("acme"), &Cover::default()), (failed, is_tried), now);
    }
    tries
}

#[test]
fn the_longer_somebody_is_behind_the_fewer_tries_there_are() {
    // T8
    assert_eq!(tries(24, None), 24);
    let of_a_week = tries(7 * 24 * 60, None);
    assert!((100..250).contains(&of_a_week), "{of_a_week}");
    // Something else: it is tried again at once.
    assert!(tries(7 * 24 * 60, Some(3 * 24 * 60)) > of_a_week + 20);
}

#[test]
fn whoever_somebody_else_had_is_tried_as_a_whole_whatever_failed_before() {
    // U4: records of metrics that did not fail came in the run that did not have the tenant.
    let (mut behind, acme, from) = (AllBehind::new(), tenant("acme"), cover(&[("s0", 3)]));
    for run in 0..600 {
        let is_tried = behind.get(&acme).is_none_or(|behind| behind.is_due(at(run * MINUTE)));
        note(&mut behind, (acme.clone(), &from), (failed(Some("n1")), is_tried), at(run * MINUTE));
    }
    let now = at(behind[&acme].tried + MINUTE);
    assert!(!behind[&acme].is_due(now), "what fails waits");
    note(&mut behind, (acme.clone(), &cover(&[("s0", 9)])), (Vec::new(), false), now);
    assert!(behind[&acme].is_due(now));
    assert_eq!((behind[&acme].metrics().is_none(), &behind[&acme].cover), (true, &from));
    // So it is until somebody has tried.
    note(&mut behind, (acme.clone(), &cover(&[("s0", 12)])), (Vec::new(), false), at(700 * MINUTE));
    assert!(behind[&acme].is_due(at(700 * MINUTE)));
}

#[test]
fn whoever_was_tried_by_a_clock_that_was_ahead_is_tried_again() {
    let behind = Behind { cover: Cover::default(), since: 0, tried: 1_000 * MINUTE, failed: failed(None) };
    assert!(behind.is_due(at(MINUTE)));
    assert!(!behind.is_due(at(1_001 * MINUTE)));
}

#[test]
fn what_all_have_ends_where_the_first_of_them_does() {
    let all = cover(&[("s0", 9), ("s1", 9), ("s2", 9)]);
    assert_eq!(lowest(&all, [&cover(&[("s0", 3), ("s1", 12)])]), cover(&[("s0", 3), ("s1", 9)]));
    assert_eq!(lowest(&all, []), all);
}

#[tokio::test]
async fn who_is_behind_is_kept_and_documents_of_before_have_nobody() {
    let repo = MemoryRepo::new();
    let position = Position::from(7_u64);
    let body = format!(r#"{{"cover":{{"s0":"{position}"}}}}"#);
    let subject = Subject::system("compaction/main", Keep::Latest).unwrap();
    let write = Write { subject: subject.clone(), expected: Version::NONE, body: Some(body.into()) };
    repo.append(vec![write], at(0)).await.into_result().unwrap();
    let mut everybody = Progress::read(&repo, "main", None).await.unwrap();
    assert_eq!((&everybody.reached, everybody.behind.len()), (&cover(&[("s0", 7)]), 0));

    // U4
    let mut behind = AllBehind::new();
    note(&mut behind, (tenant("acme"), &everybody.reached), (failed(Some("n1")), true), at(1));
    everybody.advance_beside(&cover(&[("s0", 9)]), behind.clone(), at(1), Duration::ZERO);
    everybody.write(&repo, at(1)).await.unwrap();
    let everybody = Progress::read(&repo, "main", None).await.unwrap();
    assert_eq!((&everybody.cover, &everybody.reached), (&cover(&[("s0", 7)]), &cover(&[("s0", 9)])));
    assert_eq!(everybody.behind, behind);
    assert_eq!(everybody.reached_by(&tenant("acme")), &cover(&[("s0", 7)]));
    assert_eq!(everybody.reached_by(&tenant("beta")), &cover(&[("s0", 9)]));
    // What everybody had is what the archive need not keep; a program of before goes by it, too.
    assert_eq!(
        everybody.cover_for(Duration::ZERO, at(1)),
        Cover::default(),
        "nothing new was in everybody's files then"
    );

    let mut everybody = everybody;
    everybody.advance_beside(&cover(&[("s0", 9)]), AllBehind::new(), at(2), Duration::ZERO);
    everybody.write(&repo, at(2)).await.unwrap();
    let found = repo.latest(&subject).await.unwrap().unwrap();
    assert!(!std::str::from_utf8(&found.body).unwrap().contains("behind"));
    assert_eq!(everybody.cover_for(Duration::ZERO, at(2)), cover(&[("s0", 9)]));
}
