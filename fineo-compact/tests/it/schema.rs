//! Schema changes and compaction: what is declared later, deleted, or known to clients by a key.

use std::collections::BTreeSet;

use fineo_compact::{CompactOptions, Rewrite};
use fineo_schema::{Change, FieldType, Identity};

use crate::support::{Row, World, acme, at_once, metric};

fn add_field(name: &str, field_type: &str, aliases: &[&str]) -> Change {
    Change::AddField {
        metric: "m".to_owned(),
        name: name.to_owned(),
        field_type: field_type.to_owned(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        unit: None,
    }
}

fn row(cells: &[(&str, &str)]) -> Row {
    cells.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_day_written_anew_has_the_fields_that_were_declared_since() {
    let world = World::new();
    let body = r#"{"metrictype":"m","timestamp":0,"t":"21.5"}{"metrictype":"m","timestamp":1,"temp":"1.50"}"#;
    world.send(&acme(), body).await;
    world.compact(CompactOptions::default()).await;
    let before = world.answer(&acme(), &metric(1)).await;
    world.change(&acme(), vec![add_field("temp", "double", &["t"])]).await;
    // Nothing is written because of a change alone.
    assert!(world.compact(CompactOptions::default()).await.is_idle());
    let report = world.compact(CompactOptions::default().with_rewrite(Rewrite::Stale)).await;
    let of_metric = &report.tenants[0].metrics[0];
    assert_eq!((of_metric.rows_rewritten, of_metric.rows_out, of_metric.files_removed), (2, 2, 1));
    let (snapshot, tables) = (world.snapshot(&acme(), &metric(1)).await, world.parts().tables);
    let meta = tables.data_file(&snapshot, &snapshot.files[0]).await.unwrap();
    let temp = meta.layout.columns.iter().find(|column| column.field.is_some()).unwrap();
    assert_eq!((temp.value_type, temp.names.len()), (FieldType::Double, 2));
    assert_eq!(world.answer(&acme(), &metric(1)).await, before);
    assert!(world.compact(CompactOptions::default().with_rewrite(Rewrite::Stale)).await.is_idle());
}

#[tokio::test(start_paused = true)]
async fn of_a_key_the_first_event_stays_whatever_day_the_second_has() {
    // I5
    let world = World::new();
    world.send(&acme(), r#"{"metrictype":"m","timestamp":0,"seed":1}"#).await;
    world
        .change(&acme(), vec![Change::SetIdentity { metric: Some("m".to_owned()), identity: Some(Identity::Key) }])
        .await;
    let day = 86_400_000;
    world.send(&acme(), &format!(r#"{{"metrictype":"m","timestamp":{day},"event_id":"k","v":1}}"#)).await;
    world.send(&acme(), r#"{"metrictype":"m","timestamp":5,"event_id":"k","v":2}"#).await;
    world.compact(at_once()).await;
    world.send(&acme(), r#"{"metrictype":"m","timestamp":9,"event_id":"k","v":3}"#).await;
    world.compact(at_once()).await;
    let rows: Vec<Row> = world.in_files(&acme(), &metric(1)).await.into_iter().map(|(_, row)| row).collect();
    let mut expected = vec![row(&[("_time", "0"), ("seed", "1")]), row(&[("_time", "86400000000"), ("v", "1")])];
    expected.sort();
    let mut rows = rows;
    rows.sort();
    assert_eq!(rows, expected);
}

/// Of each file, in order of the first of its rows: the columns of declared fields and their types, and whether the rest has anything.
async fn declared(world: &World) -> Vec<(Vec<String>, bool)> {
    let (snapshot, tables) = (world.snapshot(&acme(), &metric(1)).await, world.parts().tables);
    let mut files = snapshot.files.clone();
    files.sort_by_key(|file| file.first);
    let mut declared = Vec::new();
    for file in &files {
        let layout = tables.data_file(&snapshot, file).await.unwrap().layout.clone();
        let columns = layout.columns.iter().filter(|column| column.field.is_some());
        let columns = columns.map(|column| format!("{} {}", column.column, column.value_type)).collect();
        declared.push((columns, !layout.rest_names.is_empty()));
    }
    declared
}

async fn send_and_compact(world: &World, cells: &str) {
    let millis = world.in_files(&acme(), &metric(1)).await.len();
    world.send(&acme(), &format!(r#"{{"metrictype":"m","timestamp":{millis},{cells}}}"#)).await;
    world.compact(CompactOptions::default().with_small_files_max(99)).await;
}

#[tokio::test(start_paused = true)]
async fn a_declared_json_field_has_the_same_column_in_every_run() {
    // semantics 3.4: the table calls the type `string`.
    let world = World::new();
    send_and_compact(&world, r#""seed":1"#).await;
    world.change(&acme(), vec![add_field("j", "json", &[])]).await;
    for number in 0..4 {
        send_and_compact(&world, &format!(r#""j":"{{\"a\": {number}}}""#)).await;
    }
    let files = declared(&world).await;
    assert_eq!(files[1..], vec![(vec!["j json".to_owned()], false); 4][..], "{files:?}");
    let columns = &world.snapshot(&acme(), &metric(1)).await.columns;
    assert!(!columns.iter().any(|column| &*column.name == "j_json"), "{columns:?}");
    // And written anew.
    world.send(&acme(), r#"{"metrictype":"m","timestamp":9,"j":"{\"a\": 9}"}"#).await;
    world.compact(CompactOptions::default().with_small_files_max(1)).await;
    assert_eq!(declared(&world).await, [(vec!["j json".to_owned()], false)]);
    assert_eq!(world.in_files(&acme(), &metric(1)).await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_field_that_was_declared_in_another_case_has_the_column_that_its_name_had() {
    // semantics 3.4
    let world = World::new();
    send_and_compact(&world, r#""Temp":1"#).await;
    world.change(&acme(), vec![add_field("temp", "long", &["Temp"])]).await;
    send_and_compact(&world, r#""temp":2"#).await;
    send_and_compact(&world, r#""Temp":3"#).await;
    let files = declared(&world).await;
    assert_eq!(files[1..], vec![(vec!["Temp long".to_owned()], false); 2][..], "{files:?}");
    let rows: Vec<Row> = world.answer(&acme(), &metric(1)).await;
    let expected = [("0", "Temp", "1"), ("2000", "Temp", "3"), ("1000", "temp", "2")];
    assert_eq!(rows, expected.map(|(time, name, value)| row(&[("_time", time), (name, value)])));
}

#[tokio::test(start_paused = true)]
async fn names_that_come_and_go_do_not_fill_a_table() {
    let world = World::new();
    let options = at_once().with_columns_max(6);
    for number in 0..12 {
        let body = format!(r#"{{"metrictype":"m","timestamp":{number},"v":1,"sensor_{number}":{number}}}"#);
        world.send(&acme(), &body).await;
        world.compact(options.clone()).await;
    }
    let columns = world.snapshot(&acme(), &metric(1)).await.columns.clone();
    let is_of_names = |name: &&str| *name == "v" || name.starts_with("sensor");
    let undeclared: BTreeSet<&str> = columns.iter().map(|column| &*column.name).filter(is_of_names).collect();
    assert_eq!(undeclared, BTreeSet::from(["sensor_0", "sensor_1", "sensor_2", "v"]), "{columns:?}");
    let rows = world.in_files(&acme(), &metric(1)).await;
    assert!((0..12).all(|number| rows.iter().any(|(_, row)| row.contains_key(&format!("sensor_{number}")))));
}
