//! A file that holds space back, and lets go of it when nothing else is left.

use std::{io, path::PathBuf, sync::Mutex};

use crate::disk::{Disk, DiskFile};
use std::sync::Arc;

/// Space for checkpoints and shutdown on a full disk.
#[derive(Debug)]
pub(crate) struct Ballast {
    file: Arc<dyn DiskFile>,
    bytes: u64,
    held: Mutex<u64>,
}

const CHUNK: u64 = 1 << 20;

impl Ballast {
    /// Opens the file and fills it as far as there is space.
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf, bytes: u64) -> io::Result<Self> {
        let file = disk.open(&path, true)?;
        let held = file.len()?.min(bytes);
        if file.len()? > bytes {
            file.set_len(bytes)?;
        }
        let ballast = Self { file, bytes, held: Mutex::new(held) };
        ballast.refill();
        Ok(ballast)
    }

    /// Gives the space back to the disk; answers whether there was any.
    pub(crate) fn release(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let had = *held > 0;
        if had && self.file.set_len(0).is_ok() {
            *held = 0;
            tracing::warn!("the disk is full: the ballast was released");
        }
        had
    }

    /// Takes the space again, as far as there is some. A full disk is no error here.
    pub(crate) fn refill(&self) {
        let mut held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let zeros = vec![0; usize::try_from(CHUNK.min(self.bytes.saturating_sub(*held))).unwrap_or(0)];
        while *held < self.bytes {
            let len = CHUNK.min(self.bytes - *held);
            let part = usize::try_from(len).unwrap_or(0).min(zeros.len());
            if self.file.write_at(&zeros[..part], *held).is_err() {
                // Half a chunk would be counted wrongly: leave it off.
                let _ = self.file.set_len(*held);
                return;
            }
            *held += len;
        }
    }
}
