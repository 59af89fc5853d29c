//! An archive behind faults.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Archive, Outcome, Result,
    archive::{ArchiveCapabilities, Availability, Created, Restore, SegmentInfo, SegmentName, SegmentQuery},
};
use futures::stream::BoxStream;

use super::{Faults, Operation};

/// An [`Archive`] behind faults; without a fault as transparent as glass.
#[derive(Debug)]
pub struct FaultyArchive {
    inner: Arc<dyn Archive>,
    faults: Faults,
}

impl FaultyArchive {
    /// `inner` behind `faults`.
    pub fn new(inner: Arc<dyn Archive>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Archive for FaultyArchive {
    fn capabilities(&self) -> ArchiveCapabilities {
        self.inner.capabilities()
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        let (inner, name) = (Arc::clone(&self.inner), name.clone());
        let fault = self.faults.next(Operation::ArchiveWrite);
        let effect = async move { inner.write(&name, bytes).await };
        self.faults.call((Operation::ArchiveWrite, fault), 1, effect).await
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        self.faults.stream(Operation::ArchiveSegments, self.inner.segments(query))
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        let (inner, name) = (Arc::clone(&self.inner), name.clone());
        let fault = self.faults.next(Operation::ArchiveRead);
        let effect = async move { inner.read(&name, range).await };
        self.faults.call((Operation::ArchiveRead, fault), 1, effect).await
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        let (inner, name) = (Arc::clone(&self.inner), name.clone());
        let fault = self.faults.next(Operation::ArchiveRemove);
        let effect = async move { inner.remove(&name).await };
        self.faults.call((Operation::ArchiveRemove, fault), 1, effect).await
    }

    async fn availability(&self, name: &SegmentName, restore: Option<Restore>) -> Result<Availability> {
        let (inner, name) = (Arc::clone(&self.inner), name.clone());
        let fault = self.faults.next(Operation::ArchiveAvailability);
        let effect = async move { inner.availability(&name, restore).await };
        self.faults.call((Operation::ArchiveAvailability, fault), 1, effect).await
    }
}

impl fmt::Display for FaultyArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}
