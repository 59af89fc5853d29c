//! Which events a data file has: filters first, ids where a filter cannot say no. What was found out is kept.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow_array::{Array, cast::AsArray};
use fineo_core::{Error, EventId, Result, nearline::COLUMN_EVENT_ID};
use futures::TryStreamExt;
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    },
    bloom_filter::Sbbf,
    errors::ParquetError,
    file::metadata::ParquetMetaData,
};
use tokio::sync::OnceCell;

use super::FileReader;

/// The most answers that are kept of one file.
const ANSWERS_MAX: usize = 8_192;

/// What is known of a file's events.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// Of each row group.
    filters: OnceCell<Vec<Option<Sbbf>>>,
    /// What reading the ids answered where the filters could not.
    answers: Mutex<HashMap<EventId, bool>>,
}

impl Ids {
    fn answers(&self) -> MutexGuard<'_, HashMap<EventId, bool>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, asked: impl Iterator<Item = EventId>, found: &HashSet<EventId>) {
        let mut answers = self.answers();
        for id in asked {
            if answers.len() >= ANSWERS_MAX {
                return;
            }
            answers.insert(id, found.contains(&id));
        }
    }
}

/// The bytes that the filters of a file take in memory.
pub(super) fn filter_bytes(metadata: &ParquetMetaData) -> usize {
    let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    columns.filter_map(|column| column.bloom_filter_length()).filter_map(|bytes| usize::try_from(bytes).ok()).sum()
}

impl FileReader {
    /// Those of `ids` that the file has.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the store.
    pub async fn find(&self, ids: &[EventId]) -> Result<HashSet<EventId>> {
        let filters = self.meta.ids.filters.get_or_try_init(|| self.filters()).await?;
        let (mut found, mut open) = self.ask(filters, ids);
        let mut asked: HashSet<EventId> = HashSet::new();
        while let Some((group, mut wanted)) = open.pop_first() {
            asked.extend(wanted.iter().copied());
            wanted.retain(|id| !found.contains(id));
            if !wanted.is_empty() {
                self.read_ids(group, |id| {
                    if wanted.contains(&id) {
                        found.insert(id);
                    }
                })
                .await?;
            }
        }
        self.meta.ids.keep(asked.into_iter(), &found);
        Ok(found)
    }

    /// The ids that the file is known to have, and by row group those that it may have.
    fn ask(&self, filters: &[Option<Sbbf>], ids: &[EventId]) -> (HashSet<EventId>, BTreeMap<usize, HashSet<EventId>>) {
        let (mut found, mut open) = (HashSet::new(), BTreeMap::<usize, HashSet<EventId>>::new());
        let answers = self.meta.ids.answers();
        for id in ids {
            let may_have = |filter: &Option<Sbbf>| filter.as_ref().is_none_or(|filter| filter.check(&id.0[..]));
            for (group, _) in filters.iter().enumerate().filter(|(_, filter)| may_have(filter)) {
                match answers.get(id) {
                    Some(true) => {
                        found.insert(*id);
                    }
                    Some(false) => {}
                    None => {
                        open.entry(group).or_default().insert(*id);
                    }
                }
            }
        }
        (found, open)
    }

    async fn filters(&self) -> Result<Vec<Option<Sbbf>>> {
        let (mut builder, column) = self.open()?;
        let mut filters = Vec::with_capacity(builder.metadata().num_row_groups());
        for group in 0..builder.metadata().num_row_groups() {
            let filter = builder.get_row_group_column_bloom_filter(group, column).await;
            filters.push(filter.map_err(|source| self.unreadable(source))?);
        }
        Ok(filters)
    }

    /// Shows every id of a row group.
    async fn read_ids(&self, group: usize, mut visit: impl FnMut(EventId)) -> Result<()> {
        let (builder, column) = self.open()?;
        let only = ProjectionMask::leaves(builder.parquet_schema(), [column]);
        let batches = builder.with_row_groups(vec![group]).with_projection(only).build();
        let mut batches = batches.map_err(|source| self.unreadable(source))?;
        while let Some(batch) = batches.try_next().await.map_err(|source| self.unreadable(source))? {
            let mistaken = || Error::corrupt("an id of a file has no 16 bytes").with("path", &self.source.path);
            let ids = batch.column(0).as_binary_opt::<i32>().filter(|ids| ids.null_count() == 0);
            for id in ids.ok_or_else(mistaken)? {
                visit(EventId(id.and_then(|id| id.try_into().ok()).ok_or_else(mistaken)?));
            }
        }
        Ok(())
    }

    /// The file, and the place of the ids among its columns.
    fn open(&self) -> Result<(ParquetRecordBatchStreamBuilder<Self>, usize)> {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(&self.meta.metadata), options);
        let metadata = metadata.map_err(|source| self.unreadable(source))?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.clone(), metadata);
        let columns = builder.parquet_schema().columns();
        let column = columns.iter().position(|column| column.name() == COLUMN_EVENT_ID);
        let column = column.ok_or_else(|| Error::corrupt("a file has no ids").with("path", &self.source.path))?;
        Ok((builder, column))
    }

    /// An error of the reader: ours where it carries one.
    fn unreadable(&self, error: ParquetError) -> Error {
        match error {
            ParquetError::External(source) => match source.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(source) => Error::corrupt("a file cannot be read").with("detail", source),
            },
            other => Error::corrupt("a file cannot be read").with("path", &self.source.path).with_source(other),
        }
    }
}
