//! Statements of one shape, asked again and again while the world changes: every answer is as if it were the first.

use std::time::Duration;

use fineo_core::Timestamp;
use fineo_query::Parameter;
use fineo_schema::Change;

use crate::desk::{Desk, NEW_YEAR, field};

const BY_DEVICE: &str = "SELECT timestamp, v FROM t WHERE d = '{}' AND timestamp >= '{}' ORDER BY timestamp";

fn by_device(device: &str, from: &str) -> String {
    BY_DEVICE.replacen("{}", device, 1).replacen("{}", from, 1)
}

async fn two_devices() -> Desk {
    let mut desk = Desk::new();
    desk.rows("acme", "t", &[&[("d", "a"), ("v", "1")], &[("d", "b"), ("v", "2")], &[("d", "a"), ("v", "3")]]).await;
    desk
}

#[tokio::test]
async fn each_text_and_time_is_that_of_its_own_statement() {
    let desk = two_devices().await;
    for _ in 0..2 {
        desk.check(&by_device("a", "2026-01-01"), &["timestamp|v", "2026-01-01T00:00:00Z|1", "2026-01-01T00:00:02Z|3"])
            .await;
        desk.check(&by_device("b", "2026-01-01"), &["timestamp|v", "2026-01-01T00:00:01Z|2"]).await;
        desk.check(&by_device("a", "2026-01-01T00:00:01Z"), &["timestamp|v", "2026-01-01T00:00:02Z|3"]).await;
        desk.check(&by_device("it''s", "2026-01-01"), &["timestamp|v"]).await;
        desk.refuses(&by_device("a", "yesterday"), "cannot_cast").await;
    }
}

#[tokio::test]
async fn parameters_are_those_of_the_call() {
    let desk = two_devices().await;
    let sql = "SELECT v FROM t WHERE d = $1 AND timestamp >= $2 ORDER BY v";
    let start = |seconds: i64| Parameter::from(Timestamp::from_micros(NEW_YEAR + seconds * 1_000_000).unwrap());
    for _ in 0..2 {
        for (values, expected) in [
            (vec!["a".into(), start(0)], "v\n1\n3"),
            (vec!["b".into(), start(0)], "v\n2"),
            (vec!["a".into(), start(1)], "v\n3"),
            (vec!["a".into(), "2026-01-01T00:00:02Z".into()], "v\n3"),
            (vec![Parameter::Null, start(0)], "v"),
            (vec!["a".into(), Parameter::Null], "v"),
        ] {
            assert_eq!(desk.try_ask("acme", sql, &values).await.unwrap(), expected, "{values:?}");
        }
        assert!(desk.try_ask("acme", sql, &["a".into(), 5_i64.into()]).await.is_err(), "a time is no number");
        assert!(desk.try_ask("acme", sql, &["a".into()]).await.is_err(), "a value is missing");
        for unbound in ["$lifted0", "$1", "$2"] {
            assert!(desk.try_ask("acme", &sql.replace("$1", unbound), &[]).await.is_err(), "{unbound} has no value");
        }
    }
}

#[tokio::test]
async fn new_rows_and_new_names_show_at_once() {
    let mut desk = two_devices().await;
    desk.check("SELECT * FROM t WHERE d = 'b'", &["timestamp|d|v", "2026-01-01T00:00:01Z|b|2"]).await;
    desk.check("SELECT count(*) AS n FROM t", &["n", "3"]).await;
    desk.refuses("SELECT w FROM t WHERE d = 'b'", "unknown_column").await;
    desk.rows("acme", "t", &[&[("d", "b"), ("v", "4"), ("w", "5")]]).await;
    desk.check(
        "SELECT * FROM t WHERE d = 'b' ORDER BY timestamp",
        &["timestamp|d|v|w", "2026-01-01T00:00:00Z|b|4|5", "2026-01-01T00:00:01Z|b|2|-"],
    )
    .await;
    desk.check("SELECT count(*) AS n FROM t", &["n", "4"]).await;
    desk.check("SELECT w FROM t WHERE d = 'b' ORDER BY w", &["w", "5", "-"]).await;
}

#[tokio::test]
async fn a_change_of_the_schema_is_in_the_next_answer() {
    let mut desk = two_devices().await;
    let sql = "SELECT sum(v) AS n FROM t WHERE d = 'a'";
    assert!(desk.try_ask("acme", sql, &[]).await.is_err(), "texts have no sum");
    desk.apply("acme", vec![field("t", "v", "long", &["value"])]).await;
    desk.check(sql, &["n", "4"]).await;
    desk.rows("acme", "t", &[&[("d", "a"), ("value", "10")]]).await;
    desk.check(sql, &["n", "14"]).await;
    desk.apply("acme", vec![Change::RenameMetric { metric: "t".into(), to: "u".into() }]).await;
    desk.check(&sql.replace("FROM t", "FROM u"), &["n", "14"]).await;
    desk.check(sql, &["n", "14"]).await;
}

// T5
#[tokio::test]
async fn tenants_who_ask_the_same_see_their_own() {
    let mut desk = two_devices().await;
    desk.rows("rival", "t", &[&[("d", "a"), ("v", "secret")]]).await;
    let sql = "SELECT v FROM t WHERE d = 'a' ORDER BY v";
    for _ in 0..2 {
        assert_eq!(desk.try_ask("acme", sql, &[]).await.unwrap(), "v\n1\n3");
        assert_eq!(desk.try_ask("rival", sql, &[]).await.unwrap(), "v\nsecret");
        assert!(desk.try_ask("nobody", sql, &[]).await.is_err());
    }
}

#[tokio::test]
async fn the_time_is_that_of_the_call() {
    let desk = two_devices().await;
    let recent = "SELECT count(*) AS n FROM t WHERE timestamp > now() - INTERVAL '1 hour'";
    desk.check(recent, &["n", "2"]).await;
    desk.clock.advance(std::time::Duration::from_secs(1));
    desk.check(recent, &["n", "1"]).await;
    desk.clock.advance(std::time::Duration::from_secs(1));
    desk.check(recent, &["n", "0"]).await;
}

#[tokio::test]
async fn what_another_process_declares_counts_within_ten_seconds() {
    let mut desk = two_devices().await;
    let sql = by_device("b", "2026-01-01");
    let (before, after) = ("2026-01-01T00:00:01Z|2", "2026-01-01T00:00:01Z|2.0");
    for _ in 0..2 {
        desk.check(&sql, &["timestamp|v", before]).await;
    }
    let create = Change::CreateMetric { name: "t".to_owned(), aliases: Vec::new() };
    desk.apply_elsewhere("acme", vec![create, field("t", "v", "double", &[])]).await;
    desk.check(&sql, &["timestamp|v", before]).await;
    desk.clock.advance(Duration::from_secs(11));
    for _ in 0..2 {
        desk.check(&sql, &["timestamp|v", after]).await;
    }
}
