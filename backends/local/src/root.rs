//! What all parts of a directory share: the disk, the options, the lock and the health.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use fineo_core::{Durability, Error, Result};

use crate::{ballast::Ballast, disk::Disk, disk::DiskFile, failure, options::LocalOptions};

/// The directory as its parts see it.
#[derive(Debug)]
pub(crate) struct Root {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What was chosen.
    pub(crate) options: LocalOptions,
    /// The file system.
    pub(crate) disk: Arc<dyn Disk>,
    /// Space for bad times.
    pub(crate) ballast: Ballast,
    poisoned: OnceLock<String>,
    closed: AtomicBool,
    lock: Mutex<Option<DirectoryLock>>,
}

impl Root {
    /// Takes the directory for this process.
    pub(crate) fn open(path: &Path, options: LocalOptions, disk: Arc<dyn Disk>) -> Result<Self> {
        if !options.creates_missing {
            check_there(path)?;
        }
        let failed = |source| failure::directory_error(path, source);
        for changed in crate::disk::create_directories(path).map_err(failed)? {
            disk.sync_directory(&changed).map_err(failed)?;
        }
        let lock = take_lock(&path.join("lock"))?;
        let ballast_path = path.join("ballast");
        let ballast = Ballast::open(&*disk, ballast_path.clone(), options.ballast_bytes)
            .map_err(|source| failure::disk_error("open", &ballast_path, source))?;
        Ok(Self {
            path: path.to_path_buf(),
            options,
            disk,
            ballast,
            poisoned: OnceLock::new(),
            closed: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// What done changes survive.
    pub(crate) fn durability(&self) -> Durability {
        if self.options.fsync { Durability::PowerLoss } else { Durability::ProcessCrash }
    }

    /// Fails when the directory takes no more changes.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if let Some(cause) = self.poisoned.get() {
            return Err(Error::unavailable("the directory is poisoned: close it and open it again")
                .with("cause", cause)
                .with("hint", "end the process that holds it and start another; what was accepted is safe"));
        }
        self.check_open()
    }

    /// Fails when somebody else may have the directory.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Refuses all further changes until the directory is opened again: after a failed fsync nobody knows what
    /// is on the disk, and a second fsync would lie about it.
    pub(crate) fn poison(&self, cause: &Error) {
        if self.poisoned.set(cause.to_string()).is_ok() {
            tracing::error!(%cause, "the directory is poisoned");
        }
    }

    /// Makes the directory `path` and its parents, durably.
    pub(crate) fn create_directories(&self, path: &Path) -> Result<()> {
        let created = crate::disk::create_directories(path);
        let changed = created.map_err(|source| failure::disk_error("create directory", path, source))?;
        changed.iter().try_for_each(|changed| self.sync_directory(changed))
    }

    /// Syncs `file`; poisons the directory when that fails.
    pub(crate) fn sync_file(&self, file: &dyn DiskFile, path: &Path) -> Result<()> {
        file.sync().map_err(|source| self.poisoned_by(path, source))
    }

    /// Syncs the entries of the directory `path`; poisons when that fails.
    pub(crate) fn sync_directory(&self, path: &Path) -> Result<()> {
        self.disk.sync_directory(path).map_err(|source| self.poisoned_by(path, source))
    }

    fn poisoned_by(&self, path: &Path, source: std::io::Error) -> Error {
        let error = failure::disk_error("sync", path, source).and_may_have_applied();
        self.poison(&error);
        error
    }

    /// Refuses further changes and lets another process in.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The error of whoever still holds a part of a directory that was closed.
pub(crate) fn closed() -> Error {
    Error::unavailable("the directory is closed")
}

/// The name of the repository's file.
pub(crate) const REPOSITORY: &str = "repo.redb";

/// What is made in a directory once there is a repository.
const DATA: [&str; 4] = ["archive", "log", "nearline", "tables"];

/// How many bytes at the beginning of the repository's file are its mark; they are the last that is written of a new one.
pub(crate) const MARK_BYTES: usize = 9;

/// Data in a directory, which without its repository is of no use: nobody would know any tenant, and positions would begin anew.
pub(crate) fn data_in(path: &Path) -> Option<PathBuf> {
    DATA.into_iter().map(|folder| path.join(folder)).find(|folder| folder.exists())
}

/// The error of `data` without the repository that was at `path`.
pub(crate) fn orphaned(path: &Path, data: &Path) -> Error {
    Error::corrupt("the directory has data, and its repository is gone")
        .with("path", path.display())
        .with("data", data.display())
        .with("hint", "put the file back, or restore a backup into an empty directory")
}

/// Fails where there is no store, and makes nothing.
fn check_there(path: &Path) -> Result<()> {
    let mut mark = Vec::new();
    let read = File::open(path.join(REPOSITORY)).and_then(|file| file.take(MARK_BYTES as u64).read_to_end(&mut mark));
    let is_empty = match read {
        Ok(_) => mark.iter().all(|byte| *byte == 0),
        Err(source) => source.kind() == ErrorKind::NotFound,
    };
    match data_in(path) {
        Some(data) if is_empty => Err(orphaned(&path.join(REPOSITORY), &data)),
        None if is_empty => {
            Err(Error::not_found("there is no store of fineo in this directory").with("path", path.display()).with(
                "hint",
                "name another one; the first that takes events in (fineo ingest, fineo serve) or declares something makes a store",
            ))
        }
        // Whatever else there is, opening it says what is wrong with it.
        _ => Ok(()),
    }
}

/// The right to a directory, in the kernel's hands: of the file that tells who has it, and of the repository, for somebody may take
/// the former for a stale one and remove it.
#[derive(Debug)]
struct DirectoryLock {
    file: File,
    repository: Option<File>,
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // To close the file is not enough: a process that is just being started has it too, until its own program runs.
        for locked in self.repository.iter().chain([&self.file]) {
            if let Err(error) = locked.unlock() {
                tracing::warn!(%error, "the lock of a directory was not given back, it goes with the file");
            }
        }
    }
}

fn take_lock(path: &Path) -> Result<DirectoryLock> {
    let failed = |source| failure::disk_error("lock", path, source);
    let open = |path: &Path| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The holder's name is a courtesy: without it the refusal stands.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
            return Err(Error::unavailable(format!("directory is in use by {}", holder.trim()))
                .with("path", path.parent().unwrap_or(path).display())
                .with("hint", "one process at a time has it: end that one, or name another directory"));
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let mut lock = DirectoryLock { file, repository: None };
    let folder = path.parent().unwrap_or(path);
    let repository = open(&folder.join(REPOSITORY)).map_err(failed)?;
    match repository.try_lock() {
        Ok(()) => lock.repository = Some(repository),
        Err(TryLockError::WouldBlock) => {
            let error = Error::unavailable("directory is in use by another process: its repository is locked");
            let error = error.with("path", folder.display());
            return Err(
                error.with("hint", "end that process first; a file \"lock\" is never stale, so do not remove it")
            );
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    lock.file.set_len(0).map_err(failed)?;
    lock.file.write_all(holder_text().as_bytes()).map_err(failed)?;
    Ok(lock)
}

/// The process and the first words of its command line; what follows may be private.
fn holder_text() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let deed = words.next().filter(|word| !word.starts_with('-')).unwrap_or_default();
    format!("process {} ({})", std::process::id(), format!("{program} {deed}").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    // N12
    #[test]
    fn a_lock_that_was_let_go_is_free_although_a_process_being_started_has_the_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = take_lock(&path).unwrap();
        // As a child has it between its fork and its own program.
        let of_child = (lock.file.try_clone().unwrap(), lock.repository.as_ref().unwrap().try_clone().unwrap());
        assert!(take_lock(&path).is_err());
        drop(lock);
        take_lock(&path).unwrap();
        drop(of_child);
    }

    #[test]
    fn who_removes_the_file_of_a_lock_does_not_get_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = take_lock(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for _ in 0..2 {
            let refused = take_lock(&path).unwrap_err();
            assert!(refused.to_string().contains("is locked"), "{refused}");
        }
        drop(lock);
        take_lock(&path).unwrap();
    }
}
