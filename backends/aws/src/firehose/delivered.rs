//! Reads what Firehose delivered: in order of positions, each once.

use std::collections::BTreeMap;

use bytes::Bytes;
use fineo_core::{
    Error, ErrorKind, Position, Result, ShardId,
    archive::{SegmentKind, Stage},
    stream::Delivery,
};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::{SinkEntry, frame};
use crate::failure;

/// The most bytes of payloads that one reading holds.
const BYTES_MAX: usize = 1 << 30;

/// The entries of `kind` of `stage` in the objects of `folder`, such as one hour's: by shard and position, each once, however
/// often and in which order Firehose delivered them.
///
/// # Errors
///
/// `Corrupt` when an object holds anything else than frames of a sink, or two of one position differ; `LimitExceeded` beyond a
/// gigabyte, for which a smaller folder is to be named; or a failure of the store.
pub async fn read_delivered(
    store: &dyn ObjectStore,
    folder: &str,
    (stage, kind): (Stage, SegmentKind),
) -> Result<Vec<SinkEntry>> {
    let mut found: BTreeMap<(ShardId, Position), Delivery> = BTreeMap::new();
    let mut bytes = 0;
    let mut objects = store.list(Some(&Path::from(folder)));
    while let Some(object) = objects.try_next().await.map_err(failure::s3)? {
        let path = object.location;
        let content = store.get(&path).await.map_err(failure::s3)?.bytes().await.map_err(failure::s3)?;
        for entry in entries(content).map_err(|error| error.with("object", &path))? {
            if (entry.stage, entry.kind) != (stage, kind) {
                continue;
            }
            let key = (entry.shard, entry.delivery.position);
            match found.get(&key) {
                None => {
                    bytes += entry.delivery.payload.len();
                    found.insert(key, entry.delivery);
                }
                Some(known) if known.tenant == entry.delivery.tenant && known.payload == entry.delivery.payload => {}
                Some(_) => {
                    let error = Error::corrupt("two entries of one position differ").with("object", &path);
                    return Err(error.with("shard", key.0).with("position", key.1));
                }
            }
        }
        if bytes > BYTES_MAX {
            let error = Error::new(ErrorKind::LimitExceeded, "the folder holds more than can be put in order at once");
            return Err(error.with("folder", folder).with("hint", "name a smaller folder, such as one hour's"));
        }
    }
    let entries = found.into_iter();
    Ok(entries.map(|((shard, _), delivery)| SinkEntry { stage, kind, shard, delivery }).collect())
}

/// The entries of one object.
pub(super) fn entries(mut content: Bytes) -> Result<Vec<SinkEntry>> {
    let whole = content.len();
    let mut entries = Vec::new();
    while !content.is_empty() {
        let offset = whole - content.len();
        entries.push(frame::read(&mut content).map_err(|error| error.with("offset", offset))?);
    }
    Ok(entries)
}
