//! Files in the object store: new ones are put there, committed ones are asked for ids and rows.

use std::collections::HashSet;

use fineo_core::{Error, ErrorKind, EventId, MetricId, Result, TenantId, nearline::COLUMN_EVENT_ID};
use fineo_table::{DataFile, Snapshot, Tables};
use futures::TryStreamExt;
use object_store::{PutMode, PutOptions, PutPayload};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask, async_reader::ParquetRecordBatchStream};

use arrow_array::cast::AsArray;

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

/// Those of `ids` that `file` has; `ids` are in order.
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
    let mut known = HashSet::new();
    let mut builder = open(tables, snapshot, file).await?;
    let Some(column) = (0..builder.parquet_schema().num_columns())
        .find(|index| builder.parquet_schema().column(*index).name() == COLUMN_EVENT_ID)
    else {
        return Err(Error::corrupt("a file has no event ids").with("path", &file.path));
    };
    let mut groups = Vec::new();
    for group in 0..builder.metadata().num_row_groups() {
        let bloom =
            builder.get_row_group_column_bloom_filter(group, column).await.map_err(|source| broken(file, source))?;
        if bloom.is_none_or(|bloom| ids.iter().any(|id| bloom.check(&id.0[..]))) {
            groups.push(group);
        }
    }
    if groups.is_empty() {
        return Ok(known);
    }
    let mask = ProjectionMask::leaves(builder.parquet_schema(), [column]);
    let mut batches = stream(builder.with_row_groups(groups).with_projection(mask), file)?;
    while let Some(batch) = batches.try_next().await.map_err(|source| broken(file, source))? {
        let column = batch.column(0).as_binary_opt::<i32>();
        let column =
            column.ok_or_else(|| Error::corrupt("event ids of a file are no bytes").with("path", &file.path))?;
        for id in column.iter().flatten() {
            let id = EventId(id.try_into().map_err(|_| Error::corrupt("an id of a file has no 16 bytes"))?);
            if ids.binary_search(&id).is_ok() {
                known.insert(id);
            }
        }
    }
    Ok(known)
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
