//! Tables that Fineo brings: semantics 2.5, 3.7, 4.9.

use fineo_core::{MetricId, Position, ShardId};
use fineo_query::QueryLimits;
use fineo_schema::Change;

use crate::desk::{Desk, field};

#[tokio::test]
async fn conflicts_count_values_that_do_not_fit() {
    let mut desk = Desk::new();
    desk.rows("acme", "m", &[&[("v", "warm")], &[("v", "1")], &[("w", "hot")], &[("w", "cold")]]).await;
    let create = Change::CreateMetric { name: "m".to_owned(), aliases: Vec::new() };
    desk.apply("acme", vec![create, field("m", "v", "double", &["w"])]).await;
    desk.check(
        "SELECT * FROM fineo_conflicts ORDER BY alias",
        &[
            "metric|field|alias|count|sample|first_seen|last_seen",
            "m|v|v|1|warm|2026-01-01T00:00:00Z|2026-01-01T00:00:00Z",
            "m|v|w|2|hot|2026-01-01T00:00:02Z|2026-01-01T00:00:03Z",
        ],
    )
    .await;
}

#[tokio::test]
async fn discovered_names_show_what_they_hold() {
    let mut desk = Desk::new();
    desk.rows("acme", "m", &[&[("v", "1"), ("w", "x")], &[("v", "2.5")]]).await;
    desk.check(
        "SELECT metric, Name, count, long_share, double_share FROM fineo_discovered ORDER BY NAME",
        &["metric|Name|count|long_share|double_share", "m|v|2|0.5|1.0", "m|w|1|0.0|0.0"],
    )
    .await;
}

#[tokio::test]
async fn errors_are_rows_with_bytes_and_repairs() {
    let mut desk = Desk::new();
    let error: &[_] = &[
        ("stage", "raw"),
        ("class", "malformed"),
        ("code", "metric_missing"),
        ("message", "no metric"),
        ("raw", "{}"),
        ("handled_at", "2026-01-01T00:00:05Z"),
        ("build", "0.1.0"),
        ("replay_pointer", "raw/s0/1"),
    ];
    desk.rows_of("acme", &MetricId::errors(), "errors", &[error, &[("stage", "raw"), ("raw_bytes", "/w==")]]).await;
    let repaired: &[_] = &[("error", "00000000000000010000000000000000"), ("repaired_at", "2026-01-02T00:00:00Z")];
    desk.rows_of("acme", &MetricId::new("repairs").unwrap(), "repairs", &[repaired]).await;
    desk.check(
        "SELECT * FROM errors.stream ORDER BY received_at",
        &[
            "stage|class|code|message|raw|raw_bytes|metric|received_at|handled_at|build|replay_pointer|repaired_at",
            "raw|malformed|metric_missing|no metric|{}|7b7d|-|2026-01-01T00:00:00Z|2026-01-01T00:00:05Z|0.1.0|raw/s0/1|\
             2026-01-02T00:00:00Z",
            "raw|-|-|-|-|ff|-|2026-01-01T00:00:01Z|-|-|-|-",
        ],
    )
    .await;
    desk.check("SELECT count(*) AS n FROM Errors.Stream WHERE CODE = 'metric_missing'", &["n", "1"]).await;
    desk.check("SELECT code FROM errors.stream WHERE repaired_at IS NOT NULL", &["code", "metric_missing"]).await;
}

// B1
#[tokio::test]
async fn what_is_repaired_counts_against_the_memory_of_the_query_that_shows_it() {
    let mut desk = Desk::with_limits(QueryLimits::default().with_memory_bytes_max(64 << 10));
    desk.rows_of("acme", &MetricId::errors(), "errors", &[&[("code", "metric_missing")]]).await;
    let repair = |number: u32| [("error", &*format!("{number:032x}").leak()), ("repaired_at", "2026-01-02T00:00:00Z")];
    let repairs: Vec<[(&str, &str); 2]> = (0..1_000).map(repair).collect();
    let repairs: Vec<&[(&str, &str)]> = repairs.iter().map(<[_; 2]>::as_slice).collect();
    desk.rows_of("acme", &MetricId::new("repairs").unwrap(), "repairs", &repairs).await;
    desk.check("SELECT code FROM errors.stream", &["code", "metric_missing"]).await;
    let refused = desk.refuses("SELECT code, repaired_at FROM errors.stream", "memory_limit").await;
    assert!(refused.contains("leave repaired_at out"), "{refused}");
}

#[tokio::test]
async fn the_information_schema_lists_what_is_there() {
    let mut desk = Desk::new();
    desk.rows("acme", "m", &[&[("v", "1")]]).await;
    desk.check(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema <> 'information_schema'",
        &["table_schema|table_name", "public|m", "public|fineo_conflicts", "public|fineo_discovered", "errors|stream"],
    )
    .await;
    desk.check(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'm' ORDER BY ordinal_position",
        &["column_name|data_type", "timestamp|timestamp", "v|string"],
    )
    .await;
    desk.check(
        "SHOW TABLES",
        &[
            "table_schema|table_name|table_type",
            "errors|stream|VIEW",
            "information_schema|columns|VIEW",
            "information_schema|schemata|VIEW",
            "information_schema|tables|VIEW",
            "public|fineo_conflicts|VIEW",
            "public|fineo_discovered|VIEW",
            "public|m|BASE TABLE",
        ],
    )
    .await;
    let described = &["column_name|data_type|is_nullable", "timestamp|Timestamp(µs, \"UTC\")|NO", "v|Utf8View|YES"];
    desk.check("DESCRIBE M", described).await;
    desk.check("SHOW COLUMNS FROM m", described).await;
}

#[tokio::test]
async fn rows_of_a_metric_that_was_ruled_out_are_errors() {
    let mut desk = Desk::new();
    desk.rows("acme", "junk", &[&[("a", "1"), ("b", "x\"y")]]).await;
    desk.apply("acme", vec![Change::RuleOutMetric { metric: "junk".to_owned() }]).await;
    desk.refuses("SELECT * FROM junk", "unknown_table").await;
    desk.check(
        "SELECT class, code, metric, raw FROM errors.stream WHERE code = 'ruled_out'",
        &["class|code|metric|raw", "malformed|ruled_out|junk|{\"a\":\"1\",\"b\":\"x\\\"y\"}"],
    )
    .await;
    desk.check("SELECT count(*) AS n FROM errors.stream", &["n", "1"]).await;
}

#[tokio::test]
async fn what_was_deleted_is_not_among_the_errors_of_a_metric_that_was_ruled_out() {
    let mut desk = Desk::new();
    desk.rows("acme", "junk", &[&[("a", "1"), ("ssn", "123")]]).await;
    let through = [(ShardId::new("s0").unwrap(), Position::from(1))].into_iter().collect();
    let junk = "junk".to_owned();
    desk.apply(
        "acme",
        vec![
            Change::DeleteField { metric: junk.clone(), field: "ssn".to_owned(), through },
            Change::RuleOutMetric { metric: junk },
        ],
    )
    .await;
    desk.check("SELECT raw FROM errors.stream", &["raw", "{\"a\":\"1\"}"]).await;
}
