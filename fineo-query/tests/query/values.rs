//! What values are: types, conflicts, units, deletions, times. Semantics 2.5, 3.6, 4.3, 4.4, 4.6.

use fineo_core::{Cover, Position, ShardId};
use fineo_query::Parameter;
use fineo_schema::{Change, StatedConversion};

use crate::desk::{Desk, field};

async fn one_of_each() -> Desk {
    let mut desk = Desk::new();
    let row: &[_] = &[
        ("s", "text"),
        ("b", "true"),
        ("i", "1.0"),
        ("l", "9007199254740993"),
        ("f", "1.5"),
        ("d", "-2.25e3"),
        ("m", "12.345"),
        ("t", "2026-01-01T00:00:00+01:00"),
        ("y", "2026-02-28"),
        ("x", "AQID"),
        ("j", "{\"a\":1}"),
        ("u", "17"),
    ];
    let unfit: &[_] = &[
        ("b", "maybe"),
        ("i", "1.5"),
        ("l", "9223372036854775808"),
        ("f", "warm"),
        ("d", "warm"),
        ("m", "warm"),
        ("t", "warm"),
        ("y", "warm"),
        ("x", "*"),
        ("j", "{"),
        ("u", "warm"),
    ];
    desk.rows("acme", "all", &[row, unfit]).await;
    let types = [
        ("s", "string"),
        ("b", "boolean"),
        ("i", "int"),
        ("l", "long"),
        ("f", "float"),
        ("d", "double"),
        ("m", "decimal(10,2)"),
        ("t", "timestamp"),
        ("y", "date"),
        ("x", "bytes"),
        ("j", "json"),
    ];
    let mut changes = vec![Change::CreateMetric { name: "all".to_owned(), aliases: Vec::new() }];
    changes.extend(types.map(|(name, field_type)| field("all", name, field_type, &[])));
    desk.apply("acme", changes).await;
    desk
}

#[tokio::test]
async fn every_type_reads_its_text_and_null_where_it_does_not_fit() {
    // SC5
    let desk = one_of_each().await;
    desk.check(
        "SELECT s, b, i, l, f, d, t, y, x, j, u FROM \"all\" ORDER BY timestamp",
        &[
            "s|b|i|l|f|d|t|y|x|j|u",
            "text|true|1|9007199254740993|1.5|-2250.0|2025-12-31T23:00:00Z|2026-02-28|010203|{\"a\":1}|17",
            "-|-|-|-|-|-|-|-|-|-|warm",
        ],
    )
    .await;
    desk.check("SELECT m FROM \"all\" WHERE i = 1", &["m", "-"]).await;
}

#[tokio::test]
async fn a_cast_of_undeclared_text_names_the_value_that_does_not_fit() {
    // Q16
    let desk = one_of_each().await;
    let message = desk.refuses("SELECT CAST(u AS DOUBLE) FROM \"all\"", "cannot_cast").await;
    assert!(message.contains("warm"), "{message}");
    desk.refuses("SELECT u::int FROM \"all\"", "cannot_cast").await;
    desk.check("SELECT TRY_CAST(u AS DOUBLE) AS v FROM \"all\" ORDER BY timestamp", &["v", "17.0", "-"]).await;
    desk.check("SELECT sum(CAST(u AS INT)) AS v FROM \"all\" WHERE s = 'text'", &["v", "17"]).await;
}

#[tokio::test]
async fn times_compare_with_text_dates_intervals_and_each_other() {
    let mut desk = Desk::new();
    let far = "253402300799999999";
    desk.rows("acme", "m", &[&[("v", "0")], &[("v", "1")], &[("v", "2")], &[("v", "9999"), ("timestamp", far)]]).await;
    for (filter, expected) in [
        ("timestamp >= '2026-01-01T00:00:01Z' AND timestamp < '2026-01-01 00:00:02'", vec!["v", "1"]),
        ("timestamp > DATE '2025-12-31' AND timestamp < '2026-01-02'", vec!["v", "0", "1", "2"]),
        ("timestamp < now() - INTERVAL '59 minutes 58 seconds'", vec!["v", "0", "1"]),
        ("timestamp BETWEEN '2026-01-01T00:00:01Z' AND '2026-01-01T00:00:01Z'", vec!["v", "1"]),
        ("timestamp = TIMESTAMP '2026-01-01 00:00:02'", vec!["v", "2"]),
        ("CAST(timestamp AS DATE) = '2026-01-01' AND v <> '0'", vec!["v", "1", "2"]),
        ("date_trunc('day', timestamp) = '2026-01-01T00:00:00Z' AND v = '1'", vec!["v", "1"]),
        ("timestamp > '2027-01-01' OR v = '0'", vec!["v", "0", "9999"]),
        ("timestamp > now()", vec!["v", "9999"]),
        ("timestamp IN ('2026-01-01T00:00:01Z', '2026-01-01T00:00:02+00:00')", vec!["v", "1", "2"]),
        ("timestamp > '9999-01-01'", vec!["v", "9999"]),
        ("m.timestamp < (SELECT max(timestamp) FROM m) AND v <> '0'", vec!["v", "1", "2"]),
        ("NOT (timestamp < '2027-01-01')", vec!["v", "9999"]),
    ] {
        desk.check(&format!("SELECT v FROM m WHERE {filter} ORDER BY timestamp"), &expected).await;
    }
    desk.check(
        "SELECT date_bin(INTERVAL '2 seconds', timestamp) AS at, count(*) AS n FROM m WHERE timestamp < '2027-01-01' \
         GROUP BY 1 ORDER BY 1",
        &["at|n", "2026-01-01T00:00:00Z|2", "2026-01-01T00:00:02Z|1"],
    )
    .await;
}

#[tokio::test]
async fn parameters_take_the_place_of_literals() {
    let desk = one_of_each().await;
    let asked = [Parameter::from(1_i64), Parameter::from("text")];
    let answer = desk.try_ask("acme", "SELECT d FROM \"all\" WHERE i = $1 AND s = $2", &asked).await.unwrap();
    assert_eq!(answer, "d\n-2250.0");
    let at = [Parameter::from("2026-01-01T00:00:01Z")];
    let answer = desk.try_ask("acme", "SELECT u FROM \"all\" WHERE timestamp >= $1", &at).await.unwrap();
    assert_eq!(answer, "u\nwarm");
    let error = desk.try_ask("acme", "SELECT d FROM \"all\" WHERE i = $1", &[]).await.unwrap_err();
    assert!(error.to_string().contains("code="), "{error}");
}

#[tokio::test]
async fn units_convert_by_name_metric_and_time() {
    let mut desk = Desk::new();
    desk.rows("acme", "m", &[&[("c", "10")], &[("f", "50")], &[("c", "1000")], &[("f", "hot")]]).await;
    let create = Change::CreateMetric { name: "m".to_owned(), aliases: Vec::new() };
    let declared = field("m", "c", "double", &["f"]);
    let fahrenheit = StatedConversion {
        scale: 5.0 / 9.0,
        offset: -160.0 / 9.0,
        name: Some("f".into()),
        ..StatedConversion::default()
    };
    let milli = StatedConversion {
        scale: 0.01,
        name: Some("c".into()),
        from: Some(fineo_core::Timestamp::from_micros(crate::desk::NEW_YEAR + 2_000_000).unwrap()),
        ..StatedConversion::default()
    };
    let convert = |conversion| Change::AddConversion { metric: "m".to_owned(), field: "c".to_owned(), conversion };
    desk.apply("acme", vec![create, declared, convert(fahrenheit), convert(milli)]).await;
    desk.check(
        "SELECT round(c) AS v FROM m WHERE c > 9 OR c IS NULL ORDER BY timestamp",
        &["v", "10.0", "10.0", "10.0", "-"],
    )
    .await;
}

#[tokio::test]
async fn deleted_values_are_gone_and_later_ones_are_text() {
    let mut desk = Desk::new();
    desk.rows("acme", "m", &[&[("a", "1"), ("k", "x")], &[("b", "2"), ("a", "3")]]).await;
    let create = Change::CreateMetric { name: "m".to_owned(), aliases: Vec::new() };
    desk.apply("acme", vec![create, field("m", "a", "int", &[])]).await;
    let through: Cover = [(ShardId::new("s0").unwrap(), Position::from(2))].into_iter().collect();
    desk.apply("acme", vec![Change::DeleteField { metric: "m".to_owned(), field: "a".to_owned(), through }]).await;
    desk.refuses("SELECT a FROM m", "unknown_column").await;
    desk.rows("acme", "m", &[&[("a", "4"), ("k", "late")]]).await;
    desk.check("SELECT a, k FROM m ORDER BY _fineo_event_id", &["a|k", "-|x", "-|-", "4|late"]).await;
}

#[tokio::test]
async fn the_last_value_per_device_and_joins_and_windows_work() {
    let mut desk = Desk::new();
    desk.rows("acme", "m", &[&[("d", "a"), ("v", "1")], &[("d", "a"), ("v", "2")], &[("d", "b"), ("v", "3")]]).await;
    desk.check(
        "SELECT d, last_value(v ORDER BY timestamp) AS v, max(timestamp) AS at FROM m GROUP BY d ORDER BY d",
        &["d|v|at", "a|2|2026-01-01T00:00:01Z", "b|3|2026-01-01T00:00:02Z"],
    )
    .await;
    desk.check(
        "SELECT m.d, x.n FROM m JOIN (VALUES ('a', 'first'), ('b', 'second')) AS x(d, n) ON x.d = m.d \
         WHERE v > '1' ORDER BY v",
        &["d|n", "a|first", "b|second"],
    )
    .await;
    desk.check("SELECT d FROM m WHERE v = '1' UNION ALL SELECT v FROM m WHERE d = 'b' ORDER BY d", &["d", "3", "a"])
        .await;
    desk.check("SELECT count(*) AS n, count(v) AS c FROM m", &["n|c", "3|3"]).await;
}

#[tokio::test]
async fn who_counts_with_a_text_hears_how_to_read_it_as_a_number() {
    let mut desk = Desk::new();
    desk.rows("acme", "t", &[&[("v", "21.5")]]).await;
    for sql in ["SELECT v + 1 FROM t", "SELECT avg(v) FROM t", "SELECT sum(v) FROM t"] {
        let told = desk.refuses(sql, "query_invalid").await;
        assert!(told.contains("CAST(field AS DOUBLE)") && !told.contains("Internal error"), "{sql}: {told}");
    }
    let told = desk.refuses("SELECT averge(1)", "unknown_function").await;
    assert!(told.contains("did you mean avg?"), "{told}");
}
