//! Conversions to another unit over files, nearline rows and both. SC5, SC6.

use fineo_schema::{Change, ChangeId, StatedConversion};

use crate::world::{Compacted, Sees, World, ask};

/// What a double, the scale of a decimal or a type does not hold, and what it does.
const NUMBERS: [(&str, &str, &str); 8] = [
    ("9007199254740993", "1234567890123456.78", "1e308"),
    ("9007199254740995", "0.001", "-0.0"),
    ("12", "1.005", "20.5"),
    ("\"warm\"", "2.675", "\"hot\""),
    ("-9223372036854775808", "999999999999999999.99", "1e-320"),
    ("1.5", "12.5", "1e400"),
    ("4503599627370497", "-2.67", "0.1"),
    ("null", "7", "3"),
];

const QUESTIONS: [&str; 17] = [
    "SELECT * FROM m",
    "SELECT k, _fineo_alias, n, d, x FROM m",
    "SELECT k FROM m WHERE n = 9007199254740993",
    "SELECT k FROM m WHERE n = 9007199254740994",
    "SELECT k FROM m WHERE n > 9007199254740992",
    "SELECT k FROM m WHERE n < 24 OR d = 2.01",
    "SELECT k FROM m WHERE n IS NULL",
    "SELECT k FROM m WHERE d = 1234567890123456.78",
    "SELECT k FROM m WHERE d >= 12.50 AND d <= 25.00",
    "SELECT k FROM m WHERE d IN (12.5, 25, -2.67, -5.34)",
    "SELECT k FROM m WHERE d IS NULL AND x IS NOT NULL",
    "SELECT k FROM m WHERE x > 20 AND x < 42",
    "SELECT k FROM m WHERE x = 20.5 OR x = 41",
    "SELECT k FROM m WHERE x > 1e308",
    "SELECT k FROM m WHERE x = 0 OR x = 'Infinity'::double",
    "SELECT min(n), max(n), min(d), max(d), sum(d), min(x), max(x), count(x) FROM m",
    "SELECT field, count, first_seen, last_seen FROM fineo_conflicts",
];

/// Every number, in turns under both names of the metric.
fn events() -> Vec<String> {
    let both = NUMBERS.iter().flat_map(|numbers| [("m", numbers), ("probe", numbers)]);
    let line = |(k, (metric, (n, d, x))): (u32, (&str, &(&str, &str, &str)))| {
        let day = 1 + k / 6;
        format!(
            r#"{{"metrictype":"{metric}","timestamp":"2026-01-0{day}T00:00:{k:02}Z","k":{k},"n":{n},"d":{d},"x":{x}}}"#
        )
    };
    (0..).zip(both).map(line).collect()
}

async fn answers(world: &World, sees: Sees) -> Vec<String> {
    let engine = world.reopened().engine(sees, 2);
    let mut answers = Vec::new();
    for sql in QUESTIONS {
        answers.push(ask(&engine, sql).await);
    }
    answers
}

/// What nearline rows answer; files and both together answer the same.
async fn checked(world: &World, context: &str) -> Vec<String> {
    let wanted = answers(world, Sees::Nearline).await;
    let found = answers(world, Sees::Everything).await;
    for ((sql, found), wanted) in QUESTIONS.iter().zip(found).zip(&wanted) {
        assert_eq!(&found, wanted, "{context}: {sql}");
    }
    wanted
}

async fn declare(world: &World) {
    let fields: [(&str, &str, &[&str]); 3] = [("n", "long", &[]), ("d", "decimal(20,2)", &[]), ("x", "double", &[])];
    world.declare("m", &fields).await;
}

async fn convert(world: &World, conversion: &StatedConversion) -> ChangeId {
    let change = |field: &&str| Change::AddConversion {
        metric: "m".to_owned(),
        field: (*field).to_owned(),
        conversion: conversion.clone(),
    };
    world.change(["n", "d", "x"].iter().map(change).collect()).await
}

/// Rows of which the first `compacted` are in files, declared before that or after.
async fn furnished(compacted: usize, is_declared_first: bool) -> World {
    let world = World::new();
    world.change(vec![Change::CreateMetric { name: "m".to_owned(), aliases: vec!["probe".to_owned()] }]).await;
    if is_declared_first {
        declare(&world).await;
    }
    let events = events();
    let (before, after) = events.split_at(compacted);
    if !before.is_empty() {
        world.send(&before.join("\n")).await;
        world.compact(Compacted::Stay).await;
    }
    if !after.is_empty() {
        world.send(&after.join("\n")).await;
    }
    if !is_declared_first {
        declare(&world).await;
    }
    world
}

fn scoped(metric_name: &str) -> StatedConversion {
    StatedConversion { scale: 2.0, metric_name: Some(metric_name.into()), ..StatedConversion::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversion_for_a_name_that_no_row_bears_changes_no_answer() {
    let world = furnished(7, true).await;
    let before = checked(&world, "without").await;
    convert(&world, &scoped("nobody")).await;
    assert_eq!(checked(&world, "for nobody").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_on_both_sides_of_a_scope_are_filtered_alike_wherever_they_are_and_as_before_once_it_is_undone() {
    let later = Some(fineo_core::Timestamp::from_micros(1_767_312_000_000_000).unwrap());
    let celsius = StatedConversion { scale: 5.0 / 9.0, offset: -160.0 / 9.0, to: later, ..StatedConversion::default() };
    let conversions = [scoped("probe"), StatedConversion { from: later, offset: 0.5, ..scoped("m") }, celsius];
    for (compacted, is_declared_first) in [(7, true), (16, false)] {
        let world = furnished(compacted, is_declared_first).await;
        let before = checked(&world, "without").await;
        for conversion in &conversions {
            let change = convert(&world, conversion).await;
            let context = format!("{compacted} of 16 in files, {conversion:?}");
            assert_ne!(checked(&world, &context).await, before, "{context}");
            world.undo(change).await;
        }
        assert_eq!(checked(&world, "undone").await, before, "{compacted} of 16 in files");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_beside_a_scope_are_as_sent_and_those_within_are_converted_exactly() {
    let world = furnished(7, true).await;
    convert(&world, &scoped("probe")).await;
    let engine = world.engine(Sees::Everything, 2);
    let values = ask(&engine, "SELECT k, n, d FROM m WHERE k IN ('0', '1', '4', '5', '10', '11', '12', '13')").await;
    assert_eq!(
        values,
        "k: Utf8View|n: Int64|d: Decimal128(20, 2)\n\
         0|9007199254740993|1234567890123456.78\n\
         10|-|12.50\n\
         11|3|25.00\n\
         12|4503599627370497|-2.67\n\
         13|9007199254740994|-5.34\n\
         1|18014398509481986|2469135780246913.56\n\
         4|12|-\n\
         5|24|2.01"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_once_it_is_converted_is_null_and_a_conflict() {
    for compacted in [0, 16] {
        let world = furnished(compacted, true).await;
        let engine = || world.reopened().engine(Sees::Everything, 2);
        let conflicts = "SELECT field, count FROM fineo_conflicts WHERE field = 'x'";
        assert_eq!(ask(&engine(), conflicts).await, "field: Utf8View|count: UInt64\nx|4");
        convert(&world, &StatedConversion { scale: 1e10, ..scoped("probe") }).await;
        assert_eq!(ask(&engine(), conflicts).await, "field: Utf8View|count: UInt64\nx|5");
        let large = "SELECT k, x FROM m WHERE x > 1e307 OR k = '1'";
        assert_eq!(ask(&engine(), large).await, "k: Utf8View|x: Float64\n0|1e308\n1|-");
    }
}
