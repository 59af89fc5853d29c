//! The footer of a data file, and a reader that believes no byte without its checksum.

mod check;
mod ids;
mod statistics;

use std::{ops::Range, sync::Arc};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use fineo_core::{Error, Result, Timestamp};
use futures::future::{BoxFuture, FutureExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{
        arrow_reader::ArrowReaderOptions,
        async_reader::{AsyncFileReader, MetadataFetch},
    },
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};

use crate::{FileLayout, FileSums, failure};
use ids::Ids;

/// How many bytes of a file's end are read at once, in the hope that they hold its footer.
const FOOTER_BYTES: usize = 64 << 10;

/// What the footer of a data file says, page index included.
#[derive(Debug)]
pub struct FileMeta {
    /// What stands in the file.
    pub layout: FileLayout,
    /// The Parquet metadata.
    pub metadata: Arc<ParquetMetaData>,
    /// How many rows it has.
    pub rows: u64,
    /// The first instant of a row.
    pub first: Timestamp,
    /// The last instant of a row.
    pub last: Timestamp,
    /// The columns as the engine reads them: texts and bytes as views.
    pub views: SchemaRef,
    sums: Arc<FileSums>,
    ids: Ids,
}

impl FileMeta {
    /// The size of the file.
    pub fn bytes(&self) -> u64 {
        self.sums.bytes()
    }

    /// The bytes that this value takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let layout = self.layout.columns.len() * 200 + self.layout.rest_names.len() * 40;
        let views = self.views.fields().len() * 150;
        let filters = ids::filter_bytes(&self.metadata);
        self.metadata.memory_size() + layout + views + filters + self.sums.memory_bytes() + 500
    }

    /// Statistics for the Delta log, as JSON.
    pub(crate) fn statistics(&self) -> String {
        statistics::of(self)
    }

    /// Reads and checks the footer of the file at `path`, whose checksums are `sums`.
    pub(crate) async fn load(store: &Arc<dyn ObjectStore>, path: &Path, sums: Arc<FileSums>) -> Result<Self> {
        let source = Source { store: Arc::clone(store), path: path.clone(), sums: Arc::clone(&sums) };
        let reader = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_prefetch_hint(Some(FOOTER_BYTES));
        let metadata = reader.load_and_finish(source, sums.bytes()).await;
        let metadata = metadata.map_err(|source| failure::footer(path, source))?;
        check::meta(metadata, sums).map_err(|error| error.with("path", path))
    }
}

/// A footer that came from anywhere, checked against itself.
#[cfg(any(test, fuzzing))]
pub(crate) fn checked(metadata: ParquetMetaData, sums: Arc<FileSums>) -> Result<FileMeta> {
    check::meta(metadata, sums)
}

/// A file's bytes, each block compared with its checksum.
#[derive(Debug, Clone)]
struct Source {
    store: Arc<dyn ObjectStore>,
    path: Path,
    sums: Arc<FileSums>,
}

impl Source {
    async fn read(&self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        if let Some(range) = ranges.iter().find(|range| range.start > range.end || range.end > self.sums.bytes()) {
            let error = Error::corrupt("a file's own footer points outside of it");
            return Err(error.with("path", &self.path).with("from", range.start).with("to", range.end));
        }
        let blocks: Vec<Range<u64>> = ranges.iter().map(|range| self.sums.blocks_of(range)).collect();
        let read = match self.store.get_ranges(&self.path, &blocks).await {
            Ok(read) => read,
            Err(source) => return Err(self.failed(source).await),
        };
        let mut answers = Vec::with_capacity(ranges.len());
        for ((range, block), bytes) in ranges.iter().zip(&blocks).zip(read) {
            if bytes.len() as u64 != block.end - block.start {
                return Err(self.shorter());
            }
            self.sums.check(block.start, &bytes).map_err(|from| {
                let error = Error::corrupt(format!("a file is damaged: {}", failure::REPAIR));
                error.with("path", &self.path).with("from", from)
            })?;
            let at = |place: u64| usize::try_from(place - block.start).expect("what was read fits in memory");
            answers.push(bytes.slice(at(range.start)..at(range.end)));
        }
        Ok(answers)
    }

    fn shorter(&self) -> Error {
        let error = Error::corrupt(format!("a file is shorter than it was written: {}", failure::REPAIR));
        error.with("path", &self.path).with("bytes", self.sums.bytes())
    }

    /// A store says of a range beyond the end only that it failed, which must not look as if trying again helped.
    async fn failed(&self, source: object_store::Error) -> Error {
        match self.store.head(&self.path).await {
            Ok(meta) if meta.size < self.sums.bytes() => self.shorter().with_source(source),
            Ok(_) | Err(_) => failure::read(&self.path, source),
        }
    }
}

impl MetadataFetch for Source {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { one(self.read(vec![range]).await) }.boxed()
    }
}

fn one(answers: Result<Vec<Bytes>>) -> Result<Bytes, ParquetError> {
    let one = answers.and_then(|mut answers| answers.pop().ok_or_else(|| Error::internal("one range has one answer")));
    one.map_err(external)
}

fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Reads a data file; every byte that it answers was compared with its block's checksum.
#[derive(Debug, Clone)]
pub struct FileReader {
    source: Source,
    meta: Arc<FileMeta>,
}

impl FileReader {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: Path, meta: Arc<FileMeta>) -> Self {
        let sums = Arc::clone(&meta.sums);
        Self { source: Source { store, path, sums }, meta }
    }

    /// The footer.
    pub fn meta(&self) -> &Arc<FileMeta> {
        &self.meta
    }
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { one(self.source.read(vec![range]).await) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.source.read(ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let metadata = Arc::clone(&self.meta.metadata);
        async move { Ok(metadata) }.boxed()
    }
}
