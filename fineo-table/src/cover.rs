//! The cover document: which positions the files of one commit answer for.

use std::sync::Arc;

use bytes::Bytes;
use fineo_core::{Cover, Error, MetricId, Result, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{DataFile, text};

const FORMAT: u32 = 1;

/// What a commit says beside the Delta log, under the number that the log names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CoverDocument {
    format: u32,
    #[serde(with = "text::shown")]
    pub(crate) tenant: TenantId,
    #[serde(with = "text::metric")]
    pub(crate) metric: MetricId,
    pub(crate) generation: u64,
    pub(crate) boundary: u64,
    pub(crate) nonce: Arc<str>,
    #[serde(with = "hex")]
    pub(crate) digest: u128,
    cover: text::CoverText,
}

#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    checksum: String,
    #[serde(borrow)]
    document: &'a RawValue,
}

impl CoverDocument {
    pub(crate) fn new(tenant: &TenantId, metric: &MetricId, cover: Cover) -> Self {
        Self {
            format: FORMAT,
            tenant: tenant.clone(),
            metric: metric.clone(),
            generation: 0,
            boundary: 0,
            nonce: "".into(),
            digest: 0,
            cover: text::CoverText(cover),
        }
    }

    pub(crate) fn cover(&self) -> &Cover {
        &self.cover.0
    }

    pub(crate) fn to_bytes(&self) -> Result<Bytes> {
        let failed = |source| Error::internal("a cover document cannot be written").with_source(source);
        let document = serde_json::value::to_raw_value(self).map_err(failed)?;
        let sealed = Sealed { checksum: checksum(&document), document: &document };
        serde_json::to_vec(&sealed).map(Bytes::from).map_err(failed)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::corrupt("a cover document is damaged");
        let sealed: Sealed<'_> = serde_json::from_slice(bytes).map_err(|source| damaged().with_source(source))?;
        if checksum(sealed.document) != sealed.checksum {
            return Err(damaged());
        }
        let document: Self =
            serde_json::from_str(sealed.document.get()).map_err(|source| damaged().with_source(source))?;
        if document.format != FORMAT {
            let kind = fineo_core::ErrorKind::Unsupported;
            return Err(Error::new(kind, "the table has a format of another Fineo: use that version")
                .with("format", document.format));
        }
        Ok(document)
    }
}

fn checksum(document: &RawValue) -> String {
    let hash = blake3::hash(document.get().as_bytes()).to_hex();
    hash[..32].to_owned()
}

/// The sum of the hashes of `files`: equal for equal sets, whatever the order.
pub(crate) fn digest(files: &[DataFile]) -> u128 {
    files.iter().map(file_digest).fold(0, u128::wrapping_add)
}

fn file_digest(file: &DataFile) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(file.path.len() as u64).to_le_bytes());
    hasher.update(file.path.as_bytes());
    hasher.update(&file.day.to_le_bytes());
    for number in [file.bytes, file.rows] {
        hasher.update(&number.to_le_bytes());
    }
    for instant in [file.first, file.last] {
        hasher.update(&instant.micros().to_le_bytes());
    }
    for (shard, position) in file.positions.iter() {
        hasher.update(&(shard.as_str().len() as u64).to_le_bytes());
        hasher.update(shard.as_str().as_bytes());
        hasher.update(&position.to_bytes());
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_be_bytes(first)
}

mod hex {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        format!("{number:032x}").serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        u128::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
