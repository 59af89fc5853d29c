//! Damaged, foreign, missing and lying things: a clear error that names the thing, never a smaller answer.

use fineo_core::{Error, ErrorKind, MetricId, TenantId};
use fineo_schema::FieldType;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};

use super::fixture::{Desk, cover, parquet};
use crate::{Change, FileLayout, NewFile, Tables, cover::CoverDocument};

const FILE: &str = "day=2026-11-22/part-aa-0.parquet";
const SUMS: &str = "_fineo/sums/day=2026-11-22/part-aa-0.sums";
const LOG: &str = "_delta_log/00000000000000000000.json";

/// Reads everything, as a query would; answers how many rows there are.
async fn rows(desk: &Desk, tables: &Tables) -> Result<usize, Error> {
    let snapshot = tables.snapshot(&desk.tenant, &desk.metric).await?;
    let mut rows = 0;
    for file in &snapshot.files {
        let reader = tables.reader(&snapshot, file).await?;
        let stream = ParquetRecordBatchStreamBuilder::new(reader).await.and_then(|builder| builder.build());
        let batches = match stream {
            Ok(stream) => futures::TryStreamExt::try_collect::<Vec<_>>(stream).await,
            Err(error) => Err(error),
        };
        let batches = batches.map_err(|error| match error {
            parquet::errors::ParquetError::External(source) => *source.downcast::<Error>().expect("an error of ours"),
            other => panic!("parquet found it, not we: {other}"),
        })?;
        rows += batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>();
    }
    Ok(rows)
}

async fn corrupt(desk: &Desk, what: &str) -> Error {
    match rows(desk, &desk.reopened()).await {
        Err(error) if error.kind() == ErrorKind::Corrupt => error,
        other => panic!("{what}: {other:?}"),
    }
}

fn names(error: &Error, path: &str) -> bool {
    error.context().iter().any(|(_, value)| value.contains(path))
}

async fn desk() -> Desk {
    let desk = Desk::new();
    desk.commit("aa", 10, Vec::new()).await;
    desk
}

// D7
#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_file_is_found() {
    let desk = desk().await;
    assert_eq!(rows(&desk, &desk.reopened()).await.unwrap(), 3);
    let whole = desk.read(FILE).await;
    for at in (0..whole.len()).step_by(61) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        desk.write(FILE, bytes).await;
        let error = corrupt(&desk, &format!("byte {at}")).await;
        assert!(names(&error, FILE), "{error}");
    }
}

#[tokio::test]
async fn a_truncated_or_missing_file_is_named() {
    let desk = desk().await;
    let whole = desk.read(FILE).await;
    for len in [0, 4, 100, whole.len() - 1] {
        desk.write(FILE, whole[..len].to_vec()).await;
        let error = corrupt(&desk, &format!("cut at {len}")).await;
        assert!(names(&error, FILE), "{error}");
    }
    desk.write(FILE, [whole.clone(), vec![0]].concat()).await;
    assert_eq!(rows(&desk, &desk.reopened()).await.unwrap(), 3, "more behind the end is nothing of ours");
    desk.delete(FILE).await;
    assert!(names(&corrupt(&desk, "missing").await, FILE));
    desk.write(FILE, whole).await;
    for bytes in [Vec::new(), b"FINEOSM1 and nothing".to_vec()] {
        desk.write(SUMS, bytes).await;
        assert!(names(&corrupt(&desk, "checksums").await, SUMS));
    }
    desk.delete(SUMS).await;
    assert!(names(&corrupt(&desk, "no checksums").await, SUMS));
}

// T1, T2
#[tokio::test]
async fn a_file_of_another_tenant_or_metric_is_never_read() {
    for (tenant, metric) in [("rival", "n1"), ("acme", "n2")] {
        let desk = desk().await;
        let mut layout = desk.layout();
        (layout.tenant, layout.metric) = (TenantId::new(tenant).unwrap(), MetricId::new(metric).unwrap());
        let foreign = parquet(&layout, 3);
        desk.write(SUMS, crate::FileSums::of(&foreign).to_bytes().to_vec()).await;
        desk.write(FILE, foreign).await;
        let error = corrupt(&desk, "foreign").await;
        assert!(names(&error, FILE) && !format!("{error:?}").contains("rival"), "{error:?}");

        // Nor committed.
        let base = desk.latest().await;
        let file = desk.put(&base, "bb", parquet(&layout, 1), 20).await;
        let change = Change { add: vec![file], cover: cover(20), ..Change::default() };
        assert!(desk.tables.commit(&base, change).await.into_result().is_err());
    }
}

#[tokio::test]
async fn a_file_that_says_otherwise_than_the_table_is_refused() {
    let desk = desk().await;
    let mut tomorrow = desk.layout();
    tomorrow.day += 1;
    for (what, bytes) in [("rows", parquet(&desk.layout(), 4)), ("day", parquet(&tomorrow, 3))] {
        desk.write(SUMS, crate::FileSums::of(&bytes).to_bytes().to_vec()).await;
        desk.write(FILE, bytes).await;
        assert!(names(&corrupt(&desk, what).await, FILE));
    }
}

/// The file with another layout of at most the same length in its footer.
fn with_layout(bytes: &[u8], from: &FileLayout, to: &FileLayout) -> Vec<u8> {
    let (from, to) = (from.to_json().unwrap(), to.to_json().unwrap());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    let padded = format!("{to:<len$}", len = from.len());
    assert_eq!(padded.len(), from.len());
    [&bytes[..at], padded.as_bytes(), &bytes[at + from.len()..]].concat()
}

#[tokio::test]
async fn what_is_no_file_of_ours_is_not_committed() {
    let desk = desk().await;
    let base = desk.latest().await;
    let mut lying = desk.layout();
    lying.columns[0].value_type = FieldType::Long;
    let temp = parquet(&desk.layout(), 2);
    let lying = with_layout(&temp, &desk.layout(), &lying);
    for (hash, bytes) in [("b1", b"PAR1 no".to_vec()), ("b2", Vec::new()), ("b3", lying), ("b4", temp[..300].to_vec())]
    {
        let file = desk.put(&base, hash, bytes, 20).await;
        let outcome =
            desk.tables.commit(&base, Change { add: vec![file], cover: cover(20), ..Change::default() }).await;
        assert_eq!(outcome.into_result().unwrap_err().kind(), ErrorKind::Corrupt, "{hash}");
    }
    let other = desk.put(&base, "b5", parquet(&desk.layout(), 1), 20).await;
    let misnamed = NewFile { path: "day=2026-11-21/part-b5-0.parquet".into(), ..other.clone() };
    desk.write(&misnamed.path, desk.read(&other.path).await).await;
    let outcome =
        desk.tables.commit(&base, Change { add: vec![misnamed], cover: cover(20), ..Change::default() }).await;
    assert_eq!(outcome.into_result().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(desk.latest().await, base);
}

#[tokio::test]
async fn a_damaged_log_is_never_a_smaller_table() {
    let desk = desk().await;
    for hash in ["bb", "cc"] {
        desk.commit(hash, 20, Vec::new()).await;
    }
    let second = "_delta_log/00000000000000000001.json";
    let whole = desk.read(second).await;
    let text = String::from_utf8(whole.clone()).unwrap();
    let without_add: String =
        text.lines().filter(|line| !line.contains(r#"{"add""#)).map(|line| format!("{line}\n")).collect();
    let other_rows = text.replace(r#"\"numRecords\":3"#, r#"\"numRecords\":2"#);
    let other_name = text.replace("part-bb", "part-bc");
    let not_ours = text.replace("fineo.positions", "finex.positions");
    for (what, bytes) in [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("nothing", Vec::new()),
        ("no JSON", b"<html>".to_vec()),
        ("an entry lost", without_add.into_bytes()),
        ("other rows", other_rows.into_bytes()),
        ("another name", other_name.into_bytes()),
        ("no tags", not_ours.into_bytes()),
    ] {
        assert_ne!(bytes, whole, "{what}");
        desk.write(second, bytes).await;
        assert!(names(&corrupt(&desk, what).await, "_delta_log"), "{what}");
    }
    desk.delete(second).await;
    corrupt(&desk, "a version is missing").await;
    desk.write(second, whole).await;
    assert_eq!(rows(&desk, &desk.reopened()).await.unwrap(), 9);
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_noticed_once_rows_were_removed_because_of_it() {
    let desk = desk().await;
    desk.commit("bb", 20, Vec::new()).await;
    assert!(desk.tables.raise_floor(&desk.tenant, &desk.metric, &cover(20)).await.is_done());
    desk.delete("_delta_log/00000000000000000001.json").await;
    corrupt(&desk, "the last version is missing").await;
    desk.delete(LOG).await;
    corrupt(&desk, "all of it is missing").await;
}

#[tokio::test]
async fn a_lost_or_foreign_cover_document_is_named() {
    let desk = desk().await;
    let objects = desk.objects().await;
    let document = objects.iter().find(|name| name.starts_with("_fineo/cover/")).unwrap();
    let whole = desk.read(document).await;
    let foreign =
        CoverDocument::new(&TenantId::new("rival").unwrap(), &desk.metric, cover(10)).to_bytes().unwrap().to_vec();
    for (what, bytes) in [("cut", whole[..50].to_vec()), ("nothing", Vec::new()), ("another tenant's", foreign)] {
        desk.write(document, bytes).await;
        let error = corrupt(&desk, what).await;
        assert!(names(&error, "_fineo/cover/") && !format!("{error:?}").contains("rival"), "{error:?}");
    }
    desk.delete(document).await;
    assert!(names(&corrupt(&desk, "missing").await, "_fineo/cover/"));
}

#[tokio::test]
async fn a_table_of_another_program_is_refused() {
    let desk = desk().await;
    let log = String::from_utf8(desk.read(LOG).await).unwrap();
    let without_us: String =
        log.lines().filter(|line| !line.contains(r#"{"txn""#)).map(|line| format!("{line}\n")).collect();
    desk.write(LOG, without_us.into_bytes()).await;
    corrupt(&desk, "no transaction of ours").await;
    let newer = log.replace(r#""minReaderVersion":1"#, r#""minReaderVersion":2"#);
    assert_ne!(newer, log);
    desk.write(LOG, newer.into_bytes()).await;
    let error = rows(&desk, &desk.reopened()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}

#[tokio::test]
async fn a_reader_answers_ranges_and_the_footer_without_reading_twice() {
    let desk = desk().await;
    let snapshot = desk.latest().await;
    let mut reader = desk.tables.reader(&snapshot, &snapshot.files[0]).await.unwrap();
    let whole = desk.read(FILE).await;
    assert_eq!(reader.get_bytes(0..4).await.unwrap(), "PAR1");
    let ranges = reader.get_byte_ranges(vec![1..9, 100..120, 0..4]).await.unwrap();
    assert_eq!(ranges, [&whole[1..9], &whole[100..120], &whole[0..4]]);
    assert!(reader.get_bytes(0..whole.len() as u64 + 1).await.is_err());
    assert_eq!(reader.get_metadata(None).await.unwrap().num_row_groups(), 1);
    assert_eq!(reader.meta().rows, 3);
}
