//! Garbage: what goes, what stays, and that no name comes again.

use std::{sync::Arc, time::Duration};

use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyObjects, Operation, When};
use fineo_core::{ManualClock, Outcome, Timestamp};

use super::fixture::{Desk, cover, done, from_now};
use crate::{Change, Collected, Committed};

async fn collect(desk: &Desk, horizon_seconds: i64) -> Collected {
    let horizon = from_now(horizon_seconds);
    desk.tables.collect_garbage(&desk.tenant, &desk.metric, horizon).await.into_result().unwrap()
}

fn files(objects: &[String]) -> Vec<&str> {
    objects.iter().filter_map(|name| name.strip_prefix("day=2026-11-22/")).collect()
}

// U2
#[tokio::test]
async fn a_replaced_file_stays_while_a_reader_may_be_in_it() {
    let desk = Desk::new();
    let old = desk.commit("aa", 10, Vec::new()).await;
    desk.commit("bb", 20, vec![old.files[0].path.clone()]).await;
    assert_eq!(collect(&desk, -60).await, Collected::default(), "replaced after the horizon");
    assert_eq!(desk.latest().await.version, Some(1), "nothing to do is no commit");
    desk.tables.data_file(&old, &old.files[0]).await.unwrap();

    let collected = collect(&desk, 60).await;
    assert_eq!(collected.files, 1);
    let objects = desk.objects().await;
    assert_eq!(files(&objects), ["part-bb-0.parquet"]);
    assert_eq!(objects.iter().filter(|name| name.starts_with("_fineo/sums/")).count(), 1);
    assert_eq!(objects.iter().filter(|name| name.starts_with("_fineo/cover/")).count(), 2);
    let latest = desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap();
    assert_eq!((latest.boundary, latest.cover.clone(), latest.files.len()), (1, cover(20), 1));

    // The last state's cover document goes the next time, without a commit.
    assert_eq!(collect(&desk, 60).await.files, 0);
    assert_eq!(desk.objects().await.iter().filter(|name| name.starts_with("_fineo/cover/")).count(), 1);
    assert_eq!(desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap(), latest);
}

#[tokio::test]
async fn a_table_without_garbage_is_left_alone() {
    let desk = Desk::new();
    assert_eq!(collect(&desk, 60).await, Collected::default());
    desk.commit("aa", 10, Vec::new()).await;
    assert_eq!(collect(&desk, 60).await, Collected::default());
    assert_eq!(desk.latest().await.version, Some(0));
}

// U2, U3: what was written before garbage was collected cannot be committed afterwards, also not under its old name.
#[tokio::test]
async fn a_worker_that_slept_through_a_collection_finds_a_conflict() {
    let desk = Desk::new();
    let base = desk.commit("aa", 10, Vec::new()).await;
    let slow = desk.file(&base, "bb", 1, 20).await;
    assert_eq!(collect(&desk, 60).await.files, 1, "the file of the worker, which took too long");

    let change = Change { add: vec![slow.clone()], cover: cover(20), ..Change::default() };
    let outcome = desk.tables.commit(&base, change.clone()).await;
    let Outcome::Done(Committed::Conflict(head)) = outcome else { panic!("{outcome:?}") };
    let outcome = desk.reopened().commit(&head, change).await;
    assert!(matches!(outcome, Outcome::Done(Committed::Conflict(_))), "the name is of the time before: {outcome:?}");

    let again = desk.file(&head, "bb", 1, 20).await;
    assert_eq!(&*again.path, "day=2026-11-22/part-bb-1.parquet");
    done(desk.tables.commit(&head, Change { add: vec![again], cover: cover(20), ..Change::default() }).await);
}

// U2: never what a commit of unknown outcome names, while it may still happen.
#[tokio::test]
async fn a_commit_of_unknown_outcome_is_either_made_or_made_impossible() {
    for is_made in [true, false] {
        let desk = Desk::new();
        let base = desk.commit("aa", 10, Vec::new()).await;
        // The request for the log is on its way for a second; nobody knows.
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let late = Fault::LateApplication(1000);
        let plan = FaultPlan::new(1).with_rule(Operation::ObjectPut, When::Between(2, 5), late);
        let faults = Faults::new(plan).with_clock(Arc::clone(&clock) as _);
        let tables = desk.through(Arc::new(FaultyObjects::new(Arc::clone(&desk.store) as _, &faults)));
        let file = desk.file(&base, "bb", 1, 20).await;
        let change = Change { add: vec![file], cover: cover(20), ..Change::default() };
        let outcome = tables.commit(&base, change).await;
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");

        let arrive = async || {
            clock.advance(Duration::from_secs(2));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        if is_made {
            arrive().await;
        }
        collect(&desk, 60).await;
        arrive().await;
        let latest = desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap();
        let objects = desk.objects().await;
        for file in &latest.files {
            assert!(objects.contains(&file.path.to_string()), "{file:?}");
        }
        assert_eq!(latest.files.len(), if is_made { 2 } else { 1 });
        assert_eq!(files(&objects).len(), latest.files.len());
    }
}

// U2: a table that lives for long does not grow its log for ever, and opens as before.
#[tokio::test]
async fn versions_that_a_checkpoint_stands_for_go_when_they_are_old() {
    let desk = Desk::new();
    let mut last = desk.commit("f0", 10, Vec::new()).await;
    for number in 1..=7_u64 {
        last = desk.commit(&format!("f{number}"), 10 + number, vec![last.files[0].path.clone()]).await;
    }
    let versions = async || -> Vec<String> {
        let objects = desk.objects().await.into_iter();
        objects.filter_map(|name| name.strip_prefix("_delta_log/0").map(str::to_owned)).collect()
    };
    assert_eq!(versions().await.len(), 8 + 2, "eight versions, two checkpoints");
    assert_eq!(collect(&desk, 60).await.log_versions, 0, "they are young");

    let days = Duration::from_secs(8 * 24 * 3600);
    let clock = Arc::new(ManualClock::new(from_now(0)));
    clock.advance(days);
    let later = desk.at(clock);
    let collected = later.collect_garbage(&desk.tenant, &desk.metric, from_now(60)).await.into_result().unwrap();
    assert_eq!(collected.log_versions, 6 + 1, "before the checkpoint of version 6: six versions and a checkpoint");
    let left = versions().await;
    assert!(left[0].ends_with("6.checkpoint.parquet") || left[0].ends_with("6.json"), "{left:?}");
    for tables in [desk.reopened(), desk.through(Arc::clone(&desk.store) as _)] {
        let latest = tables.snapshot(&desk.tenant, &desk.metric).await.unwrap();
        assert_eq!((&latest.files, &latest.cover), (&last.files, &last.cover));
    }
}

#[tokio::test]
async fn a_collection_deletes_so_many_objects_at_most_and_goes_on_the_next_time() {
    let desk = Desk::new();
    let mut last = desk.commit("f0", 10, Vec::new()).await;
    for number in 1..=4_u64 {
        last = desk.commit(&format!("f{number}"), 10 + number, vec![last.files[0].path.clone()]).await;
    }
    let tables = desk.deleting(3);
    let (mut rounds, mut files) = (0, 0);
    loop {
        let horizon = from_now(60);
        let collected = tables.collect_garbage(&desk.tenant, &desk.metric, horizon).await.into_result().unwrap();
        (rounds, files) = (rounds + 1, files + collected.files);
        if !collected.is_partial {
            break;
        }
    }
    assert!(rounds > 2, "{rounds}");
    assert_eq!(files, 4);
    assert_eq!(desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap().files, last.files);
}
