//! Events go through the whole pipeline over the in-memory stores.

use fineo_core::Durability;

use crate::support::{World, tenant};

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
    pipeline.wait_until_queryable(receipt.token(), crate::support::SOON).await.unwrap();
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
    pipeline.wait_until_queryable(receipt.token(), crate::support::SOON).await.unwrap();
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
        pipeline.wait_until_queryable(receipt.token(), crate::support::SOON).await.unwrap();
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
        pipeline.wait_until_queryable(receipt.token(), crate::support::SOON).await.unwrap();
        pipeline.stop().await.unwrap();
        assert_eq!(world.rows("acme", "n1", &[]).await.len(), round + 1);
        assert_eq!(world.archived("acme").await, (round + 1, round + 1));
    }
}

#[tokio::test]
async fn the_edge_refuses_only_what_it_cannot_frame() {
    // D4, E01, E04, E09, E21, E31, E34
    let many: String = "{}\n".repeat(10_001);
    let deep = "[".repeat(100_000);
    let wide: String =
        format!("{{{}}}", (0..10_001).map(|number| format!("\"f{number}\":1")).collect::<Vec<_>>().join(","));
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20));
    let huge = " ".repeat((10 << 20) + 1);
    let in_arrays = format!(r#"{{"a":[{}]}}"#, vec![r#"{"k":1}"#; 10_001].join(","));
    let cases: [(&[u8], &str); 13] = [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"[]", ""),
        (deep.as_bytes(), "too_deep"),
        (many.as_bytes(), "too_many_events"),
        (wide.as_bytes(), "too_many_fields"),
        (in_arrays.as_bytes(), "ok"),
        (large.as_bytes(), "event_too_large"),
        (huge.as_bytes(), "request_too_large"),
        (b"{\"a\":\"\xff\"}", "bad_utf8"),
        (b"{\"a\":\"\xc0\x80\"}", "bad_utf8"),
        (b"\xef\xbb\xbf{\"a\":1}", "ok"),
        (b"{\"a\":1", "json_unreadable"),
    ];
    let world = World::new();
    let pipeline = world.start().await;
    for (body, expected) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
        let receipt = pipeline.edge().ingest(&tenant("acme"), body.to_vec().into()).await.unwrap();
        let results: Vec<String> = receipt
            .results()
            .map(|result| match result {
                fineo_ingest::EventResult::Accepted(_) => "ok".to_owned(),
                fineo_ingest::EventResult::Rejected(rejection) => rejection.code.to_string(),
                fineo_ingest::EventResult::Failed(error) => error.to_string(),
            })
            .collect();
        let expected: Vec<&str> = if expected.is_empty() { vec![] } else { vec![expected] };
        assert_eq!(results, expected, "{shown}");
    }
}

#[tokio::test]
async fn an_import_routes_by_tenant_and_reads_packed_csv() {
    use std::io::Write as _;

    use fineo_ingest::{ImportFormat, ImportOptions, ImportSource, Routing};
    let world = World::new();
    let pipeline = world.start().await;
    let body = r#"{"who":"acme","metrictype":"m","timestamp":1,"a":1}
{"who":"beta","metrictype":"m","timestamp":1,"a":2}
{"metrictype":"m","timestamp":1}
{"who":"_bad","metrictype":"m","timestamp":1}
"#;
    let options = ImportOptions::new(Routing::Field("who".to_owned()));
    let report = pipeline.edge().import(ImportSource::Bytes(body.into()), options, |_| {}).await.unwrap();
    assert_eq!(report.accepted, 2);
    let rejected: Vec<_> = report.rejected.into_iter().collect();
    assert_eq!(rejected, [("tenant_invalid", 1), ("tenant_missing", 1)]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"timestamp,a,\"b,c\"\n5,x,\"1\n2\"\n6,y\n7,,z").unwrap();
    let options = ImportOptions::new(Routing::Tenant(tenant("acme")))
        .with_format(ImportFormat::Csv)
        .with_metric(Some("csv".to_owned()));
    let source = ImportSource::Bytes(packed.finish().unwrap().into());
    let csv = pipeline.edge().import(source, options, |_| {}).await.unwrap();
    assert_eq!(csv.accepted, 3);
    pipeline.wait_until_queryable(&report.token, crate::support::SOON).await.unwrap();
    pipeline.wait_until_queryable(&csv.token, crate::support::SOON).await.unwrap();
    assert_eq!(world.rows("acme", "n1", &["a", "who"]).await, ["1000 m a=1"]);
    assert_eq!(world.rows("beta", "n1", &["a", "who"]).await, ["1000 m a=2"]);
    assert_eq!(world.rows("acme", "n2", &["a", "b,c"]).await, ["5000 csv a=x b,c=1\n2", "7000 csv a= b,c=z"]);
    assert_eq!(world.rows("acme", "errors", &["code"]).await.len(), 1);
}

#[tokio::test]
async fn what_came_before_a_source_broke_off_is_in_the_stream_and_told() {
    use std::io::Write as _;

    use fineo_ingest::{ImportOptions, ImportReport, ImportSource, Routing};
    let event = |number: usize| format!("{{\"metrictype\":\"m\",\"timestamp\":1,\"a\":{number}}}\n");
    for count in [5, 100, 9_000] {
        let text: String = (0..count).map(event).collect();
        // Nothing is packed in it, so that the last 20 bytes are one event's and the end's.
        let mut stored = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        stored.write_all(text.as_bytes()).unwrap();
        let whole = stored.finish().unwrap();
        let sources = [
            (whole[..whole.len() - 20].to_vec(), count - 1),
            ([whole.as_slice(), b"trailing"].concat(), count),
            ([whole.as_slice(), &whole[..9]].concat(), count),
        ];
        for (source, kept) in sources {
            let pipeline = World::new().start().await;
            let mut last = ImportReport::default();
            let options = ImportOptions::new(Routing::Tenant(tenant("acme")));
            let source = ImportSource::Bytes(source.into());
            let imported = pipeline.edge().import(source, options, |report| last = report.clone()).await;
            assert_eq!(imported.unwrap_err().kind(), fineo_core::ErrorKind::Invalid);
            assert_eq!(last.accepted, kept as u64);
            pipeline.wait_until_queryable(&last.token, crate::support::SOON).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_key_that_is_taken_is_a_conflict_and_both_are_kept() {
    // I5, E29
    use fineo_schema::{Change, ChangeId, ChangeRequest, Identity};
    let world = World::new();
    let parts = world.parts();
    let schemas = parts.schemas.clone();
    let change = Change::SetIdentity { metric: None, identity: Some(Identity::Key) };
    schemas.apply(&tenant("acme"), ChangeRequest::new(ChangeId::of_bytes([1; 16]), vec![change])).await.unwrap();
    let pipeline = fineo_ingest::Pipeline::start(parts, fineo_ingest::PipelineOptions::default()).await.unwrap();
    let body = r#"{"metrictype":"m","timestamp":1,"event_id":"x","a":1}
{"a":1,"event_id":"x","timestamp":1,"metrictype":"m"}
{"metrictype":"m","timestamp":1,"event_id":"x","a":2}"#;
    let receipt = pipeline.edge().ingest(&tenant("acme"), body.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), crate::support::SOON).await.unwrap();
    assert_eq!(world.rows("acme", "n1", &["a", "event_id"]).await, ["1000 m a=1"]);
    let errors = world.rows("acme", "errors", &["code", "class", "stage", "raw"]).await;
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains(r#"code=id_conflict class=malformed stage=staged raw={"a":"2"}"#), "{errors:?}");
    pipeline.stop().await.unwrap();
    let archived = world.archived_bytes("acme").await;
    for line in body.lines() {
        assert!(archived.iter().any(|bytes| bytes.ends_with(line.as_bytes())), "{line} is not archived as it was sent");
    }
}

#[tokio::test]
async fn a_replay_repairs_errors_once_and_changes_nothing_twice() {
    // I2, semantics 5.4
    use fineo_core::archive::Stage;
    use fineo_ingest::{NoFiles, ReplayRequest};
    use fineo_schema::{Change, ChangeId, ChangeRequest};
    let world = World::new();
    let parts = world.parts();
    let schemas = parts.schemas.clone();
    let pipeline = fineo_ingest::Pipeline::start(parts, fineo_ingest::PipelineOptions::default()).await.unwrap();
    let body = r#"{"metrictype":"m","timestamp":1,"a":1}
{"kind":"m","timestamp":2,"a":2}"#;
    let receipt = pipeline.edge().ingest(&tenant("acme"), body.into()).await.unwrap();
    pipeline.wait_until_queryable(receipt.token(), crate::support::SOON).await.unwrap();
    let change = Change::SetMetricKeys { keys: vec!["kind".to_owned()] };
    schemas.apply(&tenant("acme"), ChangeRequest::new(ChangeId::of_bytes([1; 16]), vec![change])).await.unwrap();
    for (repaired, rows) in [(1, 1), (0, 0)] {
        let request = ReplayRequest::new(Stage::Raw, tenant("acme")).with_errors_only(true);
        let report = pipeline.replay(request, &NoFiles).await.unwrap();
        assert_eq!((report.repaired, report.rows), (repaired, rows), "{report:?}");
    }
    assert_eq!(world.rows("acme", "n1", &["a"]).await, ["1000 m a=1", "2000 m a=2"]);
    pipeline.stop().await.unwrap();
    // From the archive now; whole, through both stages.
    let pipeline = world.start().await;
    for stage in Stage::ALL {
        let report = pipeline.replay(ReplayRequest::new(stage, tenant("acme")), &NoFiles).await.unwrap();
        assert_eq!((report.rows, report.repaired), (0, 0), "{report:?}");
        assert!(report.events >= 2, "{report:?}");
    }
    assert_eq!(world.rows("acme", "repairs", &[]).await.len(), 1);
}

#[tokio::test]
async fn one_poison_entry_is_quarantined_and_a_flood_stops_the_stage() {
    // N4
    use fineo_core::{Stream as _, stream::Entry};
    for (count, is_stopped) in [(1, false), (20, false), (21, true)] {
        let world = World::new();
        let entry = Entry { tenant: tenant("acme"), key: 0, payload: "no envelope".into() };
        assert!(world.raw.append(vec![entry; count]).await.iter().all(fineo_core::Outcome::is_done));
        let pipeline = world.start().await;
        let drained = pipeline.drain(std::time::Duration::from_millis(500)).await;
        let errors = world.rows("acme", "errors", &["class", "code", "raw"]).await;
        let failed = pipeline.status().await.unwrap().shards.iter().any(|shard| shard.failure.is_some());
        assert_eq!((drained.is_err(), failed), (is_stopped, is_stopped), "{count}: {drained:?}");
        let expected = if is_stopped { 0 } else { count };
        assert_eq!(errors.len(), expected, "{errors:?}");
        assert!(errors.iter().all(|row| row.ends_with("class=commit code=internal raw=no envelope")), "{errors:?}");
    }
}

// N6
#[tokio::test(start_paused = true)]
async fn a_start_says_within_a_minute_what_keeps_it() {
    let world = World::new();
    let outage = std::sync::Arc::new(crate::support::Outage::new(world.repo.clone()));
    outage.begin();
    let mut parts = world.parts();
    parts.repo = outage.clone();
    let started = fineo_ingest::Pipeline::start(parts, fineo_ingest::PipelineOptions::default());
    let refused = tokio::time::timeout(crate::support::SOON * 6, started).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("the repository is down"), "{refused}");
    outage.end();
    world.start().await.stop().await.unwrap();
}
