//! Events come in, each with a result of its own.

use std::io::Write;

use fineo_server::Scope;
use hyper::Method;

use crate::rig::{Rig, config};

const GOOD: &str = r#"{"metrictype":"m","timestamp":1000,"temp":21}"#;

// D1, F1, E34
#[tokio::test]
async fn every_event_has_its_result_in_order_and_a_token_that_a_query_can_wait_for() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let answer = acme.post("/v1/events", format!("[{GOOD},{{\"deep\":{deep}}},{GOOD}]")).await;
    assert_eq!(answer.status, 202);
    let json = answer.json();
    assert_eq!((json["accepted"].as_u64(), json["rejected"].as_u64()), (Some(2), Some(1)));
    assert_eq!((&json["ack"], &json["durability"]), (&"accepted".into(), &"volatile".into()));
    let statuses: Vec<&str> =
        json["results"].as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["accepted", "rejected", "accepted"]);
    assert_eq!(json["results"][1]["code"], "too_deep");
    let ask = serde_json::json!({"sql": "SELECT count(*) AS n FROM m", "min_position": json["token"]});
    let rows = acme.post("/v1/query", ask.to_string()).await;
    assert_eq!(rows.json()["rows"], serde_json::json!([{"n": 1}]), "two events with the same content are one");
    assert!(rows.header("fineo-data-as-of").starts_with("raw="), "{rows:?}");
    rig.stop().await;
}

// F1
#[tokio::test]
async fn a_position_that_is_not_reached_in_time_is_said_to_be() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let token = acme.ingest(GOOD).await["token"].as_str().unwrap().to_owned();
    let later = format!("{}fffff", token);
    let ask = serde_json::json!({"sql": "SELECT 1", "min_position": later, "wait_ms": 50});
    assert_eq!(acme.post("/v1/query", ask.to_string()).await.problem(), (504, "freshness_timeout".to_owned()));
    let ask = serde_json::json!({"sql": "SELECT 1", "min_position": "../../x"});
    assert_eq!(acme.post("/v1/query", ask.to_string()).await.problem(), (400, "token_invalid".to_owned()));
}

#[tokio::test]
async fn packed_bodies_and_lines_are_events_too() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let lines = "{\"metrictype\":\"m\",\"timestamp\":1}\n{\"metrictype\":\"m\",\"timestamp\":2}\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.as_bytes()).unwrap();
    let gzip = acme.and("content-encoding", "gzip").post("/v1/events", gzip.finish().unwrap()).await;
    let packed = zstd::encode_all(lines.replace("timestamp\":", "timestamp\":3").as_bytes(), 1).unwrap();
    let zstd = acme.and("content-encoding", "zstd").post("/v1/events?ack=queryable", packed).await;
    assert_eq!([gzip.json()["accepted"].as_u64(), zstd.json()["accepted"].as_u64()], [Some(2), Some(2)]);
    assert_eq!(acme.ask("SELECT count(*) FROM m").await, "count(*)\n4\n");
}

// P1, P6, E37, T1
#[tokio::test]
async fn the_tenant_comes_from_the_token_and_the_scope_bounds_what_it_may_do() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let bolt = rig.caller("bolt").await;
    acme.ingest(r#"{"metrictype":"secret","timestamp":1,"tenant":"bolt","tenant_id":"bolt"}"#).await;
    assert_eq!(acme.ask("SELECT tenant FROM secret").await, "tenant\nbolt\n");
    let foreign = bolt.post("/v1/query", r#"{"sql":"SELECT * FROM secret"}"#).await;
    let missing = bolt.post("/v1/query", r#"{"sql":"SELECT * FROM nonesuch"}"#).await;
    assert_eq!(foreign.text().replace("secret", "nonesuch"), missing.text(), "T4: forbidden is as missing");
    assert_eq!(bolt.get("/v1/metrics").await.json(), serde_json::json!([]));
    let elsewhere = bolt.and("fineo-tenant", "acme").post("/v1/events", GOOD).await;
    assert_eq!(elsewhere.problem(), (403, "forbidden".to_owned()));

    let token = rig.token("acme", &[Scope::Ingest]).await;
    let device = rig.caller_with(&[("authorization", &format!("Bearer {}", token.reveal()))]);
    assert_eq!(device.post("/v1/events", GOOD).await.status, 202);
    for (method, path) in [
        (Method::POST, "/v1/query"),
        (Method::GET, "/v1/metrics"),
        (Method::GET, "/v1/errors"),
        (Method::PUT, "/v1/schema"),
        (Method::POST, "/v1/replay"),
    ] {
        assert_eq!(device.send(method, path, "{}").await.problem(), (403, "forbidden".to_owned()), "{path}");
    }
    rig.credentials.revoke(token.id()).await.unwrap();
    assert_eq!(device.post("/v1/events", GOOD).await.problem(), (401, "unauthenticated".to_owned()));
}

// P6
#[tokio::test]
async fn without_a_valid_token_every_answer_is_the_same() {
    let rig = Rig::new().await;
    let known = rig.token("acme", &[Scope::Query]).await;
    let mut answers = Vec::new();
    for value in ["", "Bearer", "Bearer x", "Basic YWNtZTp4", &format!("Bearer {}0", known.reveal())] {
        answers.push(rig.caller_with(&[("authorization", value)]).get("/v1/metrics").await);
    }
    answers.push(rig.caller_with(&[]).get("/v1/metrics").await);
    for answer in &answers {
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"));
        assert_eq!(answer.body, answers[0].body);
    }
}

#[tokio::test]
async fn a_batch_has_a_manifest_and_is_taken_in_once() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let csv = acme.and("content-type", "text/csv").and("idempotency-key", "monday");
    let body = "metrictype,timestamp,temp\nm,1000,1\nm,2000,2\n";
    let first = csv.send(Method::POST, "/v1/batches", body).await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = csv.send(Method::POST, "/v1/batches", body).await;
    assert_eq!((again.status, &again.json()["id"]), (200, &first.json()["id"]));
    let token = first.json()["token"].as_str().unwrap().parse().unwrap();
    rig.fineo.wait_until_fresh(&token, std::time::Duration::from_secs(20)).await.unwrap();
    let manifest = acme.get(first.header("location")).await.json();
    assert_eq!((&manifest["state"], &manifest["accepted"]), (&"queryable".into(), &2.into()));
    let bolt = rig.caller("bolt").await;
    assert_eq!(bolt.get(first.header("location")).await.problem(), (404, "not_found".to_owned()));
    assert_eq!(acme.get("/v1/batches/../../x").await.status, 404);
}

// T1, T4
#[tokio::test]
async fn a_batch_is_read_from_the_folder_of_its_tenant() {
    let drops = tempfile::tempdir().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"metrictype,timestamp,temp\nm,1000,1\nm,2000,2\n").unwrap();
    let long = format!("{{\"metrictype\":\"long\",\"timestamp\":1,\"text\":\"{}\"}}", "x".repeat(300));
    for (path, bytes) in [
        ("acme/monday.csv.gz", gzip.finish().unwrap()),
        ("acme/long.json", long.into_bytes()),
        ("bolt/secret.json", GOOD.as_bytes().to_vec()),
    ] {
        let file = drops.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
    let mut config = config();
    config.batches.folders = vec![format!("file://{}", drops.path().display())];
    config.batches.unpacked_bytes_max = 200;
    let rig = Rig::with(config, None).await;
    let acme = rig.caller("acme").await;
    let from = |path: &str| format!("/v1/batches?from=file://{}/{path}", drops.path().display());
    let taken = acme.and("idempotency-key", "monday").send(Method::POST, &from("acme/monday.csv.gz"), "").await;
    assert_eq!((taken.status, &taken.json()["accepted"]), (202, &2.into()), "{taken:?}");
    std::fs::remove_file(drops.path().join("acme/monday.csv.gz")).unwrap();
    let again = acme.and("idempotency-key", "monday").send(Method::POST, &from("acme/monday.csv.gz"), "").await;
    assert_eq!((again.status, &again.json()["id"]), (200, &taken.json()["id"]), "it is gone since, and is known");
    let other = acme.and("idempotency-key", "monday").send(Method::POST, &from("acme/long.json"), "").await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()));
    let token = taken.json()["token"].as_str().unwrap().parse().unwrap();
    rig.fineo.wait_until_fresh(&token, std::time::Duration::from_secs(20)).await.unwrap();
    assert_eq!(acme.ask("SELECT sum(CAST(temp AS INT)) AS s FROM m").await, "s\n3\n");
    let another = acme.send(Method::POST, &from("bolt/secret.json"), "").await;
    let missing = acme.send(Method::POST, &from("acme/none.json"), "").await;
    assert_eq!((another.status, another.text()), (404, missing.text()), "T4: forbidden is as missing");
    let long = acme.send(Method::POST, &from("acme/long.json"), "").await;
    assert_eq!(long.problem(), (413, "request_too_large".to_owned()));
    let both = acme.send(Method::POST, &from("acme/monday.csv.gz"), GOOD).await;
    assert_eq!(both.problem(), (400, "invalid".to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn a_body_of_a_type_that_is_not_read_is_refused_and_nothing_of_it_is_stored() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let csv = "metrictype,timestamp,temp\nm,1000,1\n";
    for (path, content_type, body) in [
        ("/v1/events", "text/csv", csv),
        ("/v1/events", "Text/CSV; charset=utf-8", csv),
        ("/v1/events", "multipart/form-data; boundary=x", GOOD),
        ("/v1/batches", "application/xml", "<m/>"),
    ] {
        let answer = acme.and("content-type", content_type).send(Method::POST, path, body).await;
        assert_eq!(answer.problem(), (415, "unsupported_media_type".to_owned()), "{path} {content_type}");
        let hint = answer.json()["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("application/x-ndjson") && hint.contains("/v1/batches"), "{hint}");
    }
    for content_type in [
        "application/json",
        "application/x-ndjson",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "text/plain;charset=UTF-8",
    ] {
        for path in ["/v1/events", "/v1/batches"] {
            let answer = acme.and("content-type", content_type).send(Method::POST, path, GOOD).await;
            assert_eq!((answer.status, &answer.json()["accepted"]), (202, &1.into()), "{path} {content_type}");
        }
    }
    acme.ingest(GOOD).await;
    assert_eq!(acme.ask("SELECT count(*) AS n FROM m").await, "n\n1\n");
    assert_eq!(acme.ask("SELECT count(*) AS n FROM errors.stream").await, "n\n0\n");
}
