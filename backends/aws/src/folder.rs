//! Folders of any bucket, to read from.

use std::sync::Arc;

use fineo_core::{Error, Result};
use object_store::{ObjectStore, prefix::PrefixStore};

use crate::{AwsOptions, Bucket, connect::connect};

/// The objects of the folder `url`, such as `s3://bucket/folder`, with the region and the endpoint of `options` and the
/// credentials of the SDK's own chain. Nothing is asked of S3 yet.
///
/// # Errors
///
/// `Invalid` when it is no such URL, or nothing is configured to ask with.
pub async fn folder(url: &str, options: AwsOptions) -> Result<Arc<dyn ObjectStore>> {
    let place = url.strip_prefix("s3://").map(|place| place.trim_end_matches('/'));
    let (bucket, prefix) = match place {
        Some(place) if !place.is_empty() => place.split_once('/').unwrap_or((place, "")),
        _ => return Err(Error::invalid("not a folder of a bucket: s3://bucket/folder").with("url", url)),
    };
    let options = options.with_bucket(bucket);
    let bucket = Bucket::new(&connect(&options).await?, &options)?;
    Ok(Arc::new(PrefixStore::new(bucket.store(), prefix)))
}
