//! Bodies: in the item where they are small, else in parts that are written before anything names them.

use bytes::{Bytes, BytesMut};
use fineo_core::{Error, Result};

use super::{
    DynamoRepo,
    item::{self, BODY, Body, OWNER},
};
use crate::dynamo::{Item, Query, binary, binary_of, text};

/// The largest body that stands in its item: it is there twice for a subject that keeps its history.
const INLINE_BYTES_MAX: usize = 16 << 10;
/// The size of a part, well below the 400 KB of an item.
const PART_BYTES: usize = 256 << 10;

impl DynamoRepo {
    /// Puts a large body where the head can name it; `key` names it and nothing else.
    pub(super) async fn place(&self, key: String, bytes: &Bytes) -> Result<Body> {
        let checksum = crc32c::crc32c(bytes);
        if bytes.len() <= INLINE_BYTES_MAX {
            return Ok(Body::Inline { bytes: bytes.clone(), checksum });
        }
        let mut parts: Vec<Item> = Vec::new();
        for (index, part) in (0..).zip(bytes.chunks(PART_BYTES)) {
            let mut item = item::part_key(&key, index);
            item.insert(BODY.to_owned(), binary(part));
            parts.push(item);
        }
        let count = u32::try_from(parts.len()).expect("a body has few parts");
        self.table.put_all(parts).await?;
        Ok(Body::Parts { key, count, checksum })
    }

    /// The bytes of a body, checked.
    pub(super) async fn body(&self, body: &Body) -> Result<Bytes> {
        let (bytes, checksum) = match body {
            Body::Inline { bytes, checksum } => (bytes.clone(), checksum),
            Body::Parts { key, count, checksum } => (self.parts(key, *count).await?, checksum),
        };
        if crc32c::crc32c(&bytes) == *checksum {
            Ok(bytes)
        } else {
            Err(Error::corrupt("the body of a version is not what was written"))
        }
    }

    async fn parts(&self, key: &str, count: u32) -> Result<Bytes> {
        let mut query = Query { condition: "#owner = :owner".to_owned(), ..Query::default() };
        query.names.insert("#owner".to_owned(), OWNER.to_owned());
        query.values.insert(":owner".to_owned(), text(key));
        let parts = self.table.all(&query, count as usize).await?;
        let mut bytes = BytesMut::new();
        for part in &parts {
            bytes.extend_from_slice(binary_of(part, BODY)?);
        }
        Ok(bytes.freeze())
    }

    /// Deletes the parts of a body that nothing names any more. What is left costs room and nothing else.
    pub(super) async fn discard(&self, body: &Body) {
        let Body::Parts { key, count, .. } = body else { return };
        let keys = (0..*count).map(|index| item::part_key(key, index)).collect();
        if let Err(error) = self.table.delete_all(keys).await {
            tracing::debug!(%error, key, "parts of an unused body are left");
        }
    }
}
