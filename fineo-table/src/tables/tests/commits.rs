//! Commits: what is read after them, races, lost answers.

use std::sync::Arc;

use fineo_conformance::fault::{Fault, FaultPlan, Faults, FaultyObjects, Operation, When};
use fineo_core::{ErrorKind, ManualClock, MetricId, Outcome, Timestamp};
use object_store::ObjectStore;
use proptest::prelude::*;

use super::fixture::{DAY, Desk, cover, done};
use crate::{Change, Committed, Snapshot};

#[tokio::test]
async fn a_metric_without_a_table_has_an_empty_snapshot() {
    let desk = Desk::new();
    let snapshot = desk.latest().await;
    assert_eq!(*snapshot, Snapshot::empty(&desk.tenant, &desk.metric));
    assert_eq!(desk.tables.metrics(&desk.tenant).await.unwrap(), []);
}

#[tokio::test]
async fn another_process_reads_what_was_committed() {
    let desk = Desk::new();
    let base = desk.latest().await;
    let add = vec![desk.file(&base, "aa", 3, 10).await];
    let change = Change { add, cover: cover(12), ..Change::default() };
    let snapshot = done(desk.tables.commit(&base, change).await);

    assert_eq!(snapshot.version, Some(0));
    assert_eq!(snapshot.cover, cover(12));
    let file = &snapshot.files[0];
    assert_eq!((file.day, file.rows, &*file.path), (DAY, 3, "day=2026-11-22/part-aa-0.parquet"));
    assert_eq!(file.first.to_string(), "2026-11-22T00:00:00Z");
    assert_eq!(file.last.to_string(), "2026-11-22T00:02:00Z");
    assert_eq!(file.positions, cover(10));

    let read = desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap();
    assert_eq!(read, snapshot);
    assert_eq!(desk.reopened().metrics(&desk.tenant).await.unwrap(), std::slice::from_ref(&desk.metric));
    assert_eq!(desk.tables.location(&desk.tenant, &desk.metric).as_str(), "memory:///acme/n1");
}

#[tokio::test]
async fn another_process_is_told_which_files_are_parts_of_what_is_too_much_for_one() {
    let desk = Desk::new();
    let base = desk.latest().await;
    let whole = desk.file(&base, "aa", 3, 10).await;
    let part = crate::NewFile { is_part: true, ..desk.file(&base, "bb", 3, 10).await };
    done(desk.tables.commit(&base, Change { add: vec![whole, part], cover: cover(10), ..Change::default() }).await);
    let read = desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap();
    assert_eq!(read.files.iter().map(|file| file.is_part).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_process_sees_what_another_committed() {
    let desk = Desk::new();
    let other = desk.reopened();
    for (number, hash) in ["aa", "bb", "cc"].into_iter().enumerate() {
        let committed = desk.commit(hash, 10 + number as u64, Vec::new()).await;
        assert_eq!(other.snapshot(&desk.tenant, &desk.metric).await.unwrap(), committed);
    }
}

// U3: of two commits on one state one is made, and equal changes do not make equal versions.
#[tokio::test]
async fn of_two_commits_on_one_state_the_second_finds_a_conflict() {
    let desk = Desk::new();
    let base = desk.commit("aa", 10, Vec::new()).await;
    let (first, second) = (desk.tables.clone(), desk.reopened());
    let change = |file| Change { add: vec![file], cover: cover(20), ..Change::default() };
    let won = done(first.commit(&base, change(desk.file(&base, "bb", 1, 20).await)).await);
    let lost = second.commit(&base, change(desk.file(&base, "cc", 1, 20).await)).await;
    let Outcome::Done(Committed::Conflict(head)) = lost else { panic!("{lost:?}") };
    assert_eq!(head, won);
    assert_ne!(won.nonce, base.nonce);
}

#[tokio::test]
async fn a_change_that_cannot_be_is_refused() {
    let desk = Desk::new();
    let base = desk.commit("aa", 10, Vec::new()).await;
    let live = base.files[0].path.clone();
    let refused = async |change: Change| match desk.tables.commit(&base, change).await {
        Outcome::NotDone(error) => error.kind(),
        other => panic!("{other:?}"),
    };
    let file = desk.file(&base, "bb", 1, 20).await;
    let less = Change { cover: cover(9), ..Change::default() };
    assert_eq!(refused(less).await, ErrorKind::Invalid, "covers less");
    let beyond = Change { add: vec![file.clone()], cover: cover(19), ..Change::default() };
    assert_eq!(refused(beyond).await, ErrorKind::Invalid, "a file beyond the cover");
    let absent =
        Change { remove: vec!["day=2026-11-22/part-ff-0.parquet".into()], cover: cover(20), ..Change::default() };
    assert_eq!(refused(absent).await, ErrorKind::NotFound);
    let twice = Change { add: vec![file.clone(), file.clone()], cover: cover(20), ..Change::default() };
    assert_eq!(refused(twice).await, ErrorKind::Invalid, "twice");
    let again =
        Change { add: vec![crate::NewFile { path: live, ..file.clone() }], cover: cover(20), ..Change::default() };
    assert_eq!(refused(again).await, ErrorKind::AlreadyExists);
    let missing = crate::NewFile { path: base.new_path(DAY, "dd").unwrap(), ..file };
    let missing = Change { add: vec![missing], cover: cover(20), ..Change::default() };
    assert_eq!(refused(missing).await, ErrorKind::Corrupt, "never written");
    assert_eq!(desk.latest().await, base);
}

#[tokio::test]
async fn a_new_generation_replaces_files_and_cover_but_never_sinks_below_the_floor() {
    let desk = Desk::new();
    let base = desk.commit("aa", 10, Vec::new()).await;
    assert!(desk.tables.raise_floor(&desk.tenant, &desk.metric, &cover(5)).await.is_done());
    let remove = vec![base.files[0].path.clone()];
    let swap = |last| Change { add: Vec::new(), remove: remove.clone(), cover: cover(last), generation: Some(1) };
    assert!(matches!(desk.tables.commit(&base, swap(4)).await, Outcome::NotDone(_)));
    let swapped = done(desk.tables.commit(&base, swap(7)).await);
    assert_eq!((swapped.generation, swapped.cover.clone(), swapped.files.len()), (1, cover(7), 0));
    assert_eq!(desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap(), swapped);
}

#[tokio::test]
async fn a_floor_is_never_above_the_cover_and_never_sinks() {
    let desk = Desk::new();
    desk.commit("aa", 10, Vec::new()).await;
    let raise = async |last| desk.tables.raise_floor(&desk.tenant, &desk.metric, &cover(last)).await;
    assert!(matches!(raise(11).await, Outcome::NotDone(_)));
    assert!(raise(10).await.is_done());
    assert!(raise(3).await.is_done());
    assert_eq!(desk.reopened().floor(&desk.tenant, &desk.metric).await.unwrap(), cover(10));
    assert!(desk.tables.floor(&desk.tenant, &MetricId::numbered(2)).await.unwrap().is_empty());
}

/// Commits "bb" through a store on which one put of the commit meets `fault`.
async fn with_fault(put: u64, fault: Fault) -> (Desk, Outcome<Committed>) {
    let desk = Desk::new();
    let base = desk.commit("aa", 10, Vec::new()).await;
    let faults = Faults::new(FaultPlan::new(1).with_rule(Operation::ObjectPut, When::Nth(put), fault));
    let store = Arc::new(FaultyObjects::new(Arc::clone(&desk.store) as Arc<dyn ObjectStore>, &faults));
    let tables = desk.through(store);
    let add = vec![desk.file(&base, "bb", 1, 20).await];
    let outcome = tables.commit(&base, Change { add, cover: cover(20), ..Change::default() }).await;
    (desk, outcome)
}

// N11: the puts of a commit are checksums, cover document, log.
#[tokio::test]
async fn a_put_whose_answer_is_lost_is_found_to_be_ours() {
    for put in 0..3 {
        let (desk, outcome) = with_fault(put, Fault::FailAfter).await;
        let committed = done(outcome);
        assert_eq!(committed.version, Some(1), "put {put}");
        assert_eq!(desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap(), committed);
    }
}

#[tokio::test]
async fn a_put_that_certainly_did_not_happen_is_no_commit() {
    for put in 0..3 {
        let (desk, outcome) = with_fault(put, Fault::FailBefore).await;
        assert!(matches!(outcome, Outcome::NotDone(_)), "put {put}: {outcome:?}");
        assert_eq!(desk.latest().await.files.len(), 1);
        desk.commit("cc", 20, Vec::new()).await;
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_written_takes_nothing_back() {
    let (desk, outcome) = with_fault(3, Fault::FailBefore).await;
    assert_eq!(done(outcome).files.len(), 2);
    assert_eq!(desk.latest().await.files.len(), 2);
}

#[tokio::test]
async fn a_commit_that_cannot_be_resolved_is_unknown_and_may_still_happen() {
    let desk = Desk::new();
    let base = desk.commit("aa", 10, Vec::new()).await;
    let clock = Arc::new(ManualClock::new(Timestamp::default()));
    let plan = FaultPlan::new(1).with_rule(Operation::ObjectPut, When::Between(2, 5), Fault::LateApplication(1000));
    let faults = Faults::new(plan).with_clock(Arc::clone(&clock) as _);
    let tables = desk.through(Arc::new(FaultyObjects::new(Arc::clone(&desk.store) as _, &faults)));
    let add = vec![desk.file(&base, "bb", 1, 20).await];
    let outcome = tables.commit(&base, Change { add, cover: cover(20), ..Change::default() }).await;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    assert!(desk.objects().await.contains(&"day=2026-11-22/part-bb-0.parquet".to_owned()), "nothing is cleaned up");
    assert_eq!(desk.latest().await, base);

    clock.advance(std::time::Duration::from_secs(2));
    while desk.latest().await == base {
        tokio::task::yield_now().await;
    }
    let late = desk.latest().await;
    assert_eq!((late.version, late.files.len()), (Some(1), 2));
}

#[tokio::test]
async fn the_manifest_lists_the_live_files() {
    let desk = Desk::new();
    desk.commit("aa", 10, Vec::new()).await;
    let removed = desk.latest().await.files[0].path.clone();
    desk.commit("bb", 20, vec![removed]).await;
    let manifest: serde_json::Value = serde_json::from_slice(&desk.read("_fineo/manifest.json").await).unwrap();
    assert_eq!((manifest["tenant"].as_str(), manifest["version"].as_u64()), (Some("acme"), Some(1)));
    assert_eq!(manifest["files"][0]["path"], "day=2026-11-22/part-bb-0.parquet");
    assert_eq!((manifest["files"][0]["rows"].as_u64(), manifest["files"].as_array().unwrap().len()), (Some(3), 1));
    let list = String::from_utf8(desk.read("_fineo/manifest.txt").await).unwrap();
    assert_eq!(list, "memory:///acme/n1/day=2026-11-22/part-bb-0.parquet\n");
}

#[derive(Debug, Clone)]
enum Step {
    Add,
    Replace,
    Remove,
    Collect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        prop_oneof![4 => Just(Step::Add), 2 => Just(Step::Replace), 1 => Just(Step::Remove), 1 => Just(Step::Collect)];
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    // What versions add up to one by one is what the log with its checkpoints says.
    #[test]
    fn memory_and_log_never_disagree(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let desk = Desk::new();
            for (number, step) in steps.into_iter().enumerate() {
                let base = desk.latest().await;
                let last = 10 * (number as u64 + 1);
                let first: Vec<Arc<str>> = base.files.first().map(|file| file.path.clone()).into_iter().collect();
                let hash = format!("{number:04x}");
                match step {
                    Step::Add => drop(desk.commit(&hash, last, Vec::new()).await),
                    Step::Replace => drop(desk.commit(&hash, last, first).await),
                    Step::Remove => {
                        let change = Change { remove: first, cover: cover(last), ..Change::default() };
                        done(desk.tables.commit(&base, change).await);
                    }
                    Step::Collect => {
                        let horizon = super::fixture::from_now(60);
                        let outcome = desk.tables.collect_garbage(&desk.tenant, &desk.metric, horizon).await;
                        assert!(outcome.is_done(), "{outcome:?}");
                    }
                }
                let read = desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap();
                assert_eq!(read, desk.latest().await);
                for file in &read.files {
                    desk.reopened().data_file(&read, file).await.unwrap();
                }
            }
        });
    }
}
