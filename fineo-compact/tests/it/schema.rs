//! Schema changes and compaction: what is declared later, deleted, or known to clients by a key.

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
