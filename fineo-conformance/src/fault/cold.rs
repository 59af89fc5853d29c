//! An archive some of whose segments lie in a cold storage class, as a lifecycle rule of S3 leaves them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Archive, Error, ErrorKind, Outcome, Result, Timestamp,
    archive::{ArchiveCapabilities, Availability, Created, Restore, SegmentInfo, SegmentName, SegmentQuery},
};
use futures::stream::BoxStream;

/// Which segments are cold, and how far their restores are. Clones share that.
#[derive(Debug, Clone, Default)]
pub struct Freezer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    looks: u32,
    cold: BTreeMap<SegmentName, (Timestamp, Thaw)>,
    restores: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thaw {
    Cold,
    /// It is back after so many looks.
    Coming(u32),
    Back,
}

impl Freezer {
    /// Whatever is asked for is back at the look after so many.
    pub fn new(looks: u32) -> Self {
        Self(Arc::new(Mutex::new(State { looks, ..State::default() })))
    }

    /// The segment `name`, written at `written_at`, is cold from now on.
    pub fn freeze(&self, name: &SegmentName, written_at: Timestamp) {
        self.state().cold.insert(name.clone(), (written_at, Thaw::Cold));
    }

    /// How many restores were begun.
    pub fn restores(&self) -> u64 {
        self.state().restores
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, name: &SegmentName) -> Result<()> {
        match self.state().cold.get(name) {
            None | Some((_, Thaw::Back)) => Ok(()),
            Some((_, Thaw::Cold | Thaw::Coming(_))) => {
                Err(Error::new(ErrorKind::Cold, "the segment is cold").with("segment", name.path()))
            }
        }
    }

    /// What a look finds; none of a segment that was never cold.
    fn look(&self, name: &SegmentName, restore: Option<Restore>) -> Option<Availability> {
        let mut state = self.state();
        let looks = state.looks;
        let (written_at, thaw) = state.cold.get_mut(name)?;
        let written_at = *written_at;
        let is_begun = *thaw == Thaw::Cold && restore.is_some();
        *thaw = match *thaw {
            Thaw::Cold if is_begun => Thaw::Coming(looks),
            Thaw::Coming(0) => Thaw::Back,
            Thaw::Coming(left) => Thaw::Coming(left - 1),
            as_it_is @ (Thaw::Cold | Thaw::Back) => as_it_is,
        };
        let found = match *thaw {
            Thaw::Cold => Availability::Cold { written_at },
            Thaw::Coming(_) => Availability::Restoring { written_at },
            Thaw::Back => Availability::Ready,
        };
        state.restores += u64::from(is_begun);
        Some(found)
    }
}

/// An [`Archive`] some of whose segments a [`Freezer`] holds.
#[derive(Debug)]
pub struct ColdArchive {
    inner: Arc<dyn Archive>,
    freezer: Freezer,
}

impl ColdArchive {
    /// `inner` with what `freezer` holds.
    pub fn new(inner: Arc<dyn Archive>, freezer: &Freezer) -> Self {
        Self { inner, freezer: freezer.clone() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Archive for ColdArchive {
    fn capabilities(&self) -> ArchiveCapabilities {
        self.inner.capabilities()
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        self.inner.write(name, bytes).await
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        self.inner.segments(query)
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        self.freezer.check(name)?;
        self.inner.read(name, range).await
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        let removed = self.inner.remove(name).await;
        if removed.is_done() {
            self.freezer.state().cold.remove(name);
        }
        removed
    }

    async fn availability(&self, name: &SegmentName, restore: Option<Restore>) -> Result<Availability> {
        match self.freezer.look(name, restore) {
            Some(found) => Ok(found),
            None => self.inner.availability(name, restore).await,
        }
    }
}

impl fmt::Display for ColdArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cold {}", self.inner)
    }
}
