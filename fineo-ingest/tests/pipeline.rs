//! Events go through the whole pipeline over the in-memory stores.

mod support;

use fineo_core::Durability;
use support::{World, tenant};

#[tokio::test]
async fn an_event_becomes_a_row_and_a_re_send_collapses() {
    // D1, I2, I3, F1
    let world = World::new();
    let pipeline = world.start().await;
    let body = r#"{"metrictype":"pump","timestamp":1700000000000,"t":1.50,"s":"ok"}
{"s":"ok","t":1.50,"timestamp":1700000000000,"metrictype":"pump"}
{"metrictype":"pump","timestamp":1700000000000,"t":2}"#;
    let receipt = pipeline.edge().ingest(&tenant("acme"), body.into()).await.unwrap();
    assert_eq!((receipt.accepted(), receipt.rejected().len()), (3, 0));
    assert_eq!(receipt.durability(), Durability::Volatile);
    pipeline.wait_until_queryable(receipt.token(), support::SOON).await.unwrap();
    let rows = world.rows("acme", "n1", &["t", "s"]).await;
    assert_eq!(rows, ["1700000000000000 pump t=1.50 s=ok", "1700000000000000 pump t=2"]);
    let counts = pipeline.counters().tenant(&tenant("acme"));
    assert_eq!((counts.accepted, counts.rows, counts.duplicates), (3, 2, 1));
    pipeline.stop().await.unwrap();
}

#[tokio::test]
async fn the_originals_collisions_stay_two_events() {
    // I3: the original hashed values without names or separators.
    let world = World::new();
    let pipeline = world.start().await;
    let body = r#"[{"metrictype":"m","timestamp":1,"a":1,"b":23},{"metrictype":"m","timestamp":1,"a":12,"b":3},
        {"metrictype":"m","timestamp":1,"a":1},{"metrictype":"m","timestamp":1,"b":1},{"metrictype":"m","timestamp":1,"b":"1"}]"#;
    let receipt = pipeline.edge().ingest(&tenant("acme"), body.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), support::SOON).await.unwrap();
    assert_eq!(world.rows("acme", "n1", &["a", "b"]).await.len(), 5);
}

#[tokio::test]
async fn what_a_stage_refuses_has_an_error_row_and_its_neighbours_pass() {
    // E06, E07, E14, E22, E34
    let cases = [
        (r#"{"metrictype":"m","timestamp":1,"t":1,"t":2}"#, "duplicate_key"),
        (r#"{"metrictype":"m","timestamp":1,"t":1,"\u0074":2}"#, "duplicate_key"),
        (r#"{"metrictype":"m","timestamp":1,"a.b":1,"a":{"b":2}}"#, "duplicate_key"),
        (r#"{"metrictype":"m","timestamp":1,"x":[{"a":1,"a":2}]}"#, "duplicate_key"),
        (r#"{"metrictype":"m","timestamp":1,"_fineo_id":2}"#, "name_reserved"),
        (r#"{"metrictype":"m","timestamp":1,"":2}"#, "name_unreadable"),
        (r#"{"metrictype":"m","t":2}"#, "timestamp_missing"),
        (r#"{"metrictype":"m","timestamp":"soon"}"#, "timestamp_unreadable"),
        (r#"{"timestamp":1,"t":2}"#, "metric_missing"),
        (r#"{"metrictype":["m"],"timestamp":1}"#, "metric_unreadable"),
        (r#"{"metrictype":{"a":1},"timestamp":1}"#, "metric_unreadable"),
        (r#"{"metrictype":"fineo_m","timestamp":1}"#, "metric_unreadable"),
        (r#"{"metrictype":"m","timestamp":1,}"#, "json_unreadable"),
        (r#"{"metrictype":"m","timestamp":01}"#, "json_unreadable"),
        (r#"{"metrictype":"m","timestamp":1"#, "json_unreadable"),
        (r#"hello"#, "json_unreadable"),
        (r#"42"#, "not_an_object"),
        (r#"null"#, "not_an_object"),
        (r#""x""#, "not_an_object"),
        (r#"[1,2]"#, "not_an_object"),
    ];
    for (event, code) in cases {
        let world = World::new();
        let pipeline = world.start().await;
        let good = |number: u32| format!(r#"{{"metrictype":"m","timestamp":{number}}}"#);
        let body = format!("{}\n{event}\n{}", good(1), good(2));
        let receipt = pipeline.edge().ingest(&tenant("acme"), body.into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), support::SOON).await.unwrap();
        assert_eq!(world.rows("acme", "n1", &[]).await.len(), 2, "{event}");
        let errors = world.rows("acme", "errors", &["code"]).await;
        assert!(
            !errors.is_empty() && errors.iter().all(|row| row.ends_with(&format!("code={code}"))),
            "{event}: {errors:?}"
        );
    }
}

#[tokio::test]
async fn a_restart_goes_on_at_the_checkpoint() {
    // N3, N12
    let world = World::new();
    for round in 0..3 {
        let pipeline = world.start().await;
        let body = format!(r#"{{"metrictype":"m","timestamp":{round}}}"#);
        let receipt = pipeline.edge().ingest(&tenant("acme"), body.into()).await.unwrap();
        pipeline.wait_until_queryable(receipt.token(), support::SOON).await.unwrap();
        pipeline.stop().await.unwrap();
        assert_eq!(world.rows("acme", "n1", &[]).await.len(), round + 1);
        assert_eq!(world.archived("acme").await, (round + 1, round + 1));
    }
}
