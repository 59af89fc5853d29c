//! An upload: one version of an object that somebody put into a bucket.

use std::sync::Arc;

use fineo_ingest::Object;
use object_store::{GetOptions, ObjectStore, path::Path};

/// One upload of an object, as an event of S3 tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upload {
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// What tells it from other uploads under the key: the version where there are versions, else S3's sequencer or the
    /// entity tag.
    pub id: String,
    /// The version, where the bucket keeps versions.
    pub version: Option<String>,
    /// The entity tag, where the event says it.
    pub etag: Option<String>,
    /// The size in bytes, as the event says it.
    pub bytes: u64,
}

impl Upload {
    /// The upload `id` of `key` in `bucket`.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>, id: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into(), id: id.into(), version: None, etag: None, bytes: 0 }
    }

    /// The URL of the object.
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// Names this upload and no other.
    pub fn origin(&self) -> String {
        format!("{}@{}", self.url(), self.id)
    }

    /// Finds exactly this upload in `store`, its bucket.
    pub(crate) async fn find(&self, store: &Arc<dyn ObjectStore>) -> object_store::Result<Object> {
        let path = Path::parse(&self.key)?;
        let options = GetOptions {
            version: self.version.clone(),
            // Of a bucket without versions only the last upload is left.
            if_match: self
                .etag
                .as_ref()
                .filter(|_| self.version.is_none())
                .map(|etag| format!("\"{}\"", etag.trim_matches('"'))),
            ..GetOptions::default()
        };
        Object::find(store, &path, options).await
    }
}
