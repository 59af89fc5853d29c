//! Statements that only the newest row of each key counts for read the newest rows first, and answer as others do.

use fineo_query::QueryLimits;
use fineo_schema::Change;
use proptest::prelude::*;

use crate::desk::{Cell, Desk, NEW_YEAR, field};

async fn desk(rows: &[Vec<Cell>]) -> Desk {
    let mut limits = QueryLimits::default();
    limits.batch_rows_max = 3;
    let mut desk = Desk::with_limits(limits);
    let rows: Vec<&[Cell]> = rows.iter().map(Vec::as_slice).collect();
    desk.rows("acme", "m", &[&[("d", "a"), ("v", "1"), ("u", "y")]]).await;
    desk.rows("acme", "m", &rows).await;
    let create = Change::CreateMetric { name: "m".to_owned(), aliases: Vec::new() };
    desk.apply("acme", vec![create, field("m", "dev", "string", &["d"]), field("m", "val", "double", &["v"])]).await;
    desk
}

#[tokio::test]
async fn the_plan_says_when_the_newest_rows_come_first() {
    let desk = desk(&[]).await;
    let first = "LatestExec: newest first";
    for (sql, by) in [
        ("SELECT dev, last_value(val ORDER BY timestamp) FROM m GROUP BY dev", "by=[dev]"),
        ("SELECT d, max(timestamp) FROM m WHERE v IS NOT NULL GROUP BY d", "by=[d], where=v@"),
        ("SELECT max(CAST(timestamp AS BIGINT) / 1000) FROM m", "by=[]"),
        ("SELECT u, first_value(v ORDER BY u, timestamp DESC) FROM m WHERE v > 1 GROUP BY u", "by=[u], where=v@"),
        ("SELECT DISTINCT ON (d) d, v FROM m ORDER BY d, timestamp DESC", "by=[d]"),
        ("SELECT DISTINCT ON (d) d, v FROM m ORDER BY d, timestamp DESC, _fineo_event_id DESC", "by=[d]"),
        ("SELECT d, last_value(v ORDER BY timestamp, _fineo_event_id) FROM m GROUP BY d", "by=[d]"),
        (
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY d ORDER BY timestamp DESC) AS n FROM m) WHERE n = 1",
            "by=[d]",
        ),
    ] {
        let plan = desk.explain(sql).await;
        assert!(plan.contains(first) && plan.contains(by), "{sql}: no {by} in\n{plan}");
    }
    for sql in [
        "SELECT dev, last_value(val ORDER BY timestamp), count(*) FROM m GROUP BY dev",
        "SELECT dev, last_value(val ORDER BY val) FROM m GROUP BY dev",
        "SELECT dev, last_value(val ORDER BY timestamp DESC) FROM m GROUP BY dev",
        "SELECT dev, last_value(val ORDER BY timestamp, val) FROM m GROUP BY dev",
        "SELECT dev, last_value(val ORDER BY timestamp, _fineo_event_id DESC) FROM m GROUP BY dev",
        "SELECT d, last_value(v ORDER BY CAST(timestamp AS BIGINT) / 1000000, _fineo_event_id) FROM m GROUP BY d",
        "SELECT d, last_value(v ORDER BY CAST(timestamp AS TIMESTAMP(0)), _fineo_event_id) FROM m GROUP BY d",
        "SELECT dev, last_value(val) IGNORE NULLS ORDER BY timestamp FROM m GROUP BY dev",
        "SELECT dev, max(timestamp) FILTER (WHERE val > 1) FROM m GROUP BY dev",
        "SELECT dev, u, max(timestamp) FROM m GROUP BY dev, u",
        "SELECT val, max(timestamp) FROM m GROUP BY val",
        "SELECT dev, last_value(CAST(u AS DOUBLE) ORDER BY timestamp) FROM m GROUP BY dev",
        "SELECT dev, max(timestamp) FROM m WHERE CAST(u AS DOUBLE) > 1 GROUP BY dev",
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY d ORDER BY timestamp) AS n FROM m) WHERE n = 1",
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY d ORDER BY timestamp DESC) AS n FROM m) WHERE n <= 2",
        "SELECT dev, max(timestamp) FROM (SELECT * FROM m LIMIT 2) GROUP BY dev",
    ] {
        if let Ok(plan) = desk.try_ask("acme", &format!("EXPLAIN {sql}"), &[]).await {
            assert!(!plan.contains(first), "{sql}:\n{plan}");
        }
    }
}

const DEVICES: [Option<&str>; 5] = [None, Some("a"), Some("b"), Some(""), Some("a device of a long name")];
const VALUES: [Option<&str>; 5] = [None, Some("1"), Some("2.5"), Some("warm"), Some("-3")];

fn rows() -> impl Strategy<Value = Vec<Vec<Cell>>> {
    let row = (0..DEVICES.len(), 0..VALUES.len(), any::<bool>(), any::<bool>());
    (proptest::collection::vec(row, 1..40), any::<prop::sample::Index>()).prop_map(|(rows, late)| {
        let late = late.index(rows.len());
        let cells = |(number, (device, value, is_alias, is_second)): (usize, (usize, usize, bool, bool))| {
            let mut cells = Vec::new();
            cells.extend(DEVICES[device].map(|text| (if is_alias { "d" } else { "dev" }, text)));
            cells.extend(VALUES[value].map(|text| (if is_second { "v" } else { "val" }, text)));
            // No two at once; one of them late.
            let second = if number == late { -7 } else { 10 + 10 * i64::try_from(number).unwrap() };
            let at = (NEW_YEAR + second * 1_000_000).to_string();
            cells.push(("timestamp", &*at.leak()));
            cells
        };
        rows.into_iter().enumerate().map(cells).collect()
    })
}

/// Checks that `latest` answers as `plain` does, which asks for more.
async fn check(desk: &Desk, latest: &str, plain: &str) {
    let newest_first = desk.try_ask("acme", &format!("EXPLAIN {latest}"), &[]).await.unwrap();
    assert!(newest_first.contains("LatestExec"), "{newest_first}");
    let latest = desk.try_ask("acme", latest, &[]).await.unwrap();
    assert_eq!(latest, desk.try_ask("acme", plain, &[]).await.unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_newest_rows_answer_as_all_rows_do(rows in rows()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let desk = desk(&rows).await;
            for test in ["true", "val > 0", "dev <> 'a' AND timestamp < '2026-01-01T00:02:00Z'"] {
                let of_group = "SELECT dev, last_value(val ORDER BY timestamp) AS v, max(timestamp) AS t";
                let rest = format!("FROM m WHERE {test} GROUP BY dev");
                check(
                    &desk,
                    &format!("{of_group} {rest} ORDER BY dev"),
                    &format!("SELECT dev, v, t FROM ({of_group}, count(*) AS n {rest}) WHERE n > 0 ORDER BY dev"),
                )
                .await;
                let of_all = "SELECT last_value(dev ORDER BY timestamp) AS d, max(timestamp) AS t";
                check(
                    &desk,
                    &format!("{of_all} FROM m WHERE {test}"),
                    &format!("SELECT d, t FROM ({of_all}, count(*) AS n FROM m WHERE {test}) WHERE n >= 0"),
                )
                .await;
                let numbered = format!(
                    "SELECT dev, val, timestamp FROM (SELECT *, row_number() OVER (PARTITION BY dev ORDER BY timestamp DESC) AS n \
                     FROM m WHERE {test})"
                );
                check(
                    &desk,
                    &format!("{numbered} WHERE n = 1 ORDER BY dev"),
                    &format!("{numbered} WHERE n = 1 OR n = 0 ORDER BY dev"),
                )
                .await;
            }
        });
    }
}
