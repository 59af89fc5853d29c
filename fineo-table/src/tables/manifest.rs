//! The live files as plain lists, for engines without a Delta reader.

use bytes::Bytes;
use fineo_core::{Error, Result};
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};

use super::{Inner, Key};
use crate::{Snapshot, failure, text};

const FORMAT: u32 = 1;
const MANIFEST: &str = "_fineo/manifest.json";
const LIST: &str = "_fineo/manifest.txt";

#[derive(Debug, Serialize)]
struct Manifest<'a> {
    format: u32,
    tenant: &'a str,
    metric: &'a str,
    version: u64,
    files: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    path: &'a str,
    day: String,
    rows: u64,
    bytes: u64,
}

/// What is read back of a manifest.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

impl Inner {
    /// Writes the manifest of `snapshot`, unless a later one is there. A failure leaves the last one: the Delta log
    /// is what counts.
    pub(super) async fn write_manifest(&self, key: &Key, snapshot: &Snapshot) {
        if let Err(error) = self.try_write_manifest(key, snapshot).await {
            tracing::warn!(%error, tenant = %key.tenant, metric = %key.metric, "the manifest of a table stays behind");
        }
    }

    async fn try_write_manifest(&self, key: &Key, snapshot: &Snapshot) -> Result<()> {
        let Some(version) = snapshot.version else { return Ok(()) };
        let path = key.path(MANIFEST);
        let there = self.get_if_there(&path).await?;
        let there: Option<Head> = there.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if there.is_some_and(|head| head.version >= version) {
            return Ok(());
        }
        let location = self.location(key);
        let mut list = String::new();
        let mut files = Vec::with_capacity(snapshot.files.len());
        for file in &snapshot.files {
            list.push_str(&format!("{location}/{}\n", file.path));
            files.push(Entry { path: &file.path, day: text::day_text(file.day)?, rows: file.rows, bytes: file.bytes });
        }
        let (tenant, metric) = (key.tenant.as_str(), key.metric.as_str());
        let manifest = serde_json::to_vec(&Manifest { format: FORMAT, tenant, metric, version, files });
        let manifest =
            manifest.map_err(|source| Error::internal("a manifest cannot be written").with_source(source))?;
        for (path, bytes) in [(key.path(LIST), Bytes::from(list)), (path, Bytes::from(manifest))] {
            self.objects.store.put(&path, bytes.into()).await.map_err(|source| failure::write(&path, source))?;
        }
        Ok(())
    }
}
