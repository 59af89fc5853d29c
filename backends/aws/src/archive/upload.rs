//! Creates one object unless it is there, and finds out who created it when the answer leaves that open.

use std::sync::Arc;

use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Outcome, Result, archive::Created};
use object_store::{
    Attribute, Attributes, GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, path::Path,
};

use super::CHECKSUM;
use crate::{AwsOptions, failure, retry::Backoff};

/// Which write made an object, in its metadata.
const NONCE: &str = "fineo-nonce";
/// The hash of the whole object, in its metadata.
const HASH: &str = "fineo-blake3";
/// The size of a part; all but the last have it.
const PART_BYTES: usize = 16 << 20;
/// How often a create is tried that S3 answers "conflict" and then has no object (N11).
const TRIES_MAX: u32 = 10;

/// One object that is to be created.
#[derive(Debug)]
pub(super) struct Upload {
    /// The store that [creates only](crate::Bucket::creating).
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    pub(super) nonce: String,
    pub(super) bytes: Bytes,
    pub(super) class: Option<String>,
}

impl Upload {
    pub(super) async fn create(&self, options: &AwsOptions, multipart_from: usize) -> Outcome<Created> {
        let mut backoff = Backoff::new(&options.clock, &options.entropy, TRIES_MAX);
        let is_large = self.bytes.len() >= multipart_from;
        // What is there already is not sent once more.
        if is_large && let Ok(Some(created)) = self.look().await {
            return Outcome::Done(created);
        }
        loop {
            let error = match if is_large { self.put_parts().await } else { self.put().await } {
                Outcome::Done(()) => return Outcome::Done(Created::New),
                Outcome::NotDone(error) if error.kind() != ErrorKind::AlreadyExists => return Outcome::NotDone(error),
                Outcome::NotDone(error) | Outcome::Unknown(error) => error,
            };
            let is_refused = error.kind() == ErrorKind::AlreadyExists;
            // AWS says "exists" after a retry of our own too, and "conflict" while another write is under way.
            match self.look().await {
                Ok(Some(created)) => return Outcome::Done(created),
                Ok(None) if is_refused && backoff.wait().await => {}
                Ok(None) if is_refused => {
                    return Outcome::NotDone(Error::unavailable("other writes hold the object"));
                }
                Ok(None) | Err(_) => return Outcome::Unknown(error),
            }
        }
    }

    fn attributes(&self) -> Attributes {
        let checksum = format!("{:08x}", crc32c::crc32c(&self.bytes));
        let mut attributes = Attributes::from_iter([
            (Attribute::ContentType, "application/avro".to_owned()),
            (Attribute::Metadata(NONCE.into()), self.nonce.clone()),
            (Attribute::Metadata(HASH.into()), self.hash()),
            (Attribute::Metadata(CHECKSUM.into()), checksum),
        ]);
        if let Some(class) = &self.class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        attributes
    }

    fn hash(&self) -> String {
        blake3::hash(&self.bytes).to_hex().to_string()
    }

    async fn put(&self) -> Outcome<()> {
        let options = PutOptions { mode: PutMode::Create, attributes: self.attributes(), ..PutOptions::default() };
        let payload = PutPayload::from_bytes(self.bytes.clone());
        let put = self.store.put_opts(&self.path, payload, options).await;
        Outcome::from(put.map(|_| ()).map_err(failure::s3))
    }

    /// Sends the bytes in parts. Unless they become the object, nothing of them stays.
    async fn put_parts(&self) -> Outcome<()> {
        let options = PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
        let mut upload = match self.store.put_multipart_opts(&self.path, options).await {
            Ok(upload) => upload,
            Err(error) => return Outcome::NotDone(failure::s3(error)),
        };
        let sent = self.send_parts(&mut *upload).await;
        let done = match sent {
            Ok(()) => completed(upload.complete().await),
            // Before it is complete there is no object.
            Err(error) => Outcome::NotDone(failure::s3(error)),
        };
        if !matches!(done, Outcome::Done(()))
            && let Err(abort) = upload.abort().await
        {
            tracing::debug!(%abort, "an upload could not be aborted: if it is still there, the bucket's lifecycle ends it");
        }
        done
    }

    async fn send_parts(&self, upload: &mut dyn MultipartUpload) -> object_store::Result<()> {
        let mut rest = self.bytes.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(PART_BYTES));
            upload.put_part(PutPayload::from_bytes(part)).await?;
        }
        Ok(())
    }

    /// Whose bytes the object has; none when there is no object.
    async fn look(&self) -> Result<Option<Created>> {
        let head = GetOptions { head: true, ..GetOptions::default() };
        let found = match self.store.get_opts(&self.path, head).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failure::s3(error)),
        };
        let said =
            |name: &'static str| found.attributes.get(&Attribute::Metadata(name.into())).map(|value| value.to_string());
        if said(NONCE).is_some_and(|nonce| nonce == self.nonce) {
            return Ok(Some(Created::New));
        }
        if found.meta.size != self.bytes.len() as u64 {
            return Ok(Some(Created::Conflict));
        }
        let is_same = match said(HASH) {
            Some(hash) => hash == self.hash(),
            None => {
                let there = self.store.get(&self.path).await.map_err(failure::s3)?;
                there.bytes().await.map_err(failure::s3)? == self.bytes
            }
        };
        Ok(Some(if is_same { Created::Same } else { Created::Conflict }))
    }
}

/// What the answer to the completion of an upload says.
fn completed<T>(answer: object_store::Result<T>) -> Outcome<()> {
    match answer {
        Ok(_) => Outcome::Done(()),
        // The upload may be gone because a try was carried out whose answer was lost.
        Err(error @ object_store::Error::NotFound { .. }) => Outcome::Unknown(failure::s3(error)),
        Err(error) => Outcome::of_error(failure::s3(error)),
    }
}
