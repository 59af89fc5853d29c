//! An object that comes in parts: nobody sees it before it is whole and on disk.

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use fineo_core::{Error, Result};
use futures::future::FutureExt;
use object_store::{MultipartUpload, PutPayload, PutResult, UploadPart};

use super::{Shared, blocking, failure, result_of, through};
use crate::disk::DiskFile;

/// A file that is being written.
pub(super) struct Upload {
    shared: Arc<Shared>,
    file: Arc<dyn DiskFile>,
    staged: PathBuf,
    path: PathBuf,
    /// Where the next part goes.
    offset: u64,
    is_over: bool,
}

impl Upload {
    pub(super) fn new(shared: Arc<Shared>, path: PathBuf) -> Result<Self> {
        shared.root.check_writable()?;
        let staged = shared.staged();
        let file = shared.root.disk.open(&staged, true);
        let file = file.map_err(|source| failure::disk_error("write", &staged, source))?;
        Ok(Self { shared, file, staged, path, offset: 0, is_over: false })
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (file, staged, mut offset) = (Arc::clone(&self.file), self.staged.clone(), self.offset);
        self.offset += data.content_length() as u64;
        let write = blocking(move || {
            for bytes in &data {
                file.write_at(bytes, offset).map_err(|source| failure::disk_error("write", &staged, source))?;
                offset += bytes.len() as u64;
            }
            Ok(())
        });
        write.map(|written| written.map_err(through)).boxed()
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        if std::mem::replace(&mut self.is_over, true) {
            return Err(through(Error::invalid("the upload is over")));
        }
        let (shared, file) = (Arc::clone(&self.shared), Arc::clone(&self.file));
        let (staged, path) = (self.staged.clone(), self.path.clone());
        let place = blocking(move || {
            shared.root.check_writable()?;
            let placed = shared.root.sync_file(&*file, &staged).and_then(|()| shared.place(&staged, &path, false));
            // After the rename there is nothing to remove.
            let _ = shared.root.disk.remove(&staged);
            placed?;
            Ok(result_of(&path))
        });
        place.await.map_err(through)
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(());
        }
        let (shared, staged) = (Arc::clone(&self.shared), self.staged.clone());
        let remove = blocking(move || {
            shared.root.disk.remove(&staged).map_err(|source| failure::disk_error("delete", &staged, source))
        });
        remove.await.map_err(through)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_over {
            // What stays in spite of this goes when the directory is opened again.
            let _ = self.shared.root.disk.remove(&self.staged);
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("path", &self.path).field("offset", &self.offset).finish_non_exhaustive()
    }
}
