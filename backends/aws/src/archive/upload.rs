//! Creates one object unless it is there, and finds out who created it when the answer leaves that open.

use std::sync::Arc;

use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Outcome, Result, archive::Created};
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, GetOptions, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, path::Path,
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
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// Where a large one waits until it is whole.
    pub(super) waiting: Path,
    pub(super) nonce: String,
    pub(super) bytes: Bytes,
    pub(super) class: Option<String>,
}

impl Upload {
    pub(super) async fn create(&self, options: &AwsOptions, multipart_from: usize) -> Outcome<Created> {
        let mut backoff = Backoff::new(&options.clock, &options.entropy, TRIES_MAX);
        let is_large = self.bytes.len() >= multipart_from;
        if is_large && let Err(error) = self.send_parts().await {
            return Outcome::NotDone(error);
        }
        let created = loop {
            let sent = if is_large { self.copy_into_place().await } else { self.put().await };
            let error = match sent {
                Ok(()) => break Outcome::Done(Created::New),
                Err(error) => error,
            };
            let kind = error.kind();
            if kind != ErrorKind::AlreadyExists && !error.may_have_applied() {
                break Outcome::NotDone(error);
            }
            // AWS says "exists" after a retry of our own too, and "conflict" while another write is under way.
            match self.look().await {
                Ok(Some(created)) => break Outcome::Done(created),
                Ok(None) if kind == ErrorKind::AlreadyExists && backoff.wait().await => {}
                Ok(None) if kind == ErrorKind::AlreadyExists => {
                    break Outcome::NotDone(Error::unavailable("other writes hold the object"));
                }
                Ok(None) | Err(_) => break Outcome::Unknown(error),
            }
        };
        if is_large {
            self.clear().await;
        }
        created
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

    async fn put(&self) -> Result<()> {
        let options = PutOptions { mode: PutMode::Create, attributes: self.attributes(), ..PutOptions::default() };
        let payload = PutPayload::from_bytes(self.bytes.clone());
        self.store.put_opts(&self.path, payload, options).await.map(|_| ()).map_err(failure::s3)
    }

    /// Sends the bytes in parts to the waiting place. Whatever fails, nothing of it stays.
    async fn send_parts(&self) -> Result<()> {
        let options = PutMultipartOptions { attributes: self.attributes(), ..PutMultipartOptions::default() };
        let mut upload = self.store.put_multipart_opts(&self.waiting, options).await.map_err(failure::s3)?;
        let mut sent = Ok(());
        let mut rest = self.bytes.clone();
        while !rest.is_empty() && sent.is_ok() {
            let part = rest.split_to(rest.len().min(PART_BYTES));
            sent = upload.put_part(PutPayload::from_bytes(part)).await;
        }
        let done = match sent {
            Ok(()) => upload.complete().await.map(|_| ()),
            Err(error) => Err(error),
        };
        let Err(error) = done else { return Ok(()) };
        if let Err(abort) = upload.abort().await {
            tracing::warn!(%abort, "an upload could not be aborted: the bucket's lifecycle will end it");
        }
        Err(failure::s3(error))
    }

    async fn copy_into_place(&self) -> Result<()> {
        let options = CopyOptions { mode: CopyMode::Create, ..CopyOptions::default() };
        self.store.copy_opts(&self.waiting, &self.path, options).await.map_err(failure::s3)
    }

    async fn clear(&self) {
        if let Err(error) = self.store.delete(&self.waiting).await {
            tracing::debug!(%error, "a waiting upload is left to the bucket's lifecycle");
        }
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
