//! The schema over HTTP.

use hyper::Method;
use serde_json::json;

use crate::rig::Rig;

const DECLARATION: &str = r#"{"metrics":{"m":{"fields":{"temp":{"type":"double","aliases":["t"]}}}}}"#;

// SC1, S01, S02
#[tokio::test]
async fn a_change_is_a_compare_and_set_on_the_etag_and_happens_once_per_key() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    acme.ingest(r#"{"metrictype":"m","timestamp":1,"t":"20"}"#).await;
    let tag = acme.get("/v1/schema").await.header("etag").to_owned();
    let first = acme.and("if-match", &tag).send(Method::PUT, "/v1/schema", DECLARATION).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_ne!(first.header("etag"), tag);
    let add = json!({"changes":[{"op":"add_field_alias","metric":"m","field":"temp","alias":"heat"}]}).to_string();
    let late = acme.and("if-match", &tag).post("/v1/schema/changes", add.clone()).await;
    assert_eq!(late.problem(), (412, "schema_conflict".to_owned()));
    let once = acme.and("idempotency-key", "k1").post("/v1/schema/changes", add.clone()).await;
    let twice = acme.and("idempotency-key", "k1").post("/v1/schema/changes", add).await;
    assert_eq!((once.status, twice.status), (200, 200), "{twice:?}");
    assert_eq!(once.json()["change"], twice.json()["change"]);
    assert_eq!(twice.json()["is_repeated"], true);
    assert_eq!(acme.ask("SELECT heat FROM m").await, "heat\n20.0\n");
}

#[tokio::test]
async fn another_change_under_a_known_key_is_refused_and_not_lost_in_silence() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    acme.ingest(r#"{"metrictype":"m","timestamp":1,"t":"20"}"#).await;
    let put = async |key: &str, file: &str| {
        acme.and("idempotency-key", key).send(Method::PUT, "/v1/schema", file.to_owned()).await
    };
    let post = async |key: &str, step: serde_json::Value| {
        acme.and("idempotency-key", key).post("/v1/schema/changes", json!({"changes": [step]}).to_string()).await
    };
    let refused = (422, "idempotency_key_reused".to_owned());
    let other = r#"{"metrics":{"n":{"fields":{"temp":{"type":"long"}}}}}"#;
    assert_eq!(put("k1", DECLARATION).await.json()["is_repeated"], false);
    assert_eq!(put("k1", DECLARATION).await.json()["is_repeated"], true);
    assert_eq!(put("k1", other).await.problem(), refused);
    let alias = |alias: &str| json!({"op":"add_field_alias","metric":"m","field":"temp","alias":alias});
    assert_eq!(post("k1", alias("heat")).await.problem(), refused);
    assert_eq!(post("k2", alias("heat")).await.json()["is_repeated"], false);
    assert_eq!(post("k2", alias("warmth")).await.problem(), refused);
    assert_eq!(put("k2", other).await.problem(), refused);
    assert_eq!(acme.get("/v1/metrics/n").await.status, 404, "a refused one changes nothing");
    // Others change what a declaration made before it is sent again.
    let renamed = json!({"op":"remove_field_alias","metric":"m","field":"temp","alias":"t"});
    assert_eq!(post("k3", renamed).await.status, 200);
    let late = put("k1", DECLARATION).await;
    assert_eq!((late.status, &late.json()["is_repeated"]), (200, &true.into()), "{late:?}");
    assert_eq!(post("k2", alias("heat")).await.json()["is_repeated"], true);
    // How far a deletion reaches is not part of what is asked for.
    let delete = json!({"op":"delete_metric","metric":"m","through":{}});
    assert_eq!(post("k4", delete.clone()).await.json()["is_repeated"], false);
    acme.ingest(r#"{"metrictype":"m","timestamp":2,"t":"21"}"#).await;
    let again = post("k4", delete).await;
    assert_eq!((again.status, &again.json()["is_repeated"]), (200, &true.into()), "{again:?}");
}

#[tokio::test]
async fn metrics_fields_history_discoveries_and_suggestions_can_be_looked_at() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    acme.ingest(r#"[{"metrictype":"m","timestamp":1,"temp":20.5},{"metrictype":"m","timestamp":2,"temp":21.5}]"#).await;
    assert_eq!(acme.get("/v1/metrics").await.json()[0]["name"], "m");
    assert_eq!(acme.get("/v1/metrics/m/fields").await.json()[0]["name"], "temp");
    assert_eq!(acme.get("/v1/metrics/..%2F..%2Fx").await.problem(), (404, "not_found".to_owned()));
    assert_eq!(acme.get("/v1/schema/discovered?metric=m").await.json()[0]["field"], "temp");
    let suggestions = acme.get("/v1/schema/suggestions").await.json();
    let id = fineo_server::client::escaped(suggestions[0]["id"].as_str().unwrap());
    assert_eq!(acme.post(&format!("/v1/schema/suggestions/{id}/apply"), "").await.status, 200);
    let history = acme.get("/v1/schema/history").await.json();
    let change = history.as_array().unwrap().last().unwrap()["change"].as_str().unwrap().to_owned();
    assert_eq!(acme.post(&format!("/v1/schema/history/{change}/undo"), "").await.status, 200);
    assert_eq!(acme.get("/v1/tenant").await.json()["tenant"], "acme");
    assert_eq!(acme.post("/v1/schema/plan", DECLARATION).await.status, 200);
}

#[tokio::test]
async fn errors_are_listed_and_replayed() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    acme.ingest(r#"{"metrictype":"m","when":1000}"#).await;
    let errors = acme.get("/v1/errors?code=timestamp_missing&open=true").await.json();
    assert_eq!(errors["rows"][0]["code"], "timestamp_missing");
    let set = json!({"changes":[{"op":"set_timestamp_aliases","metric":null,"aliases":["when"]}]}).to_string();
    assert_eq!(acme.post("/v1/schema/changes", set).await.status, 200);
    let replayed = acme.post("/v1/replay", r#"{"stage":"raw","errors_only":true}"#).await.json();
    assert_eq!((&replayed["events"], &replayed["repaired"]), (&1.into(), &1.into()), "{replayed}");
    assert_eq!(acme.get("/v1/errors?open=true").await.json()["rows"], json!([]));
}

// A step without the metric that was meant would be one for every metric.
#[tokio::test]
async fn a_step_with_a_key_that_it_does_not_have_is_refused_and_nothing_is_changed() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let scaled = json!({"scale": 2, "offset": 0, "metricname": "m"});
    let steps = [
        (json!({"op": "set_retain_days", "days": 30, "metrics": "ty"}), "`metrics`, expected `metric` or `days`"),
        (json!({"op": "set_retain_days", "day": 30}), "`day`, expected `metric` or `days`"),
        (json!({"op": "create_role", "role": "r", "x": 1}), "`x`, expected `role`"),
        (json!({"op": "add_conversion", "metric": "m", "field": "f", "conversion": scaled}), "`metricname`, expected"),
    ];
    for (step, told) in steps {
        let sent = json!({"changes": [{"op": "create_metric", "name": "m", "aliases": []}, step]}).to_string();
        let refused = acme.post("/v1/schema/changes", sent).await;
        assert_eq!(refused.problem(), (400, "body_unreadable".to_owned()), "{step}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&format!("unknown field {told}")), "{detail}");
    }
    assert_eq!(acme.get("/v1/schema/history").await.json(), json!([]));
    let twice = r#"{"changes":[{"op":"create_metric","name":"m","name":"n","aliases":[]}]}"#;
    assert_eq!(acme.post("/v1/schema/changes", twice).await.status, 400);
    let right = json!({"changes": [
        {"op": "create_metric", "name": "m", "aliases": []},
        {"op": "set_retain_days", "days": 30, "metric": "m"},
        {"op": "add_field", "metric": "m", "name": "f", "field_type": "double", "aliases": []},
        {"op": "add_conversion", "metric": "m", "field": "f", "conversion": {"scale": 0.1, "offset": 3, "from": 1_000_000}},
    ]});
    let made = acme.post("/v1/schema/changes", right.to_string()).await;
    assert_eq!(made.status, 200, "{made:?}");
    let api = rig.caller_with(&[]).get("/v1/openapi.json").await.json();
    let schemas = &api["components"]["schemas"];
    assert_eq!(schemas["StepConversion"]["additionalProperties"], false);
    let steps = schemas["Step"]["oneOf"].as_array().unwrap().clone();
    assert!(steps.len() > 30);
    for step in steps {
        assert_eq!(step["additionalProperties"], false, "{step}");
    }
}

#[tokio::test]
async fn the_api_describes_itself() {
    let rig = Rig::new().await;
    let api = rig.caller_with(&[]).get("/v1/openapi.json").await.json();
    for path in ["/v1/events", "/v1/query", "/v1/schema/changes", "/v1/batches/{id}"] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    assert_eq!(rig.caller_with(&[]).get("/healthz").await.status, 200);
    assert_eq!(rig.caller_with(&[]).get("/readyz").await.status, 200);
    let metrics = rig.caller_with(&[]).get("/metrics").await;
    assert!(metrics.text().contains("fineo_http_requests_total"), "{metrics:?}");
}
