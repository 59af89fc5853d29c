//! An archive in a bucket: every segment one object, created under a condition and never overwritten.

mod cold;
mod upload;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Archive, Durability, Error, Outcome, Result,
    archive::{ArchiveCapabilities, Availability, Created, Restore, SegmentInfo, SegmentName, SegmentQuery},
};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{Attribute, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};

use crate::{AwsOptions, Bucket, failure};
use upload::Upload;

const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// From this size on a segment is sent in parts.
const MULTIPART_BYTES_MIN: usize = 64 << 20;
/// The checksum of the whole segment, in the object's metadata.
const CHECKSUM: &str = "fineo-crc32c";

/// An [`Archive`] in an S3 bucket.
pub struct S3Archive {
    bucket: Bucket,
    options: AwsOptions,
}

impl S3Archive {
    pub(crate) fn new(bucket: Bucket, options: AwsOptions) -> Self {
        Self { bucket, options }
    }

    fn path_of(&self, name: &SegmentName) -> Path {
        Path::from(format!("{}/{}", self.bucket.archive(), name.path()))
    }

    fn store(&self) -> std::sync::Arc<dyn ObjectStore> {
        self.bucket.store()
    }

    /// An empty range is no range to S3: only the size is looked at.
    async fn check_range(&self, path: &Path, from: u64, to: u64) -> Result<()> {
        let meta = self.store().head(path).await.map_err(failure::s3)?;
        if from <= to && to <= meta.size { Ok(()) } else { Err(bad_range(from, to, meta.size)) }
    }

    async fn read_range(&self, path: &Path, from: u64, to: u64) -> Result<Bytes> {
        if from >= to || to - from > SEGMENT_BYTES_MAX {
            self.check_range(path, from, to).await?;
            return Ok(Bytes::new());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(from..to)), ..GetOptions::default() };
        let found = match self.store().get_opts(path, options).await {
            Ok(found) => found,
            Err(error) => {
                // A range behind the end is refused in as many ways as there are stores.
                self.check_range(path, from, to).await?;
                return Err(failure::s3(error));
            }
        };
        if found.meta.size < to {
            return Err(bad_range(from, to, found.meta.size));
        }
        let bytes = found.bytes().await.map_err(failure::s3)?;
        if bytes.len() as u64 == to - from { Ok(bytes) } else { Err(damaged()) }
    }

    async fn read_whole(&self, path: &Path) -> Result<Bytes> {
        let found = self.store().get(path).await.map_err(failure::s3)?;
        let checksum = found.attributes.get(&Attribute::Metadata(CHECKSUM.into())).map(|value| value.to_string());
        let size = found.meta.size;
        let bytes = found.bytes().await.map_err(failure::s3)?;
        // An object that was copied to its place, by whomever, may have lost what was said of it.
        let is_right = checksum.is_none_or(|checksum| checksum == format!("{:08x}", crc32c::crc32c(&bytes)));
        if is_right && bytes.len() as u64 == size { Ok(bytes) } else { Err(damaged()) }
    }
}

fn bad_range(from: u64, to: u64, size: u64) -> Error {
    Error::invalid("the range is not within the segment").with("from", from).with("to", to).with("bytes", size)
}

fn damaged() -> Error {
    Error::corrupt("the segment is not what was written")
}

fn info(folder: &str, meta: &ObjectMeta) -> Result<SegmentInfo> {
    let path = meta.location.as_ref();
    let path = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    Ok(SegmentInfo { name: SegmentName::from_path(path)?, bytes: meta.size })
}

#[async_trait]
impl Archive for S3Archive {
    fn capabilities(&self) -> ArchiveCapabilities {
        ArchiveCapabilities {
            durability: Durability::ZoneLoss,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            listed_within: None,
        }
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        if bytes.len() as u64 > SEGMENT_BYTES_MAX {
            return Outcome::NotDone(Error::invalid("the segment is too large").with("bytes", bytes.len()));
        }
        let id = u128::from_be_bytes(self.options.entropy.id());
        let upload = Upload {
            store: self.bucket.creating(),
            path: self.path_of(name),
            nonce: format!("{id:032x}"),
            bytes,
            class: self.options.archive_class.clone(),
        };
        let created = upload.create(&self.options, MULTIPART_BYTES_MIN).await;
        match created {
            Outcome::Done(created) => Outcome::Done(created),
            Outcome::NotDone(error) => Outcome::NotDone(error.with("segment", name.path())),
            Outcome::Unknown(error) => Outcome::Unknown(error.with("segment", name.path())),
        }
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        let folder = self.bucket.archive();
        let prefix = Path::from(format!("{folder}/{}/{}", query.stage, query.kind.as_str()));
        let begin = query.begins_behind().map(|begin| Path::from(format!("{folder}/{begin}")));
        let listed = match begin {
            Some(begin) => self.store().list_with_offset(Some(&prefix), &begin),
            None => self.store().list(Some(&prefix)),
        };
        let found = listed.map(move |meta| info(&folder, &meta.map_err(failure::s3)?));
        in_order_of_names(found.boxed())
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        let path = self.path_of(name);
        let read = match range {
            None => self.read_whole(&path).await,
            Some((from, to)) => self.read_range(&path, from, to).await,
        };
        read.map_err(|error| error.with("segment", name.path()))
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        let path = self.path_of(name);
        // S3 answers the same whether there was something to delete or not.
        let is_there = match self.store().head(&path).await {
            Ok(_) => true,
            Err(object_store::Error::NotFound { .. }) => return Outcome::Done(false),
            Err(error) => return Outcome::NotDone(failure::s3(error).with("segment", name.path())),
        };
        match self.store().delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Outcome::Done(is_there),
            Err(error) => Outcome::Unknown(failure::s3(error).with("segment", name.path())),
        }
    }

    async fn availability(&self, name: &SegmentName, restore: Option<Restore>) -> Result<Availability> {
        let key = self.path_of(name).to_string();
        let object = cold::Object { bucket: &self.bucket, options: &self.options, key };
        object.availability(restore).await.map_err(|error| error.with("segment", name.path()))
    }
}

/// S3 lists by path. Paths order as names do, but for shards within one microsecond.
fn in_order_of_names(found: BoxStream<'static, Result<SegmentInfo>>) -> BoxStream<'static, Result<SegmentInfo>> {
    // Fused: a run that the end cut short looks for more once again.
    let runs = stream::try_unfold((found.fuse(), None::<SegmentInfo>), |(mut found, first)| async move {
        let first = match first {
            Some(first) => Some(first),
            None => found.try_next().await?,
        };
        let Some(first) = first else { return Ok(None) };
        let time = first.name.time;
        let mut run = vec![first];
        let mut behind = None;
        while let Some(next) = found.try_next().await? {
            if next.name.time != time {
                behind = Some(next);
                break;
            }
            run.push(next);
        }
        run.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Some((stream::iter(run.into_iter().map(Ok)), (found, behind))))
    });
    runs.try_flatten().boxed()
}

impl fmt::Display for S3Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 archive in {}", self.bucket.name())
    }
}

impl fmt::Debug for S3Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Archive").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}
