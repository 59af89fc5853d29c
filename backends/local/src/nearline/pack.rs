//! A file of segments: one flush writes one, so that ten thousand tenants cost one fsync.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fineo_core::Result;

use crate::{disk::DiskFile, failure, root::Root};

/// An open file of segments.
#[derive(Debug)]
pub(super) struct Pack {
    /// Its number; never used again.
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
}

impl Pack {
    /// The path of the pack `number`.
    pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{number:016x}.pack"))
    }

    /// Reads a name made by [`Pack::path`].
    pub(super) fn number_of_name(name: &str) -> Option<u64> {
        u64::from_str_radix(name.strip_suffix(".pack")?, 16).ok()
    }

    /// Opens a pack, a new one where `create` says so.
    pub(super) fn open(root: &Root, folder: &Path, number: u64, create: bool) -> Result<Arc<Self>> {
        let path = Self::path(folder, number);
        let file = root.disk.open(&path, create).map_err(|source| failure::disk_error("open", &path, source))?;
        Ok(Arc::new(Self { number, path, file }))
    }
}
