//! An archive that lists segments when somebody delivers them, in any order, as a delivery stream does.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Archive, Outcome, Result,
    archive::{ArchiveCapabilities, Availability, Created, Restore, SegmentInfo, SegmentName, SegmentQuery},
};
use futures::stream::BoxStream;

/// An [`Archive`] whose done writes are on their way until [`deliver`](Self::deliver) brings them.
#[derive(Debug)]
pub struct LateArchive {
    inner: Arc<dyn Archive>,
    within: Duration,
    is_prompt: bool,
    parcels: Mutex<Vec<Parcel>>,
}

/// A write.
#[derive(Debug, Clone)]
struct Parcel {
    name: SegmentName,
    bytes: Bytes,
    is_delivered: bool,
}

impl LateArchive {
    /// What is written to it comes to `inner`, which it says to be `within` this time.
    pub fn new(inner: Arc<dyn Archive>, within: Duration) -> Self {
        Self { inner, within, is_prompt: false, parcels: Mutex::default() }
    }

    /// The same, but every write is delivered before it is answered.
    pub fn prompt(inner: Arc<dyn Archive>, within: Duration) -> Self {
        Self { is_prompt: true, ..Self::new(inner, within) }
    }

    /// The writes that are on their way, in their order; a name twice that was written twice.
    pub fn on_their_way(&self) -> Vec<SegmentName> {
        self.names(|parcel| !parcel.is_delivered)
    }

    /// The writes that were delivered and may be once more.
    pub fn delivered(&self) -> Vec<SegmentName> {
        self.names(|parcel| parcel.is_delivered)
    }

    /// Delivers one write of `name`: one that is on its way, or else one that was delivered, once more.
    ///
    /// # Errors
    ///
    /// A failure of the archive.
    pub async fn deliver(&self, name: &SegmentName) -> Result<()> {
        let found = {
            let mut parcels = self.parcels();
            let mut of_name: Vec<&mut Parcel> = parcels.iter_mut().filter(|parcel| parcel.name == *name).collect();
            of_name.sort_by_key(|parcel| parcel.is_delivered);
            of_name.into_iter().next().map(|parcel| {
                parcel.is_delivered = true;
                parcel.bytes.clone()
            })
        };
        // The first that was delivered stands.
        if let Some(bytes) = found {
            self.inner.write(name, bytes).await.into_result()?;
        }
        Ok(())
    }

    /// Delivers all that is on its way.
    ///
    /// # Errors
    ///
    /// A failure of the archive.
    pub async fn deliver_all(&self) -> Result<()> {
        for name in self.on_their_way() {
            self.deliver(&name).await?;
        }
        Ok(())
    }

    fn names(&self, is_asked: impl Fn(&Parcel) -> bool) -> Vec<SegmentName> {
        self.parcels().iter().filter(|parcel| is_asked(parcel)).map(|parcel| parcel.name.clone()).collect()
    }

    fn parcels(&self) -> MutexGuard<'_, Vec<Parcel>> {
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Archive for LateArchive {
    fn capabilities(&self) -> ArchiveCapabilities {
        ArchiveCapabilities { listed_within: Some(self.within), ..self.inner.capabilities() }
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        if self.is_prompt {
            return match self.inner.write(name, bytes).await {
                Outcome::Done(Created::New | Created::Same | Created::Conflict) => Outcome::Done(Created::New),
                failed @ (Outcome::NotDone(_) | Outcome::Unknown(_)) => failed,
            };
        }
        self.parcels().push(Parcel { name: name.clone(), bytes, is_delivered: false });
        Outcome::Done(Created::New)
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        self.inner.segments(query)
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        self.inner.read(name, range).await
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        let removed = self.inner.remove(name).await;
        if removed.is_done() {
            // What was taken away does not come again.
            self.parcels().retain(|parcel| parcel.name != *name || !parcel.is_delivered);
        }
        removed
    }

    async fn availability(&self, name: &SegmentName, restore: Option<Restore>) -> Result<Availability> {
        self.inner.availability(name, restore).await
    }
}

impl fmt::Display for LateArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "late {}", self.inner)
    }
}
