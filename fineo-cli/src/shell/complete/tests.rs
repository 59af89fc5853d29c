//! Tab offers what fits where the cursor stands.

use super::{candidates, quoted};
use crate::catalog::{Catalog, FieldEntry, MetricEntry};

fn field(name: &str, alias: Option<&str>, state: &'static str) -> FieldEntry {
    let aliases = alias.into_iter().map(str::to_owned).collect();
    FieldEntry { name: name.to_owned(), aliases, field_type: None, unit: None, state: state.to_owned() }
}

fn metric(name: &str, alias: &str, fields: Vec<FieldEntry>) -> MetricEntry {
    let aliases = vec![alias.to_owned()];
    MetricEntry {
        id: "n1".to_owned(),
        name: name.to_owned(),
        aliases,
        state: "declared".to_owned(),
        fields,
        ..MetricEntry::default()
    }
}

fn catalog() -> Catalog {
    let thermostat = vec![
        field("temp", Some("temperature"), "declared"),
        field("PM2.5", None, "undeclared"),
        field("tenant_secret", None, "hidden"),
    ];
    let door = vec![field("open", None, "undeclared")];
    Catalog { metrics: vec![metric("thermostat", "tstat", thermostat), metric("door", "gate", door)] }
}

/// `|` marks the cursor.
fn check(line: &str, expected: &[&str]) {
    let cursor = line.find('|').unwrap_or(line.len());
    let line = line.replacen('|', "", 1);
    assert_eq!(candidates(&catalog(), &line, cursor).1, expected, "{line}");
}

#[test]
fn tables_and_their_aliases_follow_from_and_join() {
    check("select * from t|", &["thermostat", "tstat"]);
    check("select * from door JOIN ga|", &["gate"]);
    check("select * from e|", &["errors.stream"]);
}

#[test]
fn fields_and_their_aliases_come_from_the_tables_that_are_named() {
    check("select te| from thermostat", &["temp", "temperature"]);
    check("select te| from tstat", &["temp", "temperature"]);
    check("select op| from door", &["open"]);
    check("select op| from thermostat", &[]);
    check("select \"pm| from thermostat", &["\"PM2.5\""]);
    check("select thermostat.temp|", &["temp", "temperature"]);
    check("select d.o| from door d", &["open"]);
    check("select d.o| from door as d", &["open"]);
}

#[test]
fn a_hidden_field_is_not_offered() {
    check("select tena| from thermostat", &[]);
}

#[test]
fn words_of_sql_keep_the_case_that_was_begun() {
    check("sel|", &["select"]);
    check("SEL|", &["SELECT"]);
}

#[test]
fn the_shells_own_words_are_completed_too() {
    check("\\t|", &["\\timing"]);
    check("\\d th|", &["thermostat"]);
    check("\\format nd|", &["ndjson"]);
}

#[test]
fn a_name_is_quoted_where_sql_needs_it() {
    for (name, spelt) in [
        ("temp", "temp"),
        ("PM2.5", "\"PM2.5\""),
        ("select", "\"select\""),
        ("a\"b", "\"a\"\"b\""),
        ("温度", "\"温度\""),
    ] {
        assert_eq!(quoted(name), spelt);
    }
}
