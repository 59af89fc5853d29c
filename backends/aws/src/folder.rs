//! Folders and objects of any bucket, to read from.

use std::sync::Arc;

use fineo_core::{Error, ErrorKind, Result};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path, prefix::PrefixStore};

use crate::{AwsOptions, Bucket, connect::connect, failure};

/// The most objects that one URL may name.
const OBJECTS_MAX: usize = 100_000;

/// The objects of the folder `url`, such as `s3://bucket/folder`, with the region and the endpoint of `options` and the
/// credentials of the SDK's own chain. Nothing is asked of S3 yet.
///
/// # Errors
///
/// `Invalid` when it is no such URL, or nothing is configured to ask with.
pub async fn folder(url: &str, options: AwsOptions) -> Result<Arc<dyn ObjectStore>> {
    let (bucket, key) = parts(url)?;
    Ok(Arc::new(PrefixStore::new(store(bucket, options).await?, key.trim_end_matches('/'))))
}

/// The objects that `url` names, with their store: the one of this key, such as `s3://bucket/folder/file.json`, or else
/// all below the folder of this name, in the order of their keys and without those that are empty.
///
/// # Errors
///
/// `Invalid` when it is no such URL or nothing is configured to ask with, `NotFound` when there are none, `LimitExceeded`
/// when there are more than 100,000, or a failure of S3.
pub async fn objects(url: &str, options: AwsOptions) -> Result<(Arc<dyn ObjectStore>, Vec<ObjectMeta>)> {
    let (bucket, key) = parts(url)?;
    let illegal = |source| Error::invalid("not the key of an object").with("url", url).with_source(source);
    let path = Path::parse(key.trim_end_matches('/')).map_err(illegal)?;
    let store = store(bucket, options).await?;
    if !path.as_ref().is_empty() && !key.ends_with('/') {
        match store.head(&path).await {
            Ok(found) => return Ok((store, vec![found])),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failure::s3(error).with("url", url)),
        }
    }
    let mut found = Vec::new();
    let mut listed = store.list(Some(&path));
    while let Some(meta) = listed.try_next().await.map_err(|error| failure::s3(error).with("url", url))? {
        if found.len() == OBJECTS_MAX {
            let error = Error::new(ErrorKind::LimitExceeded, "the folder has too many objects");
            return Err(error.with("url", url).with("max", OBJECTS_MAX).with("hint", "name the folders in it"));
        }
        found.extend((meta.size > 0).then_some(meta));
    }
    if found.is_empty() {
        let error = Error::not_found("no such object, and nothing in a folder of this name").with("url", url);
        return Err(error.with("hint", "`aws s3 ls` shows what is there; a key is taken letter by letter"));
    }
    found.sort_by(|left, right| left.location.cmp(&right.location));
    drop(listed);
    Ok((store, found))
}

/// The bucket and the key of `url`.
fn parts(url: &str) -> Result<(&str, &str)> {
    match url.strip_prefix("s3://").map(|place| place.split_once('/').unwrap_or((place, ""))) {
        Some((bucket, key)) if !bucket.is_empty() => Ok((bucket, key)),
        _ => Err(Error::invalid("not a place in a bucket: s3://bucket/folder").with("url", url)),
    }
}

async fn store(bucket: &str, options: AwsOptions) -> Result<Arc<dyn ObjectStore>> {
    let options = options.with_bucket(bucket);
    Ok(Bucket::new(&connect(&options).await?, &options)?.store())
}
