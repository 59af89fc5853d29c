//! Which objects make up a state of a table: to copy it elsewhere.

use std::sync::Arc;

use fineo_core::{Error, Result};
use futures::TryStreamExt;

use super::{
    Inner, Key,
    data::sums_name,
    garbage::relative_of,
    load::{document_name, log_name},
};
use crate::{Snapshot, failure};

impl Inner {
    /// The objects of `snapshot`, relative to its table, in order: files, checksums, cover, and the log up to it.
    pub(super) async fn objects_of(&self, snapshot: &Snapshot) -> Result<Vec<String>> {
        let key = Key::of(snapshot);
        let Some(version) = snapshot.version else { return Ok(Vec::new()) };
        let mut objects: Vec<String> = snapshot.files.iter().map(|file| file.path.to_string()).collect();
        objects.extend(snapshot.files.iter().map(|file| sums_name(&file.path)));
        objects.push(document_name(snapshot.inner.number));
        let (root, folder) = (key.root(), key.path("_delta_log"));
        let listed: Vec<_> = self
            .objects
            .store
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|source| failure::read(&folder, source))?;
        let is_of_log = |relative: &String| {
            let digits = relative.strip_prefix("_delta_log/").and_then(|name| name.get(..20));
            digits.and_then(|digits| digits.parse::<u64>().ok()).is_some_and(|number| number <= version)
        };
        let log = listed.iter().filter_map(|meta| relative_of(&root, &meta.location)).filter(is_of_log);
        let before = objects.len();
        objects.extend(log);
        if !objects[before..].contains(&log_name(version)) {
            return Err(Error::unavailable("the table moved on while it was listed: begin again"));
        }
        objects.sort();
        Ok(objects)
    }
}

impl super::Tables {
    /// The objects that make up `snapshot`, relative to its table, in order. Copied to the same places of another
    /// store they are that table in that state.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    pub async fn objects_of(&self, snapshot: &Arc<Snapshot>) -> Result<Vec<String>> {
        self.inner.objects_of(snapshot).await
    }
}
