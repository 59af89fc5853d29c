//! What is fed to the readers of this crate that must survive anything: by tests, and by a
//! fuzzer that compiles with `--cfg fuzzing`.

use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::{
    arrow::array::{ArrayRef, Int64Array, RecordBatch},
    kernel::Action,
    logstore::get_actions,
};
use fineo_core::{Cover, MetricId, Position, ShardId, TenantId};
use parquet::{
    arrow::ArrowWriter,
    file::metadata::{FooterTail, ParquetMetaDataReader},
};

use crate::{
    FileLayout, FileSums,
    cover::CoverDocument,
    delta::action::{file_of, nonce_of},
    file,
};

/// A parser under its name.
pub type Target = (&'static str, fn(&[u8]));

/// The readers by name.
pub const TARGETS: &[Target] =
    &[("cover", cover), ("delta", delta), ("layout", layout), ("sums", sums), ("parquet_footer", parquet_footer)];

/// What each of them may begin with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "cover" => vec![cover_seed()],
        "delta" => DELTA.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "layout" => vec![LAYOUT.as_bytes().to_vec()],
        "sums" => vec![FileSums::of(&[1; 200_000]).to_bytes().to_vec()],
        _ => vec![parquet_seed()],
    }
}

const DELTA: [&str; 2] = [
    r#"{"commitInfo":{"timestamp":1,"operation":"WRITE","nonce":"x"}}
{"add":{"path":"_fineo_day=2020-01-01/a.parquet","partitionValues":{"_fineo_day":"2020-01-01"},"size":7,"modificationTime":1,
"dataChange":true,"stats":"{\"numRecords\":1}","tags":{"fineo.first":"1","fineo.last":"2","fineo.positions":"{\"s0\":\"00\"}"}}}
{"txn":{"appId":"fineo","version":3}}"#,
    r#"{"remove":{"path":"a","dataChange":true,"size":7}}"#,
];
const LAYOUT: &str =
    r#"{"format":1,"tenant":"acme","metric":"n1","schema":1,"day":18262,"columns":[],"rest_names":[]}"#;

fn ids() -> (TenantId, MetricId) {
    (TenantId::new("acme").expect("a legal id"), MetricId::numbered(1))
}

fn cover_seed() -> Vec<u8> {
    let (tenant, metric) = ids();
    let cover = Cover::from_iter([(ShardId::new("s0").expect("a legal id"), Position::from(7))]);
    CoverDocument::new(&tenant, &metric, cover).to_bytes().map(|bytes| bytes.to_vec()).unwrap_or_default()
}

fn parquet_seed() -> Vec<u8> {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("a", column)]).expect("one column");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a schema of one column");
    let written = writer.write(&batch).and_then(|()| writer.close());
    written.map(|_| bytes).expect("three rows are written")
}

fn cover(bytes: &[u8]) {
    if let Ok(document) = CoverDocument::from_bytes(bytes) {
        let again = document.to_bytes().expect("what was read can be written");
        assert_eq!(CoverDocument::from_bytes(&again).expect("what was written can be read"), document);
    }
}

fn delta(bytes: &[u8]) {
    let Ok(actions) = get_actions(1, &Bytes::copy_from_slice(bytes)) else { return };
    let _ = nonce_of(&actions);
    for action in &actions {
        if let Action::Add(add) = action {
            let _ = file_of(add);
        }
    }
}

fn layout(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = FileLayout::from_json(text);
    }
}

fn sums(bytes: &[u8]) {
    if let Ok(sums) = FileSums::from_bytes(bytes) {
        let _ = sums.check(0, bytes);
    }
}

/// A footer that claims anything is refused, or its claims are checked against one another.
fn parquet_footer(bytes: &[u8]) {
    let Some((rest, tail)) = bytes.split_last_chunk::<8>() else { return };
    let Ok(tail) = FooterTail::try_new(tail) else { return };
    let Some(start) = rest.len().checked_sub(tail.metadata_length()) else { return };
    if let Ok(metadata) = ParquetMetaDataReader::decode_metadata(&rest[start..]) {
        let _ = file::checked(metadata, Arc::new(FileSums::of(bytes)));
    }
}

#[cfg(test)]
#[test]
fn readers_survive_what_they_are_fed() {
    // B2, Q31
    fineo_conformance::feed(TARGETS, seeds, 5_000);
}
