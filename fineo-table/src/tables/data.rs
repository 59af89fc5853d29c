//! The files of a table: their checksums, their footers.

use std::sync::Arc;

use fineo_core::{Error, Result};

use super::{Inner, Key};
use crate::{DataFile, FileMeta, FileSums, failure};

impl Inner {
    /// The footer of a live file, checked against what the commit says.
    pub(super) async fn data_file(&self, key: &Key, file: &DataFile) -> Result<Arc<FileMeta>> {
        let meta = match self.footers.find(&(key.clone(), Arc::clone(&file.path))) {
            Some(meta) => meta,
            None => {
                let path = key.path(&sums_name(&file.path));
                let sums = self.get_if_there(&path).await?.ok_or_else(|| {
                    Error::corrupt(format!("the checksums of a file are missing: {}", failure::REPAIR))
                        .with("path", &path)
                })?;
                let sums = FileSums::from_bytes(&sums).map_err(|error| error.with("path", &path))?;
                self.footer(key, &file.path, sums).await?
            }
        };
        let same = meta.bytes() == file.bytes
            && meta.rows == file.rows
            && meta.layout.day == file.day
            && (meta.first, meta.last) == (file.first, file.last);
        if !same {
            let message = format!("a file is not what the table says of it: {}", failure::REPAIR);
            return Err(Error::corrupt(message).with("path", key.path(&file.path)));
        }
        Ok(meta)
    }

    /// The footer of the file at `relative`, checked to be this table's; kept in memory.
    pub(super) async fn footer(&self, key: &Key, relative: &Arc<str>, sums: Arc<FileSums>) -> Result<Arc<FileMeta>> {
        let path = key.path(relative);
        let meta = Arc::new(FileMeta::load(&self.objects.store, &path, sums).await?);
        // T2: whatever led here, no byte of another tenant goes out. Whose it is instead is nobody's business.
        if meta.layout.tenant != key.tenant || meta.layout.metric != key.metric {
            let message = format!("a file belongs to another table: {}", failure::REPAIR);
            return Err(Error::corrupt(message).with("path", path));
        }
        let bytes = meta.memory_bytes();
        self.footers.keep((key.clone(), Arc::clone(relative)), Arc::clone(&meta), bytes, |_| false);
        Ok(meta)
    }
}

/// Where the checksums of a file are, relative to the table.
pub(super) fn sums_name(relative: &str) -> String {
    format!("_fineo/sums/{}.sums", relative.strip_suffix(".parquet").unwrap_or(relative))
}
