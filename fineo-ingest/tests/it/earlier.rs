//! What is given again after a process died is what it was, whatever was changed of the schema in between (I3, I4, N12).

use fineo_conformance::{
    Part,
    fault::{CrashPoints, Faults},
    pipeline::faulty,
    sweep_part,
};
use fineo_core::Result;
use fineo_ingest::{ImportOptions, ImportSource, Pipeline, PipelineOptions, Routing};
use fineo_schema::{Change, Identity, MissingTimestamp};

use crate::{
    desk::Desk,
    support::{SOON, tenant},
};

const EVENT: &str = r#"{"metrictype":"m","kind":"z","timestamp":"1767600","at":"2026-01-01","v":5}"#;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Everything that there is after the last records were archived: rows, errors, metrics, and staged records.
async fn all(desk: &Desk, metric: &str) -> (Vec<String>, usize, Vec<String>, usize) {
    desk.pipeline.drain(SOON).await.unwrap();
    let rows = desk.world.rows("acme", metric, &["v"]).await;
    let errors = desk.world.ids("acme", "errors").await.len();
    (rows, errors, desk.metrics().await, desk.world.archived("acme").await.1)
}

#[tokio::test]
async fn a_change_of_how_events_are_read_makes_no_second_row_and_no_error_of_what_a_process_died_over() {
    let changes: Vec<Change> = vec![
        Change::SetMetricKeys { keys: texts(&["kind"]) },
        Change::SetTimestampFormats { metric: None, formats: texts(&["epoch_s"]) },
        Change::SetTimestampFormats { metric: None, formats: texts(&["%Y-%m-%d"]) },
        Change::SetTimestampAliases { metric: None, aliases: texts(&["at"]) },
        Change::SetTimestampAliases { metric: Some("m".to_owned()), aliases: texts(&["kind"]) },
        Change::RenameMetric { metric: "m".to_owned(), to: "k".to_owned() },
        Change::SetIdentity { metric: None, identity: Some(Identity::Arrival) },
    ];
    for change in changes {
        let mut desk = Desk::new().await;
        desk.ingest(EVENT).await;
        desk.ingest(&format!("{EVENT} {}", EVENT.replace('5', "6"))).await;
        let shown = format!("{change:?}");
        desk.apply(change).await;
        let metrics = desk.metrics().await;
        for _ in 0..2 {
            desk = desk.killed().await;
            let (rows, errors, metrics_now, _) = all(&desk, "n1").await;
            assert_eq!(rows, ["1767600000 m v=5", "1767600000 m v=6"], "{shown}");
            assert_eq!((errors, &metrics_now), (0, &metrics), "{shown}");
        }
        desk.pipeline.stop().await.unwrap();
        assert_eq!(desk.world.archived("acme").await, (3, 3), "{shown}: a record for each event");
    }
}

#[tokio::test]
async fn a_deleted_metric_does_not_come_back_with_what_a_process_died_over() {
    let mut desk = Desk::new().await;
    desk.ingest(EVENT).await;
    desk.delete("m").await;
    let desk = desk.killed().await;
    assert_eq!(desk.metrics().await, Vec::<String>::new());
    // What is sent again later is newly discovered.
    desk.ingest(EVENT).await;
    assert_eq!(desk.metrics().await, ["m"]);
}

#[tokio::test]
async fn an_event_without_time_stays_a_row_when_a_time_is_asked_for_later() {
    let mut desk = Desk::new().await;
    let without_time = |policy| Change::SetMissingTimestamp { metric: None, policy: Some(policy) };
    desk.apply(without_time(MissingTimestamp::Arrival)).await;
    desk.ingest(r#"{"metrictype":"m","v":5}"#).await;
    desk.apply(without_time(MissingTimestamp::Reject)).await;
    let desk = desk.killed().await;
    let (rows, errors, ..) = all(&desk, "n1").await;
    assert_eq!((rows.len(), errors), (1, 0));
}

#[tokio::test]
async fn what_the_sender_said_the_metric_was_stays_so_when_a_key_says_otherwise_later() {
    let mut desk = Desk::new().await;
    let options = ImportOptions::new(Routing::Tenant(tenant("acme"))).with_metric(Some("pump".to_owned()));
    let source = ImportSource::Bytes(r#"{"kind":"k","timestamp":1,"v":1}"#.into());
    let report = desk.pipeline.edge().import(source, options, |_| {}).await.unwrap();
    desk.pipeline.wait_until_queryable(&report.token, SOON).await.unwrap();
    desk.apply(Change::SetMetricKeys { keys: texts(&["kind"]) }).await;
    let desk = desk.killed().await;
    assert_eq!(all(&desk, "n1").await.0, ["1000 pump v=1"]);
    assert_eq!(desk.metrics().await, ["pump"]);
}

// I5
#[tokio::test]
async fn a_clients_key_conflicts_as_often_as_it_did() {
    let mut desk = Desk::new().await;
    desk.apply(Change::SetIdentity { metric: None, identity: Some(Identity::Key) }).await;
    let event = |v: u8| format!(r#"{{"metrictype":"m","kind":"z","timestamp":1,"event_id":"a","v":{v}}}"#);
    desk.ingest(&format!("{}\n{}", event(1), event(2))).await;
    desk.apply(Change::SetMetricKeys { keys: texts(&["kind"]) }).await;
    let desk = desk.killed().await;
    let (rows, errors, metrics, _) = all(&desk, "n1").await;
    assert_eq!((rows, errors, metrics), (vec!["1000 m v=1".to_owned()], 1, vec!["m".to_owned()]));
}

// I5
#[tokio::test]
async fn of_two_events_of_one_key_each_is_what_it_was() {
    let mut desk = Desk::new().await;
    desk.apply(Change::SetIdentity { metric: None, identity: Some(Identity::Key) }).await;
    let event =
        |time: &str, v: u8| format!(r#"{{"metrictype":"m","kind":"z","timestamp":{time},"event_id":"a","v":{v}}}"#);
    desk.ingest(&format!("{}\n{}", event("\"bad\"", 1), event("1", 2))).await;
    let before = all(&desk, "n1").await;
    assert_eq!((before.0.as_slice(), before.1), (["1000 m v=2".to_owned()].as_slice(), 1));
    desk.apply(Change::SetMetricKeys { keys: texts(&["kind"]) }).await;
    let desk = desk.killed().await;
    let after = all(&desk, "n1").await;
    assert_eq!((after.0, after.1), (before.0, 1));
    desk.pipeline.stop().await.unwrap();
    assert_eq!(desk.world.archived("acme").await, (2, 1));
}

#[tokio::test]
async fn events_that_go_by_their_arrival_are_as_many_as_were_sent() {
    let mut desk = Desk::new().await;
    desk.apply(Change::SetIdentity { metric: None, identity: Some(Identity::Arrival) }).await;
    desk.ingest(&[EVENT; 5].join("\n")).await;
    for keys in ["kind", "metrictype"] {
        desk.apply(Change::SetMetricKeys { keys: texts(&[keys]) }).await;
        desk = desk.killed().await;
        assert_eq!(all(&desk, "n1").await.0.len(), 5);
        assert_eq!(desk.world.rows("acme", "n2", &["v"]).await.len(), 0);
    }
}

#[tokio::test]
async fn what_was_settled_and_trimmed_before_keeps_nothing_from_being_told() {
    let mut desk = Desk::new().await;
    for round in 0..3 {
        desk.ingest(&EVENT.replace('5', &round.to_string())).await;
        desk = desk.restarted().await;
        desk.ingest(&EVENT.replace('5', &(round + 5).to_string())).await;
        let keys = if round % 2 == 0 { "kind" } else { "metrictype" };
        desk.apply(Change::SetMetricKeys { keys: texts(&[keys]) }).await;
        desk = desk.killed().await;
    }
    let rows = [all(&desk, "n1").await.0, all(&desk, "n2").await.0].concat();
    assert_eq!(rows.len(), 6, "{rows:?}");
    desk.pipeline.stop().await.unwrap();
    assert_eq!(desk.world.archived("acme").await, (6, 6));
}

#[tokio::test]
async fn what_was_not_forwarded_before_is_and_what_arrives_later_too() {
    let mut desk = Desk::new().await;
    desk.ingest(EVENT).await;
    desk.apply(Change::SetMetricKeys { keys: texts(&["kind"]) }).await;
    // Nobody reads what is accepted here before the next process begins.
    desk.pipeline = edge_only(&desk).await;
    let receipt = desk.pipeline.edge().ingest(&tenant("acme"), EVENT.replace('5', "7").into()).await.unwrap();
    assert_eq!(receipt.accepted(), 1);
    let desk = desk.killed().await;
    desk.ingest(&EVENT.replace('5', "8")).await;
    assert_eq!(all(&desk, "n1").await.0, ["1767600000 m v=5"]);
    assert_eq!(all(&desk, "n2").await.0, ["1767600000 z v=7", "1767600000 z v=8"]);
}

async fn edge_only(desk: &Desk) -> Pipeline {
    Pipeline::start(desk.world.parts(), PipelineOptions::default().with_runs_stages(false)).await.unwrap()
}

/// What is given again comes in several batches, each of them cut; the first one has an event that is forwarded only now. The
/// process that does so dies at one of `points`, and another one does the rest.
async fn given_again_in_batches(points: CrashPoints) -> Result<()> {
    let mut desk = Desk::new().await;
    // So large that a batch has one of them.
    let pad = "x".repeat(530_000);
    let event =
        |time: &str, v: u8| format!(r#"{{"metrictype":"m","kind":"z","timestamp":"{time}","v":{v},"pad":"{pad}"}}"#);
    desk.ingest(&[event("03/04/2026", 0), event("1", 1), event("2", 2), event("3", 3)].join("\n")).await;
    desk.apply(Change::SetTimestampFormats { metric: None, formats: texts(&["%d/%m/%Y"]) }).await;
    desk.apply(Change::SetMetricKeys { keys: texts(&["kind"]) }).await;
    desk.pipeline = edge_only(&desk).await;
    tokio::task::yield_now().await;
    desk.world.nearline.crash();
    let parts = faulty(desk.world.parts(), &Faults::none().with_points(points.clone()));
    let cut_often = PipelineOptions::default().with_cut_bytes(1);
    let interrupted = points.run(async {
        let pipeline = Pipeline::start(parts, cut_often).await?;
        pipeline.drain(SOON).await?;
        pipeline.stop().await
    });
    if let Some(ended) = interrupted.await {
        ended?;
    }
    let desk = desk.killed().await;
    desk.pipeline.drain(SOON).await.unwrap();
    let names: Vec<Vec<String>> =
        [desk.world.rows("acme", "n1", &["v"]).await, desk.world.rows("acme", "n2", &["v"]).await].into();
    assert_eq!(names[0], ["1000 m v=1", "2000 m v=2", "3000 m v=3"]);
    assert_eq!(names[1], ["1775174400000000 z v=0"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cut_between_batches_that_are_given_again_keeps_the_rest_in_mind() {
    let part = Part { points_max: Some(25), seed: 1, at_once: 1 };
    let swept = sweep_part(given_again_in_batches, part).await.unwrap();
    println!("{swept}");
    assert!(swept.interrupted > 20, "{swept}");
}
