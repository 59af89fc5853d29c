//! Columns of a table: they come, and stay as they are.

use fineo_core::{ErrorKind, Outcome};
use fineo_schema::FieldType;

use super::fixture::{Desk, column, cover, done, parquet};
use crate::{Change, ColumnLayout};

async fn commit(desk: &Desk, hash: &str, columns: Vec<ColumnLayout>) -> Result<Vec<String>, ErrorKind> {
    let base = desk.latest().await;
    let mut layout = desk.layout();
    layout.columns = columns;
    let file = desk.put(&base, hash, parquet(&layout, 2), 10).await;
    match desk.tables.commit(&base, Change { add: vec![file], cover: cover(10), ..Change::default() }).await {
        Outcome::NotDone(error) => Err(error.kind()),
        outcome => Ok(done(outcome).columns.iter().skip(6).map(|c| format!("{} {}", c.name, c.value_type)).collect()),
    }
}

#[tokio::test]
async fn a_column_is_added_once_and_never_changes() {
    let desk = Desk::new();
    let temp = || column("temp", FieldType::Double);
    assert_eq!(commit(&desk, "a1", vec![temp()]).await.unwrap(), ["temp double"]);
    let both = ["temp double", "状态 string"];
    assert_eq!(commit(&desk, "a2", vec![column("状态", FieldType::Json), temp()]).await.unwrap(), both);
    assert_eq!(commit(&desk, "a3", vec![temp()]).await.unwrap(), both);
    assert_eq!(commit(&desk, "a4", vec![column("temp", FieldType::String)]).await, Err(ErrorKind::Invalid));
    assert_eq!(commit(&desk, "a5", vec![column("Temp", FieldType::Double)]).await, Err(ErrorKind::Invalid));
    let read = desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap();
    assert_eq!(read.files.len(), 3);
    assert_eq!(read, desk.latest().await);
}

#[tokio::test]
async fn a_column_of_another_program_stays_and_its_name_is_taken() {
    let desk = Desk::new();
    commit(&desk, "a1", vec![column("temp", FieldType::Double)]).await.unwrap();
    let log = String::from_utf8(desk.read("_delta_log/00000000000000000000.json").await).unwrap();
    let metadata = log.lines().find(|line| line.contains("metaData")).unwrap();
    let strange = r#"{\"name\":\"odd\",\"type\":\"short\",\"nullable\":true,\"metadata\":{}},"#;
    let altered = metadata.replacen(r#"\"fields\":["#, &format!(r#"\"fields\":[{strange}"#), 1);
    assert_ne!(altered, metadata);
    desk.write("_delta_log/00000000000000000001.json", altered.clone().into_bytes()).await;

    let snapshot = desk.latest().await;
    assert_eq!(
        (snapshot.version, snapshot.foreign_columns.clone(), snapshot.files.len()),
        (Some(1), vec!["odd".into()], 1)
    );
    assert_eq!(desk.reopened().snapshot(&desk.tenant, &desk.metric).await.unwrap(), snapshot);
    assert_eq!(
        commit(&desk, "a2", vec![column("odd", FieldType::Int)]).await,
        Err(ErrorKind::Corrupt),
        "the file has text"
    );
    assert_eq!(commit(&desk, "a3", vec![column("odd", FieldType::String)]).await, Err(ErrorKind::Invalid));
    assert!(commit(&desk, "a4", vec![column("temp", FieldType::Double)]).await.is_ok());
    assert_eq!(desk.latest().await.foreign_columns, ["odd".into()]);

    let required = altered.replacen(r#"\"nullable\":true"#, r#"\"nullable\":false"#, 1);
    desk.write("_delta_log/00000000000000000003.json", required.into_bytes()).await;
    assert_eq!(commit(&desk, "a5", vec![column("temp", FieldType::Double)]).await, Err(ErrorKind::Unsupported));
}
