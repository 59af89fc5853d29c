//! Promises of `docs/promises.md` about taking in and replaying, each by its id.

use std::{sync::Arc, time::Duration};

use fineo_conformance::fault::{
    Fault, FaultPlan, Faults, FaultyArchive, FaultyNearline, FaultyStream, Operation, When,
};
use fineo_core::{
    SchemaRepo as _, Stream as _,
    archive::Stage,
    repo::{Keep, Subject, Version},
    stream::{Entry, ReadFrom},
};
use fineo_ingest::{
    Counters, Edge, EventResult, Limits, NoFiles, Pipeline, PipelineOptions, PipelineParts, ReplayMode, ReplayRequest,
};
use fineo_schema::{Change, ChangeId, ChangeRequest, Identity, SchemaStore};
use futures::StreamExt as _;

use crate::support::{Outage, SOON, World, tenant};

fn edge(parts: &PipelineParts) -> Edge {
    let (clock, entropy) = (Arc::clone(&parts.clock), Arc::clone(&parts.entropy));
    Edge::new(Arc::clone(&parts.raw), clock, entropy, Limits::default(), Arc::new(Counters::default()))
}

/// What is in the only shard of the raw stream.
async fn entries(world: &World) -> Vec<(fineo_core::Position, Entry)> {
    let shard = world.raw.shards().await.unwrap().remove(0).id;
    let tail = world.raw.tail(&shard).await.unwrap();
    let mut read = world.raw.read(&shard, ReadFrom::Start);
    let mut found: Vec<(fineo_core::Position, Entry)> = Vec::new();
    while found.last().map(|(position, _)| *position) < tail {
        for delivery in read.next().await.unwrap().unwrap() {
            let entry = Entry { tenant: delivery.tenant, key: 0, payload: delivery.payload };
            found.push((delivery.position, entry));
        }
    }
    found
}

async fn apply(schemas: &SchemaStore, number: u8, changes: Vec<Change>) {
    schemas.apply(&tenant("acme"), ChangeRequest::new(ChangeId::of_bytes([number; 16]), changes)).await.unwrap();
}

// D3, D4
#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_in_part_answers_for_each_event_in_order() {
    let world = World::new();
    let partial = |mask| Fault::Partial { mask, is_applied: false };
    // Of the six entries the second, fourth and sixth fail; of these the first two; of these the second, for good.
    let plan = FaultPlan::new(1)
        .with_rule(Operation::StreamAppend, When::Nth(0), partial(0b10_1010))
        .with_rule(Operation::StreamAppend, When::Nth(1), partial(0b011))
        .with_rule(Operation::StreamAppend, When::Nth(2), partial(0b10));
    let mut parts = world.parts();
    parts.raw = Arc::new(FaultyStream::new(parts.raw, &Faults::new(plan)));
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(70), "]".repeat(70));
    let body: String = (0..8).map(|n| if n == 1 || n == 4 { deep.clone() } else { format!("{{\"n\":{n}}}") }).collect();
    let receipt = edge(&parts).ingest(&tenant("acme"), body.into()).await.unwrap();

    let stored = entries(&world).await;
    let results: Vec<String> = receipt
        .results()
        .map(|result| match result {
            EventResult::Accepted(appended) => {
                let (_, entry) = stored.iter().find(|(position, _)| *position == appended.position).unwrap();
                String::from_utf8_lossy(&entry.payload[26..]).into_owned()
            }
            EventResult::Rejected(rejection) => rejection.code.to_string(),
            EventResult::Failed(error) => format!("{:?}", error.kind()),
        })
        .collect();
    let expected =
        [r#"{"n":0}"#, "too_deep", r#"{"n":2}"#, r#"{"n":3}"#, "too_deep", "Unavailable", r#"{"n":6}"#, r#"{"n":7}"#];
    assert_eq!(results, expected);
    assert_eq!(stored.len(), 5, "what failed is not stored, and nothing is stored twice");
}

// D4
#[tokio::test]
async fn a_batch_that_is_appended_in_several_parts_keeps_its_order() {
    let world = World::new();
    let pad = "x".repeat(1_000_000);
    let body: String = (0..10).map(|n| format!("{{\"n\":{n},\"pad\":\"{pad}\"}}\n")).collect();
    let receipt = edge(&world.parts()).ingest(&tenant("acme"), body.into()).await.unwrap();
    assert_eq!((receipt.accepted(), receipt.len()), (10, 10));
    let stored = entries(&world).await;
    for ((index, result), (position, entry)) in receipt.results().enumerate().zip(&stored) {
        assert!(matches!(result, EventResult::Accepted(appended) if appended.position == *position), "{index}");
        assert!(entry.payload[26..].starts_with(format!("{{\"n\":{index},").as_bytes()), "{index}");
    }
}

// D8
#[tokio::test(start_paused = true)]
async fn entries_that_were_trimmed_before_they_were_read_are_recorded_as_a_loss() {
    let world = World::new();
    let event = |n: u32| format!(r#"{{"metrictype":"m","timestamp":{n}}}"#);
    let pipeline = world.start().await;
    let receipt = pipeline.edge().ingest(&tenant("acme"), event(1).into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    pipeline.stop().await.unwrap();

    let edge = edge(&world.parts());
    let mut positions = vec![];
    for number in 2..=4 {
        let receipt = edge.ingest(&tenant("acme"), event(number).into()).await.unwrap();
        positions.extend(receipt.token().iter().map(|(shard, last)| (shard.clone(), last)));
    }
    let (shard, trimmed) = positions[1].clone();
    assert!(world.raw.trim(&shard, trimmed).await.is_done());

    for losses in [1, 0] {
        let pipeline = world.start().await;
        pipeline.drain(SOON).await.unwrap();
        assert_eq!(pipeline.status().await.unwrap().losses, losses);
        pipeline.stop().await.unwrap();
        assert_eq!(world.rows("acme", "n1", &[]).await, ["1000 m", "4000 m"]);
        let subject = Subject::system(&format!("loss/main/raw/{shard}"), Keep::History).unwrap();
        let kept = world.repo.history(&subject, Version::NONE.next(), 10).await.unwrap();
        assert_eq!(kept.len(), 1, "the record is made once");
        let record: serde_json::Value = serde_json::from_slice(&kept[0].body).unwrap();
        let (after, before) = (record["after"].as_str().unwrap(), record["before"].as_str().unwrap());
        assert_eq!(record["shard"].as_str(), Some(shard.as_str()));
        assert_eq!(
            (after.parse::<u64>().unwrap() + 3, before),
            (before.parse().unwrap(), &*positions[2].1.to_string())
        );
    }
}

// N5, N6
#[tokio::test(start_paused = true)]
async fn while_the_schema_repository_is_down_events_are_taken_and_wait() {
    let world = World::new();
    let outage = Arc::new(Outage::new(world.repo.clone()));
    let mut parts = world.parts();
    parts.repo = outage.clone();
    parts.schemas = SchemaStore::new(outage.clone(), Arc::clone(&parts.clock));
    parts.discovery = fineo_schema::Discovery::new(outage.clone(), Arc::clone(&parts.clock));
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    let known = r#"{"metrictype":"known","timestamp":1}"#;
    let receipt = pipeline.edge().ingest(&tenant("acme"), known.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();

    outage.begin();
    let body = r#"{"metrictype":"known","timestamp":2} {"metrictype":"new","timestamp":2} {"metrictype":"known"}"#;
    let mut tokens = Vec::new();
    for name in ["acme", "never_seen"] {
        let receipt = pipeline.edge().ingest(&tenant(name), body.into()).await.unwrap();
        assert_eq!((receipt.accepted(), receipt.len()), (3, 3), "{name}");
        tokens.push(receipt.token().clone());
    }
    for token in &tokens {
        let late = pipeline.wait_until_queryable(token, SOON * 60).await.unwrap_err();
        assert_eq!(late.kind(), fineo_core::ErrorKind::LimitExceeded);
    }
    assert_eq!(world.rows("never_seen", "errors", &[]).await.len(), 0, "an outage makes no error row");
    assert!(world.rows("acme", "errors", &["class"]).await.iter().all(|row| row.ends_with("class=malformed")));

    outage.end();
    for (name, token) in ["acme", "never_seen"].iter().zip(&tokens) {
        pipeline.wait_until_queryable(token, SOON * 60).await.unwrap();
        let errors = world.rows(name, "errors", &["code"]).await;
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        assert!(errors[0].ends_with("code=timestamp_missing"), "{name}: {errors:?}");
    }
    assert_eq!(world.rows("acme", "n1", &[]).await, ["1000 known", "2000 known"]);
    assert_eq!(world.rows("acme", "n2", &[]).await, ["2000 new"]);
    assert_eq!(world.rows("never_seen", "n1", &[]).await, ["2000 known"]);
    pipeline.stop().await.unwrap();
}

/// Events of every fate: rows of two metrics, a re-send, refusals.
const MIXED: &str = r#"{"metrictype":"m","timestamp":1,"a":1,"b":23}
{"metrictype":"m","timestamp":1,"a":12,"b":3}
{"b":23,"a":1,"timestamp":1,"metrictype":"m"}
{"metrictype":"n","kind":"k","timestamp":2,"x":{"y":"z"}}
{"metrictype":"m","timestamp":"soon"}
{"metrictype":"m","timestamp":3
{"metrictype":"door"}
{"metrictype":"m","timestamp":4,"a":"warm"}"#;

/// Everything that a tenant can see, with the ids of events and of errors.
async fn everything(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for metric in ["n1", "n2", "n3", "n4"] {
        let ids = world.ids("acme", metric).await;
        let rows = world.rows("acme", metric, &["a", "b", "x.y", "kind"]).await;
        all.extend(ids.into_iter().chain(rows).map(|line| format!("{metric} {line}")));
    }
    all.extend(world.ids("acme", "errors").await);
    all.extend(world.rows("acme", "errors", &["stage", "class", "code", "raw", "replay_pointer"]).await);
    all
}

// R1
#[tokio::test(start_paused = true)]
async fn the_same_stream_makes_the_same_rows_however_its_batches_are_cut() {
    let source = World::new();
    let receipt = edge(&source.parts()).ingest(&tenant("acme"), MIXED.into()).await.unwrap();
    assert_eq!(receipt.accepted(), 8);
    let entries: Vec<Entry> = entries(&source).await.into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(entries.len(), 8);
    let mut answers = Vec::new();
    for cut in [1, 2, 3, 8] {
        let world = World::new();
        let options = PipelineOptions::default().with_cut_bytes(cut);
        let pipeline = Pipeline::start(world.parts(), options).await.unwrap();
        for part in entries.chunks(cut) {
            assert!(world.raw.append(part.to_vec()).await.iter().all(fineo_core::Outcome::is_done));
            pipeline.drain(SOON).await.unwrap();
        }
        pipeline.stop().await.unwrap();
        // The archive alone makes the same rows again.
        let rebuilt = World { nearline: fineo_backend_memory::MemoryNearline::new(), ..world.clone() };
        let pipeline = rebuilt.start().await;
        pipeline.replay(ReplayRequest::new(Stage::Raw, tenant("acme")), &NoFiles).await.unwrap();
        answers.push((cut, everything(&world).await));
        answers.push((cut, everything(&rebuilt).await));
        pipeline.stop().await.unwrap();
    }
    let (_, first) = answers[0].clone();
    assert_eq!(first.iter().filter(|line| line.starts_with("n1 ")).count(), 6, "{first:?}");
    for (cut, answer) in answers {
        assert_eq!(answer, first, "cut {cut}");
    }
}

// I1, R3
#[tokio::test]
async fn a_replay_selects_the_ids_again_that_were_in_force_at_arrival() {
    let world = World::new();
    let parts = world.parts();
    let schemas = parts.schemas.clone();
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    let event = r#"{"metrictype":"m","timestamp":1,"event_id":"x","a":1}"#;
    let twice = format!("{event}\n{event}");
    // Under `arrival` both are rows, under `content` they are one more, under `key` one more.
    let policies = [(Identity::Arrival, 2), (Identity::Content, 3), (Identity::Key, 4), (Identity::Content, 4)];
    for (number, (identity, rows)) in (1..).zip(policies) {
        apply(&schemas, number, vec![Change::SetIdentity { metric: None, identity: Some(identity) }]).await;
        let receipt = pipeline.edge().ingest(&tenant("acme"), twice.clone().into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
        assert_eq!(world.ids("acme", "n1").await.len(), rows, "{identity:?}");
    }
    let ids = world.ids("acme", "n1").await;
    for stage in Stage::ALL {
        for mode in [ReplayMode::AsRecorded, ReplayMode::ReDerive] {
            let report =
                pipeline.replay(ReplayRequest::new(stage, tenant("acme")).with_mode(mode), &NoFiles).await.unwrap();
            // Replays of stage raw sent their records to stage staged again.
            assert!(report.events >= 8 && report.rows == 0, "{stage} {mode:?}: {report:?}");
            assert_eq!(world.ids("acme", "n1").await, ids, "{stage} {mode:?}");
        }
    }
    pipeline.stop().await.unwrap();
}

// R3
#[tokio::test]
async fn as_recorded_an_event_is_read_as_it_was_and_re_derived_as_it_would_be_today() {
    let world = World::new();
    let parts = world.parts();
    let schemas = parts.schemas.clone();
    let events = format!("{MIXED}\n{{\"kind\":\"k\",\"timestamp\":5}}");
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    let receipt = pipeline.edge().ingest(&tenant("acme"), events.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    let before = everything(&world).await;
    let raw = |mode| ReplayRequest::new(Stage::Raw, tenant("acme")).with_mode(mode);
    let field = |name: &str, field_type: &str| Change::AddField {
        metric: "m".to_owned(),
        name: name.to_owned(),
        field_type: field_type.to_owned(),
        aliases: vec![],
        unit: None,
    };
    let create = Change::CreateMetric { name: "m".to_owned(), aliases: vec!["mm".to_owned()] };
    let rename = Change::RenameMetric { metric: "m".to_owned(), to: "meter".to_owned() };
    apply(&schemas, 1, vec![create, field("a", "int"), rename]).await;
    for mode in [ReplayMode::AsRecorded, ReplayMode::ReDerive] {
        let report = pipeline.replay(raw(mode), &NoFiles).await.unwrap();
        assert_eq!((report.events, report.rows), (9, 0), "{mode:?}: {report:?}");
        assert_eq!(everything(&world).await, before, "{mode:?}");
    }
    // From today on `kind` names the metric: that is read from old events only when they are derived again, and only
    // from what is no row yet. The event of `n` that has a `kind`, too, stays where it is.
    apply(&schemas, 2, vec![Change::SetMetricKeys { keys: vec!["kind".to_owned()] }]).await;
    for (mode, rows) in [(ReplayMode::AsRecorded, 0), (ReplayMode::ReDerive, 1)] {
        let report = pipeline.replay(raw(mode), &NoFiles).await.unwrap();
        assert_eq!((report.events, report.rows), (9, rows), "{mode:?}: {report:?}");
    }
    pipeline.stop().await.unwrap();
}

// N12
#[tokio::test(start_paused = true)]
async fn a_stop_while_a_worker_waits_after_a_failure_archives_what_it_had_passed_on() {
    let world = World::new();
    for stage in Stage::ALL {
        // The first batch is passed on, then the stream fails.
        let plan = FaultPlan::new(1).with_rule(Operation::StreamRead, When::Nth(0), Fault::FailAfter);
        let faults = Faults::new(plan);
        let mut parts = world.parts();
        match stage {
            Stage::Raw => parts.raw = Arc::new(FaultyStream::new(parts.raw, &faults)),
            Stage::Staged => parts.staged = Arc::new(FaultyStream::new(parts.staged, &faults)),
        }
        let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
        let name = stage.as_str();
        let body = r#"{"metrictype":"m","timestamp":1} {"metrictype":"m","timestamp":2}"#;
        let receipt = pipeline.edge().ingest(&tenant(name), body.into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
        pipeline.stop().await.unwrap();
        assert_eq!(faults.injected(), 1, "{name}");
        assert_eq!(world.archived(name).await, (2, 2), "{name}");
    }
}

// N2, N7, N8
#[tokio::test(start_paused = true)]
async fn after_an_outage_of_hours_everything_passes_oldest_first_and_nobody_was_pestered_meanwhile() {
    const OUTAGE: Duration = Duration::from_secs(3 * 3_600);
    let faults = Faults::new(FaultPlan::new(1).with_rule(Operation::NearlineWrite, When::Always, Fault::Throttle(50)));
    let world = World::new();
    let mut parts = world.parts();
    parts.nearline = Arc::new(FaultyNearline::new(parts.nearline, &faults));
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    let mut token = fineo_core::Cover::default();
    // Rows of one tenant, and errors of another: those wait as well.
    for number in 0..200 {
        let (name, body) = match number % 2 {
            0 => ("acme", format!(r#"{{"metrictype":"m","timestamp":{number}}}"#)),
            _ => ("beta", format!(r#"{{"metrictype":"m","number":{number}}}"#)),
        };
        let receipt = pipeline.edge().ingest(&tenant(name), body.into()).await.unwrap();
        token.merge(receipt.token());
    }
    pipeline.wait_until_queryable(&token, OUTAGE).await.unwrap_err();
    // Two workers, which wait half of ten seconds at least once they have waited for a while.
    let asked_max = 2 * OUTAGE.as_secs() / 5 + 40;
    assert!((100..asked_max).contains(&faults.injected()), "{} of {asked_max}", faults.injected());
    assert!(world.rows("acme", "n1", &[]).await.is_empty() && world.rows("beta", "errors", &[]).await.is_empty());
    faults.stop();
    pipeline.wait_until_queryable(&token, Duration::from_secs(60)).await.unwrap();
    assert_eq!(world.rows("acme", "n1", &[]).await.len(), 100);
    assert_eq!(world.rows("beta", "errors", &[]).await.len(), 100);
    pipeline.stop().await.unwrap();
}

// O3
#[tokio::test(start_paused = true)]
async fn what_came_after_a_split_is_passed_on_once_what_came_before_is_checkpointed() {
    let world = World::new();
    let edge = edge(&world.parts());
    let body = |number: u32| format!(r#"{{"metrictype":"m","timestamp":{number}}}"#);
    let before = edge.ingest(&tenant("acme"), body(1).into()).await.unwrap();
    let parent = world.raw.shards().await.unwrap().remove(0).id;
    world.raw.split_shard(&parent).unwrap();
    let mut after = fineo_core::Cover::default();
    for number in 2..40 {
        after.merge(edge.ingest(&tenant("acme"), body(number).into()).await.unwrap().token());
    }
    assert_eq!(after.iter().count(), 2, "both children have some");
    // The parent cannot be archived, so it has no end yet.
    let faults = Faults::new(FaultPlan::new(1).with_rule(Operation::ArchiveWrite, When::Always, Fault::FailBefore));
    let mut parts = world.parts();
    parts.archive = Arc::new(FaultyArchive::new(parts.archive, &faults));
    let pipeline = Pipeline::start(parts, PipelineOptions::default()).await.unwrap();
    pipeline.wait_until_queryable(before.token(), SOON).await.unwrap();
    pipeline.wait_until_queryable(&after, SOON * 60).await.unwrap_err();
    assert_eq!(world.rows("acme", "n1", &[]).await, ["1000 m"]);
    faults.stop();
    pipeline.wait_until_queryable(&after, SOON * 60).await.unwrap();
    assert_eq!(world.rows("acme", "n1", &[]).await.len(), 39);
    pipeline.stop().await.unwrap();
}

// N12
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_an_archive_that_is_gone_for_good() {
    let world = World::new();
    let faults = Faults::new(FaultPlan::new(1).with_rule(Operation::ArchiveWrite, When::Always, Fault::FailBefore));
    let mut parts = world.parts();
    parts.archive = Arc::new(FaultyArchive::new(parts.archive, &faults));
    // The pipeline as a whole would have the patience of an hour.
    let options = PipelineOptions::default().with_drain_for(SOON * 360);
    let pipeline = Pipeline::start(parts, options).await.unwrap();
    let receipt = pipeline.edge().ingest(&tenant("acme"), r#"{"metrictype":"m","timestamp":1}"#.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    tokio::time::timeout(SOON * 15, pipeline.stop()).await.unwrap().unwrap();
    // The next start does the rest.
    let pipeline = Pipeline::start(world.parts(), PipelineOptions::default()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), SOON).await.unwrap();
    pipeline.stop().await.unwrap();
    assert_eq!(world.rows("acme", "n1", &[]).await, ["1000 m"]);
    assert_eq!(world.archived("acme").await.0, 1);
}
