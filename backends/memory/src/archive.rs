//! An archive in memory: a map of segments.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Archive, Durability, Error, Outcome, Result,
    archive::{ArchiveCapabilities, Created, SegmentInfo, SegmentName, SegmentQuery},
};
use futures::stream::{self, BoxStream, StreamExt};

const SEGMENT_BYTES_MAX: usize = 256 << 20;
const LIST_PAGE: usize = 256;

/// An [`Archive`] in memory. Clones share its segments.
#[derive(Clone, Default)]
pub struct MemoryArchive(Arc<Mutex<BTreeMap<SegmentName, Bytes>>>);

impl MemoryArchive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    fn segments(&self) -> MutexGuard<'_, BTreeMap<SegmentName, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self, query: SegmentQuery, after: Option<&SegmentName>) -> Vec<SegmentInfo> {
        let segments = self.segments();
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        segments
            .range::<SegmentName, _>(range)
            .filter(|(name, _)| query.asks_for(name))
            .take(LIST_PAGE)
            .map(|(name, bytes)| SegmentInfo { name: name.clone(), bytes: bytes.len() as u64 })
            .collect()
    }
}

#[async_trait]
impl Archive for MemoryArchive {
    fn capabilities(&self) -> ArchiveCapabilities {
        ArchiveCapabilities {
            durability: Durability::Volatile,
            segment_bytes_max: SEGMENT_BYTES_MAX as u64,
            listed_within: None,
        }
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        if bytes.len() > SEGMENT_BYTES_MAX {
            return Outcome::NotDone(Error::invalid("the segment is too large").with("bytes", bytes.len()));
        }
        Outcome::Done(match self.segments().entry(name.clone()) {
            btree_map::Entry::Vacant(place) => {
                place.insert(bytes);
                Created::New
            }
            btree_map::Entry::Occupied(there) if *there.get() == bytes => Created::Same,
            btree_map::Entry::Occupied(_) => Created::Conflict,
        })
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        let pages = stream::unfold((self.clone(), None), move |(archive, after)| async move {
            let page = archive.page(query, after.as_ref());
            let last = page.last()?.name.clone();
            Some((stream::iter(page.into_iter().map(Ok)), (archive, Some(last))))
        });
        pages.flatten().boxed()
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        let segments = self.segments();
        let bytes = segments.get(name);
        let bytes = bytes.ok_or_else(|| Error::not_found("no such segment").with("segment", name.path()))?;
        let Some((from, to)) = range else { return Ok(bytes.clone()) };
        if from > to || to > bytes.len() as u64 {
            let error = Error::invalid("the range is not within the segment").with("segment", name.path());
            return Err(error.with("from", from).with("to", to).with("bytes", bytes.len()));
        }
        let index = |offset: u64| usize::try_from(offset).expect("within the segment's length");
        Ok(bytes.slice(index(from)..index(to)))
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        Outcome::Done(self.segments().remove(name).is_some())
    }
}

impl fmt::Display for MemoryArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory archive")
    }
}

impl fmt::Debug for MemoryArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryArchive")
    }
}
