//! What each fault does, and that plans repeat.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_core::{
    Archive, Clock, ErrorKind, ManualClock, MetricId, NearlineStore, Outcome, SchemaRepo, Stream, Timestamp,
    archive::{Created, SegmentKind, SegmentName, SegmentQuery, Stage},
    nearline::{ScanRequest, Written},
    repo::{Compared, Keep, Subject, Version, Write},
    stream::ReadFrom,
};
use futures::StreamExt;

use super::{
    CancelAt, CrashPoints, Fault, FaultPlan, Faults, FaultyArchive, FaultyNearline, FaultyRepo, FaultyStream,
    LateArchive, Operation, When,
};
use crate::{
    rows::{TestRow, pack},
    support::{entry, shard, tenant},
};

fn faults(operation: Operation, when: When, fault: Fault) -> Faults {
    Faults::new(FaultPlan::new(1).with_rule(operation, when, fault))
}

/// A stream behind the fault on its first append, and the stream itself.
fn stream(fault: Fault) -> (FaultyStream, MemoryStream, Faults) {
    let inner = MemoryStream::new("test", 1);
    let faults = faults(Operation::StreamAppend, When::Nth(0), fault);
    (FaultyStream::new(Arc::new(inner.clone()), &faults), inner, faults)
}

async fn payloads(stream: &MemoryStream) -> Vec<Bytes> {
    let shard = shard("s0");
    if stream.tail(&shard).await.unwrap().is_none() {
        return Vec::new();
    }
    let batch = stream.read(&shard, ReadFrom::Start).next().await.unwrap().unwrap();
    batch.into_iter().map(|delivery| delivery.payload).collect()
}

/// A segment that stage raw received.
fn name(number: u64) -> SegmentName {
    SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: Timestamp::default(),
        shard: shard("s0"),
        first: number.into(),
        last: number.into(),
    }
}

#[tokio::test]
async fn a_failure_before_the_effect_has_none_and_says_so() {
    let (faulty, inner, faults) = stream(Fault::FailBefore);
    let outcomes = faulty.append(vec![entry(1, "a"), entry(1, "b")]).await;
    assert!(matches!(outcomes.as_slice(), [Outcome::NotDone(_), Outcome::NotDone(_)]), "{outcomes:?}");
    assert!(payloads(&inner).await.is_empty());
    assert!(faulty.append(vec![entry(1, "c")]).await[0].is_done());
    assert_eq!(payloads(&inner).await, ["c"]);
    assert_eq!(faults.injected(), 1);
}

#[tokio::test]
async fn a_failure_after_the_effect_leaves_the_caller_in_doubt() {
    let (faulty, inner, _) = stream(Fault::FailAfter);
    let outcomes = faulty.append(vec![entry(1, "a")]).await;
    assert!(matches!(outcomes.as_slice(), [Outcome::Unknown(error)] if error.may_have_applied()));
    assert_eq!(payloads(&inner).await, ["a"]);
}

#[tokio::test]
async fn a_partial_failure_fails_the_masked_items_in_their_places() {
    let (faulty, inner, _) = stream(Fault::Partial { mask: 0b0101, is_applied: false });
    let outcomes = faulty.append(["a", "b", "c", "d"].map(|text| entry(1, text)).into()).await;
    let done: Vec<bool> = outcomes.iter().map(Outcome::is_done).collect();
    assert_eq!(done, [false, true, false, true]);
    assert!(matches!(outcomes[0], Outcome::NotDone(_)));
    assert_eq!(payloads(&inner).await, ["b", "d"]);
}

#[tokio::test]
async fn a_partial_doubt_applies_everything() {
    let (faulty, inner, _) = stream(Fault::Partial { mask: 0b10, is_applied: true });
    let outcomes = faulty.append(["a", "b"].map(|text| entry(1, text)).into()).await;
    assert!(matches!(outcomes.as_slice(), [Outcome::Done(_), Outcome::Unknown(_)]));
    assert_eq!(payloads(&inner).await, ["a", "b"]);
}

#[tokio::test]
async fn a_partial_failure_of_rows_keeps_the_others_whole() {
    let inner = MemoryNearline::new();
    let partial = Fault::Partial { mask: 0b01, is_applied: false };
    let faulty = FaultyNearline::new(Arc::new(inner.clone()), &faults(Operation::NearlineWrite, When::Always, partial));
    let rows = [TestRow::new(1).with_cell("a", "1"), TestRow::new(2).with_cell("b", "2")];
    let metric = MetricId::numbered(1);
    let outcomes = faulty.write(&tenant("acme"), &metric, pack(&rows)).await;
    assert!(matches!(outcomes.as_slice(), [Outcome::NotDone(_), Outcome::Done(Written::New)]));
    let table = crate::rows::Table::new(Arc::new(inner));
    assert_eq!(table.read(&["a", "b"]).await.unwrap(), rows[1..]);
}

#[tokio::test]
async fn throttling_says_how_long_to_wait() {
    let (faulty, inner, _) = stream(Fault::Throttle(250));
    let error = faulty.append(vec![entry(1, "a")]).await.remove(0).into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
    assert!(payloads(&inner).await.is_empty());
}

#[tokio::test]
async fn a_late_call_waits_by_the_clock() {
    let (_, inner, faults) = stream(Fault::Late(500));
    let clock = Arc::new(ManualClock::new(Timestamp::default()));
    let faulty = FaultyStream::new(Arc::new(inner.clone()), &faults.with_clock(clock.clone()));
    let mut append = faulty.append(vec![entry(1, "a")]);
    assert!(futures::poll!(&mut append).is_pending());
    clock.advance(Duration::from_millis(499));
    assert!(futures::poll!(&mut append).is_pending());
    assert!(payloads(&inner).await.is_empty());
    clock.advance(Duration::from_millis(1));
    assert!(append.await[0].is_done());
}

#[tokio::test]
async fn a_late_application_takes_effect_after_the_caller_gave_up() {
    let (_, inner, faults) = stream(Fault::LateApplication(500));
    let clock = Arc::new(ManualClock::new(Timestamp::default()));
    let faulty = FaultyStream::new(Arc::new(inner.clone()), &faults.with_clock(clock.clone()));
    assert!(matches!(faulty.append(vec![entry(1, "a")]).await.as_slice(), [Outcome::Unknown(_)]));
    drop(faulty);
    assert!(payloads(&inner).await.is_empty());
    clock.advance(Duration::from_millis(500));
    while payloads(&inner).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(clock.now(), Timestamp::from_micros(500_000).unwrap());
}

#[tokio::test]
async fn a_stale_read_answers_what_was_answered_before() {
    let repo =
        FaultyRepo::new(Arc::new(MemoryRepo::new()), &faults(Operation::RepoLatest, When::Between(1, 2), Fault::Stale));
    let subject = Subject::system("lease", Keep::Latest).unwrap();
    assert_eq!(repo.latest(&subject).await.unwrap(), None);
    let write = Write { subject: subject.clone(), expected: Version::NONE, body: Some("x".into()) };
    assert_eq!(repo.append(vec![write], Timestamp::default()).await.into_result().unwrap(), Compared::Written);
    assert_eq!(repo.latest(&subject).await.unwrap(), None);
    assert!(repo.latest(&subject).await.unwrap().is_some());
}

#[tokio::test]
async fn a_stale_listing_lacks_the_last_segment() {
    let archive = FaultyArchive::new(
        Arc::new(MemoryArchive::new()),
        &faults(Operation::ArchiveSegments, When::Nth(0), Fault::Stale),
    );
    let query = SegmentQuery::new(Stage::Raw, SegmentKind::Received);
    for number in 0..3u64 {
        assert!(archive.write(&name(number), "x".into()).await.is_done());
    }
    assert_eq!(archive.segments(query).count().await, 2);
    assert_eq!(archive.segments(query).count().await, 3);
}

#[tokio::test]
async fn a_stream_of_answers_breaks_off_after_the_first() {
    let inner = MemoryNearline::new();
    let table = crate::rows::Table::new(Arc::new(inner.clone()));
    table.write(&[TestRow::new(1), TestRow::new(2)]).await.unwrap();
    let faulty = FaultyNearline::new(Arc::new(inner), &faults(Operation::NearlineScan, When::Always, Fault::FailAfter));
    let mut request = ScanRequest::new(tenant("acme"), MetricId::numbered(1));
    request.batch_rows_max = 1;
    let items: Vec<bool> = faulty.scan(request).map(|item| item.is_ok()).collect().await;
    assert_eq!(items, [true, false]);
}

#[tokio::test]
async fn a_call_that_hangs_has_no_effect() {
    let (faulty, inner, _) = stream(Fault::Hang);
    assert!(CancelAt::new(faulty.append(vec![entry(1, "a")]), 1).await.is_none());
    assert!(payloads(&inner).await.is_empty());
}

#[tokio::test]
async fn after_a_crash_no_call_completes() {
    let inner = MemoryStream::new("test", 1);
    let points = CrashPoints::crash_at(1);
    let faults = Faults::none().with_points(points.clone());
    let faulty = FaultyStream::new(Arc::new(inner.clone()), &faults);
    assert!(points.run(faulty.append(vec![entry(1, "a")])).await.is_none());
    // The point 1 is behind the effect of the first call.
    assert_eq!(payloads(&inner).await, ["a"]);
    assert!(CancelAt::new(faulty.append(vec![entry(1, "b")]), 1).await.is_none());
    assert_eq!(payloads(&inner).await, ["a"]);
    assert!(points.is_interrupted());
}

#[tokio::test]
async fn after_a_cancellation_the_process_goes_on() {
    let inner = MemoryStream::new("test", 1);
    let points = CrashPoints::cancel_at(0);
    let faulty = FaultyStream::new(Arc::new(inner.clone()), &Faults::none().with_points(points.clone()));
    assert!(points.run(faulty.append(vec![entry(1, "a")])).await.is_none());
    assert!(payloads(&inner).await.is_empty());
    assert!(points.run(faulty.append(vec![entry(1, "b")])).await.unwrap()[0].is_done());
    assert_eq!(payloads(&inner).await, ["b"]);
}

#[tokio::test]
async fn a_fault_may_be_a_crash() {
    let points = CrashPoints::never();
    let faults = faults(Operation::StreamSync, When::Nth(1), Fault::Crash).with_points(points.clone());
    let faulty = FaultyStream::new(Arc::new(MemoryStream::new("test", 1)), &faults);
    assert!(points.run(faulty.sync()).await.unwrap().is_done());
    assert!(points.run(faulty.sync()).await.is_none());
}

#[tokio::test]
async fn a_stopped_plan_has_no_faults() {
    let (faulty, _, faults) = stream(Fault::FailBefore);
    faults.stop();
    assert!(faulty.append(vec![entry(1, "a")]).await[0].is_done());
}

#[test]
fn a_plan_is_one_line_that_can_be_read_back() {
    for seed in 0..500 {
        let plan = FaultPlan::random(seed);
        let line = plan.to_string();
        assert!(!line.contains('\n'));
        assert_eq!(line.parse::<FaultPlan>().unwrap(), plan, "{line}");
        assert_eq!(FaultPlan::random(seed), plan);
    }
    let plan = FaultPlan::new(7).with_rule(Operation::RepoAppend, When::Nth(2), Fault::FailAfter);
    let line = r#"{"seed":7,"rules":[{"operation":"repo_append","when":{"nth":2},"fault":"fail_after"}]}"#;
    assert_eq!(plan.to_string(), line);
}

#[test]
fn random_plans_reach_every_operation_and_some_have_no_fault() {
    let plans: Vec<FaultPlan> = (0..500).map(FaultPlan::random).collect();
    assert!(plans.iter().any(|plan| plan.rules.is_empty()));
    for operation in Operation::ALL {
        assert!(plans.iter().flat_map(|plan| &plan.rules).any(|rule| rule.operation == operation), "{operation:?}");
    }
}

#[test]
fn chance_is_about_as_frequent_as_asked() {
    let plan = FaultPlan::new(3).with_rule(Operation::StreamSync, When::PerMille(100), Fault::FailBefore);
    let count = (0..10_000).filter(|call| plan.fault(Operation::StreamSync, *call).is_some()).count();
    assert!((800..1200).contains(&count), "{count} of 10000");
}

#[tokio::test]
async fn what_is_written_late_is_there_once_it_is_delivered_and_the_first_stands() {
    let late = LateArchive::new(Arc::new(MemoryArchive::new()), Duration::from_secs(60));
    let query = SegmentQuery::new(Stage::Raw, SegmentKind::Received);
    for (number, bytes) in [(1, "a"), (2, "b"), (2, "c")] {
        assert_eq!(late.write(&name(number), bytes.into()).await.into_result().unwrap(), Created::New);
    }
    assert_eq!(late.segments(query).count().await, 0);
    assert_eq!(late.read(&name(2), None).await.unwrap_err().kind(), ErrorKind::NotFound);
    for _ in 0..4 {
        late.deliver(&name(2)).await.unwrap();
        assert_eq!((late.segments(query).count().await, late.read(&name(2), None).await.unwrap()), (1, "b".into()));
    }
    assert_eq!((late.on_their_way(), late.delivered()), (vec![name(1)], vec![name(2), name(2)]));
    assert!(late.remove(&name(2)).await.into_result().unwrap());
    late.deliver(&name(2)).await.unwrap();
    late.deliver_all().await.unwrap();
    assert_eq!((late.segments(query).count().await, late.read(&name(1), None).await.unwrap()), (1, "a".into()));
}
