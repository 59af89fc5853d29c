//! An upload: one version of an object that somebody put into a bucket.

use std::{
    io::{self, Read},
    sync::{Arc, OnceLock},
};

use bytes::{Buf, Bytes};
use fineo_core::{Error, Result};
use futures::StreamExt;
use object_store::{GetOptions, ObjectStore, path::Path};
use tokio::sync::mpsc;

/// So many pieces of an object are read ahead.
const PIECES_AHEAD: usize = 4;

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

    /// Begins to read exactly this upload from `store`, its bucket.
    pub(crate) async fn open(&self, store: &dyn ObjectStore) -> Result<object_store::GetResult, object_store::Error> {
        let path = Path::parse(&self.key).map_err(object_store::Error::from)?;
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
        store.get_opts(&path, options).await
    }
}

/// Reads on a blocking thread what arrives on an asynchronous one.
pub(crate) struct Arriving {
    pieces: mpsc::Receiver<object_store::Result<Bytes>>,
    rest: Bytes,
    failure: Arc<OnceLock<Error>>,
}

/// Feeds [`Arriving`].
pub(crate) struct Feed {
    sender: mpsc::Sender<object_store::Result<Bytes>>,
    failure: Arc<OnceLock<Error>>,
}

pub(crate) fn arriving() -> (Feed, Arriving) {
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    let failure = Arc::new(OnceLock::new());
    (Feed { sender, failure: Arc::clone(&failure) }, Arriving { pieces, rest: Bytes::new(), failure })
}

impl Feed {
    /// Passes the bytes of an object on until all are, or nobody wants more; the failure that ended it.
    pub(crate) async fn run(self, object: object_store::GetResult) -> Arc<OnceLock<Error>> {
        let mut pieces = object.into_stream();
        while let Some(piece) = pieces.next().await {
            if self.sender.send(piece).await.is_err() {
                break;
            }
        }
        self.failure
    }
}

impl Read for Arriving {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(source)) => {
                    // Kept beside: whoever unpacks takes every failure for broken packing.
                    let _ = self.failure.set(Error::unavailable("the object could not be read").with_source(source));
                    return Err(io::Error::other("the object could not be read"));
                }
            }
        }
        let count = self.rest.len().min(out.len());
        self.rest.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}
