//! What became of an upload, kept as an object that is written once.

use std::{collections::BTreeMap, fmt};

use fineo_core::{Error, Result, Timestamp};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use serde::{Deserialize, Serialize};

use crate::Upload;

/// The most bytes of a key that a manifest's name repeats.
const KEY_BYTES_MAX: usize = 250;

/// What became of an upload as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its events are in the raw stream, but for those that `rejected` counts.
    Imported,
    /// It cannot be imported, whatever is tried again; `message` says why. Events before the fault may be in the stream.
    Refused,
    /// It was deleted before it was read.
    Gone,
    /// Another upload took its place before it was read, which has an event of its own.
    Replaced,
}

/// The record of one upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The URL of the object.
    pub source: String,
    /// Which upload of it.
    pub upload: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many events are in the raw stream.
    pub accepted: u64,
    /// How many were refused at the edge, by code.
    pub rejected: BTreeMap<String, u64>,
    /// What the first refused events had wrong, with their index in the object.
    pub first_rejections: Vec<(u64, String)>,
    /// Bytes that were read, unpacked.
    pub bytes: u64,
    /// When the import began and ended.
    pub began_at: String,
    /// When the import ended.
    pub ended_at: String,
}

impl Manifest {
    /// A record of `upload` without events.
    pub(crate) fn new(upload: &Upload, verdict: Verdict, began_at: Timestamp) -> Self {
        Self {
            source: upload.url(),
            upload: upload.id.clone(),
            verdict,
            message: None,
            accepted: 0,
            rejected: BTreeMap::new(),
            first_rejections: Vec::new(),
            bytes: 0,
            began_at: began_at.to_string(),
            ended_at: began_at.to_string(),
        }
    }

    /// Where the record of `upload` is: `<bucket>/<key>/<hash of the upload>.json`, of long keys the beginning.
    pub fn path(upload: &Upload) -> Path {
        let mut end = upload.key.len().min(KEY_BYTES_MAX);
        while !upload.key.is_char_boundary(end) {
            end -= 1;
        }
        let hash = blake3::hash(upload.origin().as_bytes()).to_hex();
        Path::from(format!("{}/{}/{}.json", upload.bucket, &upload.key[..end], &hash[..32]))
    }

    /// The record of `upload` in `store`; none while it is not done with.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or a failure of the store.
    pub async fn read(store: &dyn ObjectStore, upload: &Upload) -> Result<Option<Self>> {
        let path = Self::path(upload);
        let bytes = match store.get(&path).await {
            Ok(found) => found.bytes().await,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        let bytes = bytes.map_err(|source| unavailable("a manifest could not be read", &path, source))?;
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|source| Error::corrupt("not a manifest").with("path", &path).with_source(source))
    }

    /// Writes the record, unless one is there: the first one stays.
    pub(crate) async fn write(&self, store: &dyn ObjectStore, upload: &Upload) -> Result<()> {
        let path = Self::path(upload);
        let bytes = serde_json::to_vec_pretty(self).expect("a manifest is plain data");
        match store.put_opts(&path, bytes.into(), PutOptions::from(PutMode::Create)).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(source) => Err(unavailable("a manifest could not be written", &path, source)),
        }
    }
}

fn unavailable(message: &str, path: &Path, source: object_store::Error) -> Error {
    Error::unavailable(message).with("path", path).with_source(source)
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}, {} accepted, {:?} rejected", self.source, self.verdict, self.accepted, self.rejected)
    }
}
