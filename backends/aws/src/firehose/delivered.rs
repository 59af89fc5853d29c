//! What Firehose delivered: objects of parts in any order, out of which segments are filed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fineo_core::{
    Archive, Clock, Error, ErrorKind, Result,
    archive::{Created, SegmentName},
};
use futures::TryStreamExt;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};

use super::frame::{self, Part, Whole};
use crate::{Bucket, failure};

/// Where the delivery stream writes to.
pub(super) const DELIVERED: &str = "delivered";
/// Where goes what cannot be filed.
const UNDELIVERED: &str = "undelivered";

/// The folder of one instance that a delivery stream writes to. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Delivered {
    store: Arc<dyn ObjectStore>,
    delivered: Path,
    undelivered: Path,
    clock: Arc<dyn Clock>,
}

/// Where a part is.
#[derive(Debug, Clone)]
struct Place {
    object: Path,
    range: Range<u64>,
}

/// What was met and is not filed.
#[derive(Debug, Default)]
struct Open {
    /// The parts of segments that lack others.
    segments: BTreeMap<Whole, BTreeMap<u32, Place>>,
    objects: BTreeMap<Path, Held>,
}

/// Why an object cannot go.
#[derive(Debug, Default)]
struct Held {
    /// The segments that it has parts of, and that lack others.
    lacking: BTreeSet<Whole>,
    damage: Option<Error>,
}

impl Delivered {
    pub(super) fn new(bucket: &Bucket, clock: Arc<dyn Clock>) -> Self {
        Self::within(bucket.store(), &bucket.root(), clock)
    }

    pub(super) fn within(store: Arc<dyn ObjectStore>, root: &Path, clock: Arc<dyn Clock>) -> Self {
        let folder = |name: &str| root.clone().join(name);
        Self { store, delivered: folder(DELIVERED), undelivered: folder(UNDELIVERED), clock }
    }

    /// Files in `archive` every segment that was delivered as a whole, and lets go of the objects that nothing else is in.
    /// What is older than `wait` and cannot be filed is put aside.
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
            match self.file_object(&meta.location, archive, &mut open).await {
                Ok(()) => {}
                // Somebody else filed it.
                Err(error) if error.kind() == ErrorKind::NotFound => open.forget(&meta.location),
                Err(error) => return Err(error.with("object", &meta.location)),
            }
        }
        // What is delivered once more may lack the parts that were filed long ago.
        let lacking: Vec<Whole> = open.segments.keys().cloned().collect();
        for whole in lacking {
            if is_there(archive, &whole.name).await? {
                self.filed(&whole, &mut open).await?;
            }
        }
        for meta in &objects {
            if let Some(held) = open.objects.get(&meta.location) {
                self.keep_or_put_aside(meta, &held.error(), wait).await?;
            }
        }
        Ok(())
    }

    /// Files what `object` has as a whole, or completes. It goes, unless it has anything else.
    async fn file_object(&self, object: &Path, archive: &dyn Archive, open: &mut Open) -> Result<()> {
        let content = self.get(object, None).await?;
        let mut rest = content.clone();
        let mut damage = None;
        while !rest.is_empty() {
            let from = content.len() - rest.len();
            let Part { whole, index, bytes } = match frame::read(&mut rest) {
                Ok(part) => part,
                Err(error) => {
                    damage = Some(error.with("offset", from));
                    break;
                }
            };
            if whole.parts == 1 {
                write(archive, &whole, bytes).await?;
                continue;
            }
            let range = from as u64..(content.len() - rest.len()) as u64;
            open.add(whole.clone(), index, Place { object: object.clone(), range });
            if let Some(parts) = open.complete(&whole) {
                write(archive, &whole, self.assemble(&whole, parts).await?).await?;
                // This one goes once it was read to its end.
                let held = open.objects.remove(object);
                self.filed(&whole, open).await?;
                let mut held = held.unwrap_or_default();
                held.lacking.remove(&whole);
                open.objects.insert(object.clone(), held);
            }
        }
        open.objects.entry(object.clone()).or_default().damage = damage;
        self.let_go(object, open).await
    }

    /// Notes that `whole` is in the archive; the objects that waited for nothing else go.
    async fn filed(&self, whole: &Whole, open: &mut Open) -> Result<()> {
        for object in open.filed(whole) {
            self.let_go(&object, open).await?;
        }
        Ok(())
    }

    /// Deletes an object of which everything is filed, and no other.
    async fn let_go(&self, object: &Path, open: &mut Open) -> Result<()> {
        if open.objects.get(object).is_some_and(Held::is_held) {
            return Ok(());
        }
        open.objects.remove(object);
        match self.store.delete(object).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure::s3(error)),
        }
    }

    /// The bytes of a segment whose parts are all there.
    async fn assemble(&self, whole: &Whole, parts: Vec<Place>) -> Result<Bytes> {
        let mut segment = Vec::with_capacity(usize::try_from(whole.bytes).unwrap_or(0));
        for Place { object, range } in parts {
            let mut bytes = self.get(&object, Some(range)).await?;
            segment.extend_from_slice(&frame::read(&mut bytes)?.bytes);
        }
        Ok(segment.into())
    }

    async fn get(&self, object: &Path, range: Option<Range<u64>>) -> Result<Bytes> {
        match range {
            Some(range) => self.store.get_range(object, range).await.map_err(failure::s3),
            None => self.store.get(object).await.map_err(failure::s3)?.bytes().await.map_err(failure::s3),
        }
    }

    /// Leaves an object that cannot be filed where it is, or puts it aside when it is old.
    async fn keep_or_put_aside(&self, meta: &ObjectMeta, error: &Error, wait: Duration) -> Result<()> {
        let object = &meta.location;
        let age = self.clock.now().micros().saturating_sub(meta.last_modified.timestamp_micros());
        if u128::try_from(age).unwrap_or(0) < wait.as_micros() {
            tracing::debug!(%error, %object, "not all of what was delivered can be filed yet");
            return Ok(());
        }
        let below: Vec<_> = object.prefix_match(&self.delivered).into_iter().flatten().collect();
        let aside = below.into_iter().fold(self.undelivered.clone(), |path, part| path.join(part));
        tracing::error!(%error, %object, %aside, "what was delivered cannot be filed: it is put aside");
        match self.store.rename(object, &aside).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure::s3(error).with("object", object)),
        }
    }
}

impl Open {
    fn add(&mut self, whole: Whole, index: u32, place: Place) {
        self.objects.entry(place.object.clone()).or_default().lacking.insert(whole.clone());
        self.segments.entry(whole).or_default().insert(index, place);
    }

    /// The places of all parts, in order, once there are all.
    fn complete(&self, whole: &Whole) -> Option<Vec<Place>> {
        let parts = self.segments.get(whole)?;
        (parts.len() == whole.parts as usize).then(|| parts.values().cloned().collect())
    }

    /// Forgets a segment that was filed; says which objects had parts of it.
    fn filed(&mut self, whole: &Whole) -> Vec<Path> {
        self.segments.remove(whole);
        let had =
            self.objects.iter_mut().filter_map(|(object, held)| held.lacking.remove(whole).then(|| object.clone()));
        had.collect()
    }

    /// Forgets an object that is gone.
    fn forget(&mut self, object: &Path) {
        self.objects.remove(object);
        self.segments.retain(|_, parts| {
            parts.retain(|_, place| place.object != *object);
            !parts.is_empty()
        });
    }
}

impl Held {
    fn is_held(&self) -> bool {
        self.damage.is_some() || !self.lacking.is_empty()
    }

    fn error(&self) -> Error {
        let names: Vec<String> = self.lacking.iter().map(|whole| whole.name.path()).collect();
        let lacks = || Error::corrupt("parts of a segment are missing").with("segments", names.join(", "));
        self.damage.clone().unwrap_or_else(lacks)
    }
}

async fn is_there(archive: &dyn Archive, name: &SegmentName) -> Result<bool> {
    match archive.read(name, Some((0, 0))).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        // It is there, if not to be read at once.
        Err(error) if error.kind() == ErrorKind::Cold => Ok(true),
        Err(error) => Err(error),
    }
}

async fn write(archive: &dyn Archive, whole: &Whole, bytes: Bytes) -> Result<()> {
    let Whole { name, bytes: length, checksum, .. } = whole;
    if bytes.len() as u64 != *length || crc32c::crc32c(&bytes) != *checksum {
        // Every part was right: whoever framed them was not.
        return Err(Error::internal("the parts of a segment do not make it up").with("segment", name.path()));
    }
    if archive.write(name, bytes).await.into_result()? == Created::Conflict {
        tracing::warn!(segment = name.path(), "the segment is there with other bytes, it was left alone");
    }
    Ok(())
}
