//! Events of the tail that are in a file already: sent again after their first copy was compacted.
//!
//! A position tells which rows the files cover, but a second copy has a later one. So rows of a day that has
//! files are looked up there by event id: bloom filters first, ids where a filter cannot say no.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use datafusion::arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    buffer::BooleanBuffer,
    compute::filter_record_batch,
    datatypes::TimestampMicrosecondType,
};
use fineo_core::{Error, Result};
use fineo_table::{FileReader, Snapshot};
use futures::TryStreamExt;
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    },
    bloom_filter::Sbbf,
    errors::ParquetError,
};

use super::{file::EVENT_ID, sixteen};
use crate::pins::Pins;

const DAY_MICROS: i64 = 86_400_000_000;
/// The most bytes of ids that one scan keeps.
const IDS_BYTES_MAX: usize = 64 << 20;

type Id = [u8; 16];
/// The number of a file in its snapshot, and of a row group in it.
type Group = (usize, usize);

/// Looks rows up in the files of their day.
pub(super) struct Resent {
    pins: Arc<Pins>,
    snapshot: Arc<Snapshot>,
    /// By day, its files.
    days: HashMap<i64, Vec<usize>>,
    opened: HashMap<usize, Opened>,
    ids: HashMap<Group, Arc<[Id]>>,
    ids_bytes: usize,
}

/// A file whose ids can be looked up.
struct Opened {
    reader: FileReader,
    metadata: ArrowReaderMetadata,
    /// The place of the ids among its columns.
    column: usize,
    /// Of each row group.
    filters: Vec<Option<Sbbf>>,
}

impl Resent {
    /// A look-up in the files of `snapshot`; none when it has none.
    pub(super) fn of(pins: &Arc<Pins>, snapshot: &Arc<Snapshot>) -> Option<Self> {
        if snapshot.files.is_empty() {
            return None;
        }
        let mut days: HashMap<i64, Vec<usize>> = HashMap::new();
        for (index, file) in snapshot.files.iter().enumerate() {
            days.entry(file.day.into()).or_default().push(index);
        }
        let (pins, snapshot) = (Arc::clone(pins), Arc::clone(snapshot));
        Some(Self { pins, snapshot, days, opened: HashMap::new(), ids: HashMap::new(), ids_bytes: 0 })
    }

    /// `batch`, whose ids are its column `ids`, without the rows that are in a file.
    pub(super) async fn without(&mut self, batch: RecordBatch, ids: usize) -> Result<RecordBatch> {
        let candidates = self.candidates(&batch, ids).await?;
        let mut found: HashSet<Id> = HashSet::new();
        for (group, wanted) in candidates {
            let stored = self.ids_of(group).await?;
            found.extend(stored.iter().filter(|id| wanted.contains(*id)));
        }
        if found.is_empty() {
            return Ok(batch);
        }
        let column = batch.column(ids).as_fixed_size_binary();
        let is_kept = |row| sixteen(column.value(row)).is_none_or(|id| !found.contains(&id));
        let kept = BooleanArray::new(BooleanBuffer::collect_bool(batch.num_rows(), is_kept), None);
        filter_record_batch(&batch, &kept)
            .map_err(|source| Error::internal("cannot leave out rows").with_source(source))
    }

    /// The ids that may be in each row group.
    async fn candidates(&mut self, batch: &RecordBatch, ids: usize) -> Result<BTreeMap<Group, HashSet<Id>>> {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
        let column = batch.column(ids).as_fixed_size_binary();
        let mut by_day: HashMap<i64, Vec<Id>> = HashMap::new();
        for (row, time) in times.iter().enumerate() {
            let day = time.div_euclid(DAY_MICROS);
            if self.days.contains_key(&day) {
                let id = sixteen(column.value(row)).ok_or_else(|| Error::internal("an id has sixteen bytes"))?;
                by_day.entry(day).or_default().push(id);
            }
        }
        let mut candidates: BTreeMap<Group, HashSet<Id>> = BTreeMap::new();
        for (day, wanted) in by_day {
            let files = self.days.get(&day).cloned().unwrap_or_default();
            for file in files {
                let opened = self.open(file).await?;
                for (group, filter) in opened.filters.iter().enumerate() {
                    let may_have = |id: &&Id| filter.as_ref().is_none_or(|filter| filter.check(&id[..]));
                    let some: HashSet<Id> = wanted.iter().filter(may_have).copied().collect();
                    if !some.is_empty() {
                        candidates.insert((file, group), some);
                    }
                }
            }
        }
        Ok(candidates)
    }

    async fn open(&mut self, index: usize) -> Result<&Opened> {
        if !self.opened.contains_key(&index) {
            let reader = self.pins.tables.reader(&self.snapshot, &self.snapshot.files[index]).await?;
            let opened = open(reader).await?;
            self.opened.insert(index, opened);
        }
        Ok(&self.opened[&index])
    }

    /// The ids of a row group.
    async fn ids_of(&mut self, group: Group) -> Result<Arc<[Id]>> {
        if let Some(known) = self.ids.get(&group) {
            return Ok(Arc::clone(known));
        }
        let ids: Arc<[Id]> = read_ids(self.open(group.0).await?, group.1).await?.into();
        let bytes = ids.len() * size_of::<Id>();
        if self.ids_bytes + bytes > IDS_BYTES_MAX {
            self.ids.clear();
            self.ids_bytes = 0;
        }
        self.ids_bytes += bytes;
        self.ids.insert(group, Arc::clone(&ids));
        Ok(ids)
    }
}

impl fmt::Debug for Resent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resent({} files)", self.snapshot.files.len())
    }
}

async fn open(reader: FileReader) -> Result<Opened> {
    let metadata = Arc::clone(&reader.meta().metadata);
    let columns = metadata.file_metadata().schema_descr().columns();
    let column = columns.iter().position(|column| column.name() == EVENT_ID);
    let column = column.ok_or_else(|| Error::corrupt("a file has no ids"))?;
    let groups = metadata.num_row_groups();
    let metadata = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new()).map_err(unreadable)?;
    let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader.clone(), metadata.clone());
    let mut filters = Vec::with_capacity(groups);
    for group in 0..groups {
        filters.push(builder.get_row_group_column_bloom_filter(group, column).await.map_err(unreadable)?);
    }
    Ok(Opened { reader, metadata, column, filters })
}

async fn read_ids(file: &Opened, group: usize) -> Result<Vec<Id>> {
    let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file.reader.clone(), file.metadata.clone());
    let only = ProjectionMask::leaves(builder.parquet_schema(), [file.column]);
    let mut batches = builder.with_row_groups(vec![group]).with_projection(only).build().map_err(unreadable)?;
    let mut ids = Vec::new();
    while let Some(batch) = batches.try_next().await.map_err(unreadable)? {
        let column = batch.column(0);
        let column = datafusion::arrow::compute::cast(column, &datafusion::arrow::datatypes::DataType::BinaryView)
            .map_err(|source| Error::corrupt("a file's ids have another type").with_source(source))?;
        for id in column.as_binary_view() {
            ids.push(id.and_then(sixteen).ok_or_else(|| Error::corrupt("a file's id has the wrong length"))?);
        }
    }
    Ok(ids)
}

/// An error of the reader: ours where it carries one.
fn unreadable(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(source) => Error::corrupt("a file cannot be read").with("detail", source),
        },
        other => Error::corrupt("a file cannot be read").with_source(other),
    }
}
