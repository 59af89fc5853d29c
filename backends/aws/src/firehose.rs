//! An archive that Amazon Data Firehose writes: a segment is handed to a delivery stream in parts, and filed under its name
//! in the bucket once all of them were delivered (`docs/adr/0009-firehose-writes-the-archive-late.md`).

mod check;
mod delivered;
mod frame;
mod put;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Archive, Error, ErrorKind, Outcome, Result,
    archive::{ArchiveCapabilities, Availability, Created, Restore, SegmentInfo, SegmentName, SegmentQuery},
};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::Mutex;

pub(crate) use check::check;
use delivered::Delivered;
use put::Delivery;

use crate::{AwsOptions, Bucket, S3Archive, connect::Clients};

/// Firehose gives up after 24 hours; an hour more for what it delivers last.
const LISTED_WITHIN: Duration = Duration::from_secs(25 * 60 * 60);

/// An [`Archive`] whose segments a delivery stream of Firehose brings to the bucket. Once delivered they are where an
/// [`S3Archive`] keeps them, under the same names and with the same bytes. Cloning is cheap.
///
/// # Guarantees
///
/// Those of [`Archive`] with [`listed_within`](ArchiveCapabilities::listed_within), and:
///
/// 1. **Durability.** A write is done when Firehose has taken every part of the segment: it keeps them for 24 hours while the
///    bucket cannot be written. What failed of a call is sent again, and nothing else.
/// 2. **One delivery stream** for all stages and kinds, and for all workers: each part says whose it is.
/// 3. **Filing.** Whoever lists first files what was delivered, each segment once, however often and in whatever order its
///    parts came. Of a delivered object only that is kept which could not be filed: parts that lack others, what is damaged or no
///    segment, and segments whose name is another's by then. That is put aside into the folder `undelivered` when it is older
///    than `listed_within`. It is never deleted.
#[derive(Clone)]
pub struct FirehoseArchive {
    delivery: Delivery,
    delivered: Delivered,
    filed: Arc<S3Archive>,
    /// Of the listings of one process one files at a time.
    filing: Arc<Mutex<()>>,
}

impl FirehoseArchive {
    pub(crate) fn new(
        name: String,
        filed: Arc<S3Archive>,
        bucket: &Bucket,
        clients: Clients,
        options: AwsOptions,
    ) -> Self {
        let delivered = Delivered::new(bucket, Arc::clone(&options.clock));
        let delivery = Delivery::new(name, clients, options);
        Self { delivery, delivered, filed, filing: Arc::default() }
    }

    /// The delivery stream's name.
    pub fn delivery(&self) -> &str {
        self.delivery.name()
    }

    /// Files every segment that was delivered as a whole. Listing does so, too.
    ///
    /// # Errors
    ///
    /// A failure of the bucket; what was filed before is filed.
    pub async fn file(&self) -> Result<()> {
        let _alone = self.filing.lock().await;
        self.delivered.file(&*self.filed, LISTED_WITHIN).await
    }
}

#[async_trait]
impl Archive for FirehoseArchive {
    fn capabilities(&self) -> ArchiveCapabilities {
        ArchiveCapabilities { listed_within: Some(LISTED_WITHIN), ..self.filed.capabilities() }
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        let bytes_max = self.capabilities().segment_bytes_max;
        if bytes.len() as u64 > bytes_max {
            let error = Error::invalid("the segment is too large").with("bytes", bytes.len());
            return Outcome::NotDone(error.with("bytes_max", bytes_max));
        }
        match self.delivery.put(frame::frames(name, &bytes)).await {
            Outcome::Done(()) => Outcome::Done(Created::New),
            Outcome::NotDone(error) => Outcome::NotDone(error.with("segment", name.path())),
            Outcome::Unknown(error) => Outcome::Unknown(error.with("segment", name.path())),
        }
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        let archive = self.clone();
        let filed = async move {
            archive.file().await?;
            Ok(archive.filed.segments(query))
        };
        stream::once(filed).try_flatten().boxed()
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        match self.filed.read(name, range).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.file().await?;
                self.filed.read(name, range).await
            }
            read => read,
        }
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        // What was delivered and is not filed yet would come back.
        match self.file().await {
            Ok(()) => self.filed.remove(name).await,
            Err(error) => Outcome::NotDone(error.with("segment", name.path())),
        }
    }

    async fn availability(&self, name: &SegmentName, restore: Option<Restore>) -> Result<Availability> {
        match self.filed.availability(name, restore).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.file().await?;
                self.filed.availability(name, restore).await
            }
            availability => availability,
        }
    }
}

impl fmt::Display for FirehoseArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, written by Firehose {}", self.filed, self.delivery.name())
    }
}

impl fmt::Debug for FirehoseArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirehoseArchive").field("delivery", &self.delivery.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
