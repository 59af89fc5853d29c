//! Files in the object store: new ones are put there, committed ones are asked for ids and rows.

use std::collections::HashSet;

use fineo_core::{Error, ErrorKind, EventId, MetricId, Result, TenantId};
use fineo_table::{DataFile, Snapshot, Tables};
use object_store::{PutMode, PutOptions, PutPayload};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream};

/// Rows that are read back at once.
const BATCH_ROWS: usize = 8_192;

/// Puts a file to its place. It is there already when an earlier try came so far: its name tells its bytes.
///
/// # Errors
///
/// A failure of the store; trying again is safe.
pub(crate) async fn put(
    tables: &Tables,
    tenant: &TenantId,
    metric: &MetricId,
    path: &str,
    bytes: Vec<u8>,
) -> Result<()> {
    let at = tables.object_path(tenant, metric, path);
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match tables.objects().store.put_opts(&at, PutPayload::from(bytes), options).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(source) => Err(failed(source).with("path", at)),
    }
}

/// Classifies what a store says; an error of ours is passed on.
fn failed(source: object_store::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&source);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.clone();
        }
        cause = error.source();
    }
    Error::new(ErrorKind::Unavailable, "a columnar file could not be stored").with_source(source)
}

/// Those of `ids` that `file` has.
///
/// # Errors
///
/// `Corrupt`, or a failure of the store.
pub(crate) async fn known_ids(
    tables: &Tables,
    snapshot: &Snapshot,
    file: &DataFile,
    ids: &[EventId],
) -> Result<HashSet<EventId>> {
    tables.reader(snapshot, file).await?.find(ids).await
}

/// The rows of a committed file.
///
/// # Errors
///
/// `Corrupt`, or a failure of the store.
pub(crate) async fn rows(
    tables: &Tables,
    snapshot: &Snapshot,
    file: &DataFile,
) -> Result<ParquetRecordBatchStream<fineo_table::FileReader>> {
    stream(open(tables, snapshot, file).await?, file)
}

/// An error of reading a file.
pub(crate) fn broken(file: &DataFile, source: parquet::errors::ParquetError) -> Error {
    if let parquet::errors::ParquetError::External(inner) = &source
        && let Some(ours) = inner.downcast_ref::<Error>()
    {
        return ours.clone();
    }
    Error::corrupt("a columnar file cannot be read").with("path", &file.path).with_source(source)
}

type Builder = ParquetRecordBatchStreamBuilder<fineo_table::FileReader>;

async fn open(tables: &Tables, snapshot: &Snapshot, file: &DataFile) -> Result<Builder> {
    let reader = tables.reader(snapshot, file).await?;
    Builder::new(reader).await.map_err(|source| broken(file, source))
}

fn stream(builder: Builder, file: &DataFile) -> Result<ParquetRecordBatchStream<fineo_table::FileReader>> {
    builder.with_batch_size(BATCH_ROWS).build().map_err(|source| broken(file, source))
}
