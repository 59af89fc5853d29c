//! Opens redb over our disk, with the ballast behind it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use fineo_core::{Error, ErrorKind, Result};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction,
};

use crate::{
    disk::DiskFile,
    failure::{self, database_error},
    log::EPOCH_SHIFT,
    root::{self, Root},
};

/// Numbers of the directory itself.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("directory");
const CACHE_BYTES: usize = 16 << 20;
/// The format of the whole directory: 2 since versions of subjects may be packed, 3 since the files of the nearline store's journal
/// are noted. An older one is read as it is.
const FORMAT: u64 = 3;

/// The database of a directory, until that is closed: whoever still holds a part of it then must not write to a file that another
/// process has by now, not even when the part is let go.
#[derive(Debug)]
pub(crate) struct SharedDatabase(RwLock<Option<Database>>);

impl SharedDatabase {
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction> {
        self.of_open(|database| database.begin_read().map_err(database_error))
    }

    pub(crate) fn begin_write(&self) -> Result<WriteTransaction> {
        self.of_open(|database| database.begin_write().map_err(database_error))
    }

    fn of_open<T>(&self, begin: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Some(database) => begin(database),
            None => Err(root::closed()),
        }
    }

    /// Waits for the change that is under way, writes what makes the next start quick, and lets the file go.
    pub(crate) fn close(&self) {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = slot.take() {
            // There is one change at a time; with one of them live, redb would put the end of the database off.
            let _waited = database.begin_write().map(WriteTransaction::abort);
        }
    }
}

/// A file that redb writes; a full disk releases the ballast and is asked again, so that checkpoints go on.
struct EssentialFile {
    file: Arc<dyn DiskFile>,
    root: Arc<Root>,
    path: PathBuf,
    len: RwLock<u64>,
}

impl std::fmt::Debug for EssentialFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EssentialFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl EssentialFile {
    fn with_ballast(&self, deed: impl Fn() -> io::Result<()>) -> io::Result<()> {
        self.root.check_open().map_err(io::Error::other)?;
        match deed() {
            Err(error) if failure::is_full(&error) && self.root.ballast.release() => deed(),
            other => other,
        }
    }
}

impl StorageBackend for EssentialFile {
    fn len(&self) -> io::Result<u64> {
        Ok(*self.len.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.root.check_open().map_err(io::Error::other)?;
        self.file.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with_ballast(|| self.file.set_len(len))?;
        *self.len.write().unwrap_or_else(PoisonError::into_inner) = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync().inspect_err(|_| {
            self.root.poison(&Error::unavailable("sync of the repository failed").with("path", self.path.display()));
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with_ballast(|| self.file.write_at(data, offset))
    }
}

/// Opens the database of the directory and begins a new epoch, greater than any before.
pub(crate) fn open(root: &Arc<Root>) -> Result<(Arc<SharedDatabase>, u64)> {
    let path = root.path.join(root::REPOSITORY);
    let failed = |source| failure::disk_error("open", &path, source);
    let file = root.disk.open(&path, true).map_err(failed)?;
    root.sync_directory(&root.path)?;
    let mut len = file.len().map_err(failed)?;
    if is_new(&*file, len).map_err(failed)? {
        check_new(root, &path)?;
        // Whoever began it was killed before anything was kept.
        file.set_len(0).map_err(failed)?;
        len = 0;
    }
    let backend = EssentialFile { file, root: Arc::clone(root), path: path.clone(), len: RwLock::new(len) };
    // Without the check a damaged page is trusted, and a panic at some later time.
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let opened = builder.create_with_backend(backend);
    let database = opened.map_err(|source| database_error(source).with("path", path.display()))?;
    let epoch = begin_epoch(&database, least_epoch(root)?)?;
    Ok((Arc::new(SharedDatabase(RwLock::new(Some(database)))), epoch))
}

/// Whether nobody has finished making the file.
fn is_new(file: &dyn DiskFile, len: u64) -> io::Result<bool> {
    let mut mark = [0; root::MARK_BYTES];
    let there = usize::try_from(len).unwrap_or(usize::MAX).min(mark.len());
    file.read_at(&mut mark[..there], 0)?;
    Ok(mark == [0; root::MARK_BYTES])
}

/// That there is no data yet in a directory whose repository is new.
fn check_new(root: &Root, path: &Path) -> Result<()> {
    match root::data_in(&root.path) {
        Some(data) => Err(root::orphaned(path, &data)),
        None => Ok(()),
    }
}

/// The least epoch whose positions lie behind those that are to be left behind.
fn least_epoch(root: &Root) -> Result<u64> {
    let Some(last) = root.options.positions_after else { return Ok(0) };
    let number = last.to_u128().and_then(|number| u64::try_from(number).ok());
    let number = number.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "a directory cannot go on behind positions of another backend")
            .with("position", last)
    })?;
    Ok((number >> EPOCH_SHIFT) + 1)
}

fn begin_epoch(database: &Database, least: u64) -> Result<u64> {
    let transaction = database.begin_write().map_err(database_error)?;
    let epoch = {
        let mut numbers = transaction.open_table(NUMBERS).map_err(database_error)?;
        let format = numbers.get("format").map_err(database_error)?.map_or(FORMAT, |found| found.value());
        if format > FORMAT {
            let error = Error::new(ErrorKind::Unsupported, "directory was written by a newer version");
            return Err(error.with("format", format).with("format_max", FORMAT));
        }
        let epoch = numbers.get("epoch").map_err(database_error)?.map_or(0, |found| found.value()) + 1;
        let epoch = epoch.max(least);
        numbers.insert("format", FORMAT).map_err(database_error)?;
        numbers.insert("epoch", epoch).map_err(database_error)?;
        epoch
    };
    transaction.commit().map_err(database_error)?;
    Ok(epoch)
}
