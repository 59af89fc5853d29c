//! What Firehose delivered: objects of parts in any order, out of which segments are filed.

mod open;

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use fineo_core::{Archive, Clock, Error, ErrorKind, Result, archive::Created};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};

use super::frame::{self, Part, Whole};
use crate::{Bucket, failure};
use open::{Open, Place};

/// Where the delivery stream writes to.
pub(super) const DELIVERED: &str = "delivered";
/// Where goes what cannot be filed.
const UNDELIVERED: &str = "undelivered";
/// What stands in the names of objects out of which something was filed, before what tells them apart.
const REST: &str = "-rest-";
/// How many segments are written at once.
const WRITES_AT_ONCE: usize = 16;

/// The folder of one instance that a delivery stream writes to. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Delivered {
    store: Arc<dyn ObjectStore>,
    delivered: Path,
    undelivered: Path,
    clock: Arc<dyn Clock>,
}

impl Delivered {
    pub(super) fn new(bucket: &Bucket, clock: Arc<dyn Clock>) -> Self {
        Self::within(bucket.store(), &bucket.root(), clock)
    }

    pub(super) fn within(store: Arc<dyn ObjectStore>, root: &Path, clock: Arc<dyn Clock>) -> Self {
        let folder = |name: &str| root.clone().join(name);
        Self { store, delivered: folder(DELIVERED), undelivered: folder(UNDELIVERED), clock }
    }

    /// Files in `archive` every segment that was delivered as a whole, and keeps of the objects only what could not be filed.
    /// What of that is older than `wait` is put aside.
    ///
    /// Any number of processes may do so at once: of two that file one segment the later finds it there.
    ///
    /// # Errors
    ///
    /// A failure of the store or of `archive`. Nothing was let go that is not filed.
    pub(super) async fn file(&self, archive: &dyn Archive, wait: Duration) -> Result<()> {
        let mut objects: Vec<ObjectMeta> =
            self.store.list(Some(&self.delivered)).try_collect().await.map_err(failure::s3)?;
        objects.sort_by(|one, other| one.location.cmp(&other.location));
        let mut open = Open::default();
        for meta in &objects {
            let filed = self.file_object(&meta.location, archive, &mut open).await;
            filed.map_err(|error| error.with("object", &meta.location))?;
        }
        // What is delivered once more may lack the parts that were filed long ago.
        for whole in open.lacking() {
            if is_there(archive, &whole).await? {
                open.filed(&whole);
            }
        }
        for meta in &objects {
            self.keep_what_is_open(meta, &open, wait).await?;
        }
        Ok(())
    }

    /// Files what `object` has as a whole, or completes, and notes the rest in `open`.
    async fn file_object(&self, object: &Path, archive: &dyn Archive, open: &mut Open) -> Result<()> {
        // Without it: somebody else filed it.
        let Some(content) = self.get(object, None).await? else { return Ok(()) };
        open.begin(object, content.len() as u64);
        let (mut rest, mut alone) = (content.clone(), Vec::new());
        while !rest.is_empty() {
            let from = (content.len() - rest.len()) as u64;
            let Part { whole, index, bytes } = match frame::read(&mut rest) {
                Ok(part) => part,
                Err(error) => {
                    // What is behind it may be good.
                    let length = frame::next(&rest).unwrap_or(rest.len());
                    rest = rest.slice(length..);
                    open.damaged(object, from..from + length as u64, error.with("offset", from));
                    continue;
                }
            };
            let range = from..(content.len() - rest.len()) as u64;
            if whole.parts == 1 {
                alone.push((whole, range, bytes));
                continue;
            }
            open.add(whole.clone(), index, Place { object: object.clone(), range });
            let Some(places) = open.complete(&whole) else { continue };
            if let Some(bytes) = self.assemble(&whole, places, open).await? {
                match write(archive, &whole, bytes).await? {
                    None => open.filed(&whole),
                    Some(refusal) => open.refused(&whole, &refusal),
                }
            }
        }
        let written = stream::iter(alone).map(async |(whole, range, bytes)| {
            let refusal = write(archive, &whole, bytes).await?;
            Result::Ok((range, refusal))
        });
        let mut written = written.buffer_unordered(WRITES_AT_ONCE);
        while let Some((range, refusal)) = written.try_next().await? {
            if let Some(refusal) = refusal {
                open.damaged(object, range, refusal);
            }
        }
        Ok(())
    }

    /// The bytes of a segment whose parts are all there; none when somebody else took one of them away.
    async fn assemble(&self, whole: &Whole, places: Vec<Place>, open: &mut Open) -> Result<Option<Bytes>> {
        let mut segment = Vec::with_capacity(usize::try_from(whole.bytes).unwrap_or(0));
        for Place { object, range } in places {
            let Some(mut bytes) = self.get(&object, Some(range)).await? else {
                open.forget(&object);
                return Ok(None);
            };
            segment.extend_from_slice(&frame::read(&mut bytes)?.bytes);
        }
        Ok(Some(segment.into()))
    }

    /// The bytes of `object`, or those of `range` of them; none when it is gone.
    async fn get(&self, object: &Path, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let got = match range {
            Some(range) => self.store.get_range(object, range).await,
            None => match self.store.get(object).await {
                Ok(found) => found.bytes().await,
                Err(error) => Err(error),
            },
        };
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure::s3(error)),
        }
    }

    /// Lets go of what is filed of an object: of all of it, or of all but what is open, which gets an object of its own first. A
    /// crash between the two leaves both, and what is met twice is filed once. What nothing was filed of is put aside when it is
    /// old.
    async fn keep_what_is_open(&self, meta: &ObjectMeta, open: &Open, wait: Duration) -> Result<()> {
        let object = &meta.location;
        let Some(held) = open.held(object) else { return Ok(()) };
        if held.is_whole() {
            let age = self.clock.now().micros().saturating_sub(meta.last_modified.timestamp_micros());
            let (error, is_old) = (held.error(), u128::try_from(age).unwrap_or(0) >= wait.as_micros());
            tracing::debug!(%error, %object, "not all of what was delivered can be filed yet");
            return if is_old { self.put_aside(object, &error).await } else { Ok(()) };
        }
        let mut rest = Vec::new();
        for range in held.ranges() {
            let Some(bytes) = self.get(object, Some(range)).await? else { return Ok(()) };
            rest.extend_from_slice(&bytes);
        }
        if !rest.is_empty() {
            let at = rest_of(object, &rest);
            self.store.put(&at, rest.into()).await.map_err(|error| failure::s3(error).with("object", &at))?;
        }
        match self.store.delete(object).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure::s3(error).with("object", object)),
        }
    }

    async fn put_aside(&self, object: &Path, error: &Error) -> Result<()> {
        let below: Vec<_> = object.prefix_match(&self.delivered).into_iter().flatten().collect();
        let aside = below.into_iter().fold(self.undelivered.clone(), |path, part| path.join(part));
        tracing::error!(%error, %object, %aside, "what was delivered cannot be filed: it is put aside");
        match self.store.rename(object, &aside).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure::s3(error).with("object", object)),
        }
    }
}

/// The name of what is left of `object`: the same for whoever else leaves the same, and never its own, for it is shorter.
fn rest_of(object: &Path, rest: &[u8]) -> Path {
    let name = object.filename().unwrap_or_default();
    let first = name.split_once(REST).map_or(name, |(first, _)| first);
    let parts: Vec<_> = object.parts().collect();
    let folder: Path = parts[..parts.len().saturating_sub(1)].iter().cloned().collect();
    folder.join(format!("{first}{REST}{:x}-{:08x}", rest.len(), crc32c::crc32c(rest)))
}

/// Whether just this segment is in the archive.
async fn is_there(archive: &dyn Archive, whole: &Whole) -> Result<bool> {
    match archive.read(&whole.name, None).await {
        Ok(bytes) => Ok(is_of(whole, &bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        // It is there, if not to be read at once.
        Err(error) if error.kind() == ErrorKind::Cold => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_of(whole: &Whole, bytes: &Bytes) -> bool {
    bytes.len() as u64 == whole.bytes && crc32c::crc32c(bytes) == whole.checksum
}

/// Files a segment; why it never can be, if so.
async fn write(archive: &dyn Archive, whole: &Whole, bytes: Bytes) -> Result<Option<Error>> {
    let refusal = |message: &'static str| Some(Error::corrupt(message).with("segment", whole.name.path()));
    if !is_of(whole, &bytes) {
        return Ok(refusal("the parts of a segment do not make it up"));
    }
    if whole.bytes > archive.capabilities().segment_bytes_max {
        return Ok(refusal("the segment is too large"));
    }
    // The name says which positions are in it, and those never change: another build packed them.
    let is_anothers = archive.write(&whole.name, bytes).await.into_result()? == Created::Conflict;
    Ok(if is_anothers { refusal("the segment is there with other bytes") } else { None })
}
