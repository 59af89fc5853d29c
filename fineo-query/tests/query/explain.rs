//! What a scan reads shows in its plan: semantics 4.3, 4.8.

use fineo_schema::Change;

use crate::desk::{Desk, field};

async fn check(sql: &str, expected: &[&str], absent: &[&str]) {
    let mut desk = Desk::new();
    desk.rows("acme", "m", &[&[("d", "a"), ("v", "1"), ("w", "x"), ("u", "y")]]).await;
    let create = Change::CreateMetric { name: "m".to_owned(), aliases: Vec::new() };
    let fields = [("dev", "string", "d"), ("val", "double", "v"), ("opened", "date", "o")];
    let fields = fields.map(|(name, of, alias)| field("m", name, of, &[alias]));
    desk.apply("acme", [create].into_iter().chain(fields).collect()).await;
    let plan = desk.explain(sql).await;
    for text in expected {
        assert!(plan.contains(text), "{sql}: no {text} in\n{plan}");
    }
    for text in absent {
        assert!(!plan.contains(text), "{sql}: {text} in\n{plan}");
    }
}

#[tokio::test]
async fn only_the_stored_names_that_are_needed_are_read() {
    check("SELECT v FROM m", &["tenant=acme", "metric=m", "timestamp=all", "columns=[v <- val|v: double]"], &[]).await;
    check("SELECT count(*) FROM m", &["columns=[]"], &[]).await;
    check("SELECT count(*) FROM m WHERE timestamp > '2026-01-01'", &["columns=[]"], &["FilterExec"]).await;
}

#[tokio::test]
async fn time_ranges_reach_the_scan() {
    let from_to = "timestamp=[2026-01-01T00:00:00Z, 2026-01-02T00:00:00Z)";
    for filter in [
        "timestamp >= '2026-01-01' AND timestamp < '2026-01-02'",
        "timestamp >= DATE '2026-01-01' AND timestamp < TIMESTAMP '2026-01-02 00:00:00'",
        "timestamp >= '2026-01-01T01:00:00+01:00' AND '2026-01-02T00:00:00Z' > timestamp",
        "timestamp BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-01T23:59:59.999999Z'",
        "timestamp >= now() - INTERVAL '1 hour' AND timestamp < now() + INTERVAL '23 hours'",
        "timestamp >= CURRENT_DATE + 1 - INTERVAL '1 day' AND timestamp < CURRENT_DATE + INTERVAL '24 hours'",
    ] {
        check(&format!("SELECT w FROM m WHERE {filter}"), &[from_to], &["FilterExec"]).await;
    }
    check("SELECT w FROM m WHERE CAST(timestamp AS DATE) = '2026-01-01' AND u = 'y'", &[from_to], &[]).await;
    check("SELECT w FROM m WHERE timestamp > '2026-01-01' OR w = 'x'", &["timestamp=all", "FilterExec"], &[]).await;
    let hull = "timestamp=[2026-01-01T00:00:00Z, 2026-01-03T00:00:00.000001Z)";
    check(
        "SELECT w FROM m WHERE timestamp = '2026-01-01T00:00:00Z' OR timestamp = '2026-01-03T00:00:00Z'",
        &[hull, "FilterExec"],
        &[],
    )
    .await;
}

#[tokio::test]
async fn a_time_in_a_zone_reaches_the_scan_as_a_day_more_at_both_ends() {
    let from_to = "timestamp=[2025-12-31T00:00:00Z, 2026-01-03T00:00:00Z)";
    for filter in [
        "timestamp AT TIME ZONE 'Europe/Berlin' >= '2026-01-01' AND timestamp AT TIME ZONE 'Europe/Berlin' < '2026-01-02'",
        "CAST(timestamp AT TIME ZONE 'Europe/Berlin' AS DATE) = '2026-01-01'",
    ] {
        check(&format!("SELECT w FROM m WHERE {filter}"), &[from_to, "FilterExec"], &[]).await;
    }
}

#[tokio::test]
async fn days_minus_whole_days_stay_days_where_they_are_compared_with_days() {
    check(
        "SELECT w FROM m WHERE CAST(timestamp AS DATE) >= CURRENT_DATE - INTERVAL '7 days'",
        &["timestamp=[2025-12-25T00:00:00Z, ∞)"],
        &[],
    )
    .await;
    check("SELECT w FROM m WHERE o >= CURRENT_DATE - INTERVAL '7 days'", &[" >= 2025-12-25"], &["CAST"]).await;
    check(
        "SELECT w FROM m WHERE o BETWEEN CURRENT_DATE - INTERVAL '7 days' AND CURRENT_DATE",
        &["2025-12-25"],
        &["CAST"],
    )
    .await;
}

#[tokio::test]
async fn tests_of_text_reach_the_scan_under_every_name() {
    check("SELECT w FROM m WHERE d = 'a'", &["predicates=[dev|d in [\"a\"]]"], &[]).await;
    check("SELECT w FROM m WHERE dev IN ('a', 'b')", &["predicates=[dev|d in [\"a\", \"b\"]]"], &[]).await;
    check("SELECT w FROM m WHERE u IS NOT NULL", &["predicates=[u is present]"], &[]).await;
    check("SELECT w FROM m WHERE CAST(u AS DOUBLE) > 1", &["predicates=[u is present]", "FilterExec"], &[]).await;
    check("SELECT w FROM m WHERE val > 1", &["predicates=[val|v is present]", "FilterExec"], &[]).await;
    check("SELECT w FROM m WHERE d = 'a' OR val > 1", &["predicates=[dev|d|val|v is present]"], &[]).await;
    check("SELECT w FROM m WHERE d IS NULL OR val > 1", &["FilterExec"], &["predicates"]).await;
}

#[tokio::test]
async fn not_in_is_a_join_by_hash_wherever_it_stands() {
    for filter in [
        "d NOT IN (SELECT w FROM m) OR w = 'x'",
        "NOT (d IN (SELECT w FROM m) AND w = 'x')",
        "(d IN (SELECT w FROM m)) IS NULL",
        "CASE WHEN d NOT IN (SELECT w FROM m) THEN true ELSE false END",
        "d NOT IN (SELECT b.w FROM m AS b WHERE b.v = a.v) OR w = 'x'",
        "d NOT IN (SELECT b.w FROM m AS b WHERE b.v = a.v)",
    ] {
        let sql = format!("SELECT count(*) FROM m AS a WHERE {filter}");
        check(&sql, &["HashJoinExec"], &["NestedLoopJoinExec", "CrossJoinExec"]).await;
    }
    check("SELECT count(*) FROM m WHERE d NOT IN (SELECT w FROM m)", &["HashJoinExec", "LeftAnti"], &["LeftMark"])
        .await;
}
