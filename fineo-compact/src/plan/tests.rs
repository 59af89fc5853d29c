//! Names get columns by one rule.

use fineo_schema::FieldType;

use super::*;
use crate::testing::schema;

/// Names with their texts, each in one record of its own.
fn evidence(texts: &[(&str, &str)]) -> (Names, Profile) {
    let (mut names, mut profile) = (Names::default(), Profile::default());
    for (at, (name, text)) in (0..).zip(texts) {
        let number = names.number(name);
        profile.of(number, &names).text(text, at);
        profile.records += 1;
    }
    (names, profile)
}

async fn check(texts: &[(&str, &str)], table: &[(&str, FieldType)], columns_max: usize, expected: &[&str]) {
    let schema = schema(&[("temp", "double", &["t"])]).await;
    let (names, profile) = evidence(texts);
    let table: Vec<TableColumn> =
        table.iter().map(|(name, value_type)| TableColumn { name: (*name).into(), value_type: *value_type }).collect();
    let metric = schema.metric_named("m").map(|metric| &**metric);
    let evidence = Evidence { metric, names: &names, profile: &profile, table: &table, foreign: &[], rewritten: &[] };
    let plan = Plan::new(&evidence, Shredding { presence_min: 0.1, columns_max });
    let shown = plan
        .columns
        .iter()
        .map(|column| format!("{}: {} <- {}", column.column, column.value_type, column.names.join(" ")));
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

const TEMP: &str = "temp: double <- temp t";

#[tokio::test]
async fn frequent_names_have_a_column_of_the_narrowest_type() {
    let mut texts = vec![("a", "1"), ("b", "1.5"), ("c", "x"), ("e", "true")];
    texts.extend([("f", "1"); 20]);
    check(&texts, &[], 9, &[TEMP, "f: long <- f"]).await;
    check(
        &texts[..6],
        &[],
        9,
        &[TEMP, "a: long <- a", "b: double <- b", "c: string <- c", "e: boolean <- e", "f: long <- f"],
    )
    .await;
    check(&texts[..7], &[], 1, &[TEMP, "f: long <- f"]).await;
}

#[tokio::test]
async fn a_column_keeps_its_type_while_that_suits_and_its_spelling_for_ever() {
    let ints = [("a", "1"), ("a", "2")];
    check(&ints, &[("a", FieldType::Double)], 9, &[TEMP, "a: double <- a"]).await;
    check(&ints, &[("a", FieldType::Boolean)], 9, &[TEMP, "a_long: long <- a"]).await;
    check(&ints, &[("A", FieldType::Long)], 9, &[TEMP]).await;
    check(&ints, &[("a", FieldType::Boolean), ("A_LONG", FieldType::Long)], 9, &[TEMP]).await;
    check(&ints, &[("temp", FieldType::Long)], 9, &["temp_double: double <- temp t", "a: long <- a"]).await;
}

#[tokio::test]
async fn a_declared_field_has_the_column_that_the_table_has_in_another_case() {
    let texts = [("temp", "1"), ("Temp", "1")];
    check(&texts, &[("Temp", FieldType::Double)], 9, &["Temp: double <- temp t"]).await;
    check(&texts, &[("Temp", FieldType::Long)], 9, &["temp_double: double <- temp t"]).await;
    let typed = [("Temp", FieldType::Long), ("Temp_Double", FieldType::Double)];
    check(&texts, &typed, 9, &["Temp_Double: double <- temp t"]).await;
}

#[tokio::test]
async fn a_table_gets_columns_of_undeclared_names_for_as_long_as_it_has_room() {
    let table = ["a", "b", "c"].map(|name| (name, FieldType::Long));
    let texts = [("a", "1"), ("b", "1"), ("new", "1"), ("new", "2")];
    let known = [TEMP, "a: long <- a", "b: long <- b"];
    check(&texts, &table, 3, &known).await;
    // Where half of them are there, a name that hardly anybody bears gets none.
    check(&texts, &table, 5, &known).await;
    check(&texts, &table, 6, &[TEMP, "a: long <- a", "b: long <- b", "new: long <- new"]).await;
    let mut many = vec![("newer", "1"); 100];
    many.extend([("new", "1"); 20]);
    check(&many, &table, 5, &[TEMP, "newer: long <- newer"]).await;
    check(&many, &table, 3, &[TEMP]).await;
    // Those of declared fields do not count.
    check(&texts, &[("temp", FieldType::Double)], 1, &[TEMP, "new: long <- new"]).await;
}

#[tokio::test]
async fn of_names_that_differ_in_case_the_declared_else_the_first_seen_has_the_column() {
    let texts = [("TEMP", "1"), ("Abc", "1"), ("abc", "1"), ("abc", "2"), ("timestamp", "1"), ("_fineo_rest", "1")];
    check(&texts, &[], 9, &[TEMP, "Abc: long <- Abc"]).await;
}
