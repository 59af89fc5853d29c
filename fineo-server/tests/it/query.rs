//! Rows go out in the form that was asked for, and no faster than they are read.

use std::{sync::Arc, time::Duration};

use arrow::{buffer::Buffer, ipc::reader::StreamDecoder};
use fineo::core::{Clock, SystemClock};
use http_body_util::BodyExt;
use hyper::Method;

use crate::rig::Rig;

/// Three million rows, from nothing stored.
fn many() -> String {
    let thousand = (0..1_000).map(|n| format!("({n})")).collect::<Vec<_>>().join(",");
    let sql = format!(
        "WITH t AS (SELECT column1 AS n FROM (VALUES {thousand})) \
         SELECT a.n * 1000 + b.n AS n, c.column1 AS m FROM t a CROSS JOIN t b CROSS JOIN (VALUES (1), (2), (3)) c"
    );
    serde_json::json!({"sql": sql}).to_string()
}

#[tokio::test]
async fn accept_chooses_the_form() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let ask = r#"{"sql":"SELECT $1 AS a, $2 AS b, CAST(NULL AS INT) AS c","params":[1,"x,\n\"y"]}"#;
    let json = acme.post("/v1/query", ask).await.json();
    assert_eq!(json["rows"], serde_json::json!([{"a":1,"b":"x,\n\"y","c":null}]));
    assert_eq!(json["columns"][0]["name"], "a");
    let lines = acme.and("accept", "application/x-ndjson").post("/v1/query", ask).await.text();
    assert_eq!(lines, "{\"a\":1,\"b\":\"x,\\n\\\"y\",\"c\":null}\n");
    let csv = acme.and("accept", "text/csv;q=0.9, text/html").post("/v1/query", ask).await.text();
    assert_eq!(csv, "a,b,c\n1,\"x,\n\"\"y\",\n");
    let arrow = acme.and("accept", "application/vnd.apache.arrow.stream").post("/v1/query", ask).await;
    let mut decoder = StreamDecoder::new();
    let batch = decoder.decode(&mut Buffer::from(arrow.body)).unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (1, 3));
    let html = acme.and("accept", "text/html").post("/v1/query", ask).await;
    assert_eq!(html.problem(), (406, "not_acceptable".to_owned()));
    let nothing = acme.post("/v1/query", r#"{"sql":"SELECT 1 AS a WHERE false"}"#).await.json();
    assert_eq!(nothing["rows"], serde_json::json!([]));
}

#[tokio::test]
async fn a_key_stands_once_in_an_object_and_is_called_as_its_column() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let sql = "WITH a AS (SELECT 1 AS k, 10 AS seq), b AS (SELECT 1 AS k, 20 AS seq) \
               SELECT a.seq, b.seq, a.k AS seq_2 FROM a JOIN b ON a.k = b.k";
    let ask = serde_json::json!({"sql": sql}).to_string();
    let text = acme.post("/v1/query", ask.clone()).await.text();
    assert!(text.ends_with("\"rows\":[{\"seq\":10,\"seq_3\":20,\"seq_2\":1}]}\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = json["columns"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["seq", "seq_3", "seq_2"]);
    let lines = acme.and("accept", "application/x-ndjson").post("/v1/query", ask.clone()).await.text();
    assert_eq!(lines, "{\"seq\":10,\"seq_3\":20,\"seq_2\":1}\n");
    // Where columns are told by their place, they keep their names.
    let csv = acme.and("accept", "text/csv").post("/v1/query", ask).await.text();
    assert_eq!(csv, "seq,seq,seq_2\n10,20,1\n");
}

#[tokio::test]
async fn csv_tells_null_from_the_empty_string() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await.and("accept", "text/csv");
    for (rows, wanted) in [
        ("VALUES ('', NULL), (NULL, ''), ('a', ' b')", "x,y\n\"\",\n,\"\"\na, b\n"),
        ("VALUES ('\"', ','), ('\r', NULL)", "x,y\n\"\"\"\",\",\"\n\"\r\",\n"),
    ] {
        let sql = format!("SELECT x, y FROM ({rows}) AS t(x, y)");
        let answer = acme.post("/v1/query", serde_json::json!({"sql": sql}).to_string()).await;
        assert_eq!(answer.text(), wanted, "{rows}");
    }
    // As COPY of Postgres has it, too.
    let alone = acme.post("/v1/query", r#"{"sql": "SELECT x FROM (VALUES ('a'), (NULL), ('')) AS t(x)"}"#).await;
    assert_eq!(alone.text(), "x\na\n\n\"\"\n");
    let named = acme.post("/v1/query", r#"{"sql": "SELECT 1 AS \"a,b\", '' AS c WHERE false"}"#).await;
    assert_eq!(named.text(), "\"a,b\",c\n");
}

#[tokio::test]
async fn an_infinity_that_sql_makes_is_told_from_null() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let sql = "SELECT x * 1e10 AS x, CAST(x AS REAL) AS r, [x * 1e10, 1.5] AS l, x - x AS n \
               FROM (VALUES (1e308), (-1e308), (2.5), (NULL), ('NaN'::double)) AS t(x)";
    let answer = acme.post("/v1/query", serde_json::json!({"sql": sql}).to_string()).await.json();
    let wanted = serde_json::json!([
        {"x": "Infinity", "r": "Infinity", "l": ["Infinity", 1.5], "n": 0.0},
        {"x": "-Infinity", "r": "-Infinity", "l": ["-Infinity", 1.5], "n": 0.0},
        {"x": 2.5e10, "r": 2.5, "l": [2.5e10, 1.5], "n": 0.0},
        {"x": null, "r": null, "l": [null, 1.5], "n": null},
        {"x": "NaN", "r": "NaN", "l": ["NaN", 1.5], "n": "NaN"}
    ]);
    assert_eq!(answer["rows"], wanted);
    let sql = "SELECT x, CAST(x AS REAL) AS r, make_array(x, 1.5) AS l \
               FROM (VALUES ('-Infinity'::double), (2.5), (NULL), ('NaN')) AS t(x)";
    let csv = acme.and("accept", "text/csv").post("/v1/query", serde_json::json!({"sql": sql}).to_string()).await;
    let wanted = "x,r,l\n-Infinity,-Infinity,\"[\"\"-Infinity\"\",1.5]\"\n2.5,2.5,\"[2.5,1.5]\"\n\
                  ,,\"[null,1.5]\"\nNaN,NaN,\"[\"\"NaN\"\",1.5]\"\n";
    assert_eq!(csv.text(), wanted);
}

// Q09, Q14, T4
#[tokio::test]
async fn a_statement_that_is_not_allowed_is_a_problem_with_a_code_and_a_place() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    for sql in ["COPY m TO '/etc/x'", "SELECT 1; DROP TABLE m", "SELECT * FROM '/etc/passwd'", "SELEC 1", ""] {
        let answer = acme.post("/v1/query", serde_json::json!({"sql": sql}).to_string()).await;
        assert_eq!(answer.problem().0, 400, "{sql}: {answer:?}");
    }
    for body in ["", "{", "[]", r#"{"sql":1}"#, r#"{"sql":"SELECT 1","params":[[1]]}"#, r#"{"sql":"SELECT 1","x":1}"#] {
        assert_eq!(acme.post("/v1/query", body).await.problem().0, 400, "{body}");
    }
}

// B3, Q29
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_goes_away_or_does_not_read_ends_its_query_within_two_seconds() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let mut answer = acme.begin(Method::POST, "/v1/nothing", "").await;
    assert_eq!(answer.status(), 404);
    answer = acme.and("content-type", "application/json").begin(Method::POST, "/v1/query", many()).await;
    let first = answer.body_mut().frame().await.unwrap().unwrap();
    assert!(first.into_data().unwrap().starts_with(b"{\"columns\""));
    let held = Arc::strong_count(&rig.fineo);
    drop(answer);
    let clock = SystemClock;
    let mut waited = Duration::ZERO;
    while Arc::strong_count(&rig.fineo) >= held && waited < Duration::from_secs(2) {
        clock.sleep(Duration::from_millis(10)).await;
        waited += Duration::from_millis(10);
    }
    assert!(Arc::strong_count(&rig.fineo) < held, "the query still runs");
}

// Q29, B1
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_that_takes_nothing_is_left_and_does_not_take_a_part_for_the_whole() {
    let mut config = crate::rig::config();
    config.limits.stall_seconds_max = 1;
    let rig = Rig::with(config, None).await;
    let acme = rig.caller("acme").await.and("content-type", "application/json");
    let answer = acme.begin(Method::POST, "/v1/query", many()).await;
    SystemClock.sleep(Duration::from_millis(2_500)).await;
    let collected = answer.into_body().collect().await;
    assert!(collected.is_err(), "the answer was cut off, and says so");
}

#[tokio::test]
async fn bytes_are_written_as_events_bear_them() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let body = r#"{"sql":"SELECT X'010203' AS b, [X'ff'] AS l, CAST(NULL AS BYTEA) AS n"}"#;
    let json = acme.post("/v1/query", body).await.json();
    assert_eq!(json["rows"], serde_json::json!([{"b": "AQID", "l": ["/w=="], "n": null}]));
    assert_eq!(acme.ask("SELECT X'010203' AS b, CAST(NULL AS BYTEA) AS n").await, "b,n\nAQID,\n");
}

#[tokio::test]
async fn a_whole_number_is_exact_however_long() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    let ask = async |sql: &str, number: &str| {
        let body = format!(r#"{{"sql":"SELECT n FROM {sql}","params":[{number}]}}"#);
        acme.and("accept", "text/csv").post("/v1/query", body).await
    };
    let long = "(VALUES (9223372036854775807)) AS t(n) WHERE n";
    for (condition, number, rows) in [
        ("= $1", "9223372036854775808", "n\n"),
        ("< $1", "9223372036854775808", "n\n9223372036854775807\n"),
        ("= $1", "9223372036854775807", "n\n9223372036854775807\n"),
        ("> $1", "-9223372036854775809", "n\n9223372036854775807\n"),
    ] {
        assert_eq!(ask(&format!("{long} {condition}"), number).await.text(), rows, "{condition} {number}");
    }
    let digits = "9".repeat(38);
    let wide = format!("(SELECT CAST('{digits}' AS DECIMAL(38, 0)) AS n) AS t WHERE n = $1");
    assert_eq!(ask(&wide, &digits).await.text(), format!("n\n{digits}\n"));
    let refused = ask(&wide, &"9".repeat(39)).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("parameter $1"), "{refused:?}");
}

#[tokio::test]
async fn a_refusal_before_the_body_was_read_says_that_the_connection_ends() {
    let rig = Rig::new().await;
    let stranger = rig.caller_with(&[]);
    let acme = rig.caller("acme").await;
    let refused = stranger.post("/v1/query", "x".repeat(200_000)).await;
    assert_eq!((refused.status, refused.header("connection")), (401, "close"));
    let nowhere = acme.post("/v1/nothing", "{}").await;
    assert_eq!((nowhere.status, nowhere.header("connection")), (404, "close"));
    let no_method = acme.send(Method::PUT, "/v1/query", "{}").await;
    assert_eq!((no_method.status, no_method.header("connection")), (405, "close"));
    for read in [acme.post("/v1/query", r#"{"sql":"SELEC"}"#).await, acme.get("/v1/nothing").await] {
        assert!(read.status >= 400);
        assert_eq!(read.header("connection"), "", "{read:?}");
    }
}

#[tokio::test]
async fn values_are_as_many_as_the_statement_takes() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    for (sql, params, told) in [
        ("SELECT 1 AS a", "[7]", "taken=0, given=1"),
        ("SELECT $1 AS a", "[1,2]", "taken=1, given=2"),
        ("SELECT $2 AS a", "[1]", "taken=2, given=1"),
        ("SELECT '$2' AS a, $1 AS b -- $3", "[1,2]", "taken=1, given=2"),
    ] {
        let refused = acme.post("/v1/query", format!(r#"{{"sql":"{sql}","params":{params}}}"#)).await;
        assert_eq!(refused.problem(), (400, "query_invalid".to_owned()), "{sql}");
        assert!(refused.text().contains(told), "{sql}");
    }
    let many = format!(r#"{{"sql":"SELECT 1","params":[{}1]}}"#, "1,".repeat(65_535));
    let refused = acme.post("/v1/query", many).await;
    assert_eq!(refused.problem(), (400, "body_unreadable".to_owned()), "none is read that no statement can take");
    assert!(refused.text().contains("at most 65535 values"), "{refused:?}");
    let twice = acme.post("/v1/query", r#"{"sql":"SELECT $1 AS a, $1 AS b","params":[1]}"#).await.json();
    assert_eq!(twice["rows"], serde_json::json!([{"a":1,"b":1}]));
}

#[tokio::test]
async fn a_value_is_told_as_it_is() {
    let rig = Rig::new().await;
    let acme = rig.caller("acme").await;
    for (sql, told) in [
        (r#"SELECT * FROM \"it's\""#, "table=it's"),
        ("SELECT CAST('it''s' AS INT)", "value=it's, type=Int32"),
        ("SELECT CAST('x' AS DECIMAL(38, 10))", "value=x, type=Decimal128(38, 10)"),
    ] {
        let problem = acme.post("/v1/query", format!(r#"{{"sql":"{sql}"}}"#)).await.json();
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    }
}
