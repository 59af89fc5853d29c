//! The seam to the file system, so that tests can make it fail.

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Linux's and macOS's codes of too many open files, in the process and on the machine.
const OUT_OF_DESCRIPTORS: [i32; 2] = [24, 23];

/// How often a directory is opened where there are no more descriptors.
const TRIES_MAX: u32 = 1_000;

/// The file system as this backend uses it.
pub(crate) trait Disk: Debug + Send + Sync + 'static {
    /// Opens a file for reading and writing; makes an empty one where `create` says so.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes the directory's entries durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Gives the file a second name, which must be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives the file another name, whether that was free or not.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills `bytes` from `offset`.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable, the length too.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The length.
    fn len(&self) -> io::Result<u64>;
}

/// The machine's own file system.
#[derive(Debug)]
pub(crate) struct SystemDisk {
    /// Whether `sync` reaches the disk.
    fsync: bool,
    /// A descriptor to give up for a directory's, where there are no more: entries that cannot be synced poison.
    spare: Mutex<Option<File>>,
}

impl SystemDisk {
    pub(crate) fn new(fsync: bool) -> Self {
        Self { fsync, spare: Mutex::new(spare()) }
    }

    fn sync_with_spare(&self, path: &Path) -> io::Result<()> {
        let mut held = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        drop(held.take());
        // Somebody else may take what was given up; nobody keeps all of them for long.
        let mut opened = File::open(path);
        for _ in 0..TRIES_MAX {
            if !opened.as_ref().is_err_and(is_out_of_descriptors) {
                break;
            }
            std::thread::yield_now();
            opened = File::open(path);
        }
        let synced = opened.and_then(|directory| directory.sync_all());
        *held = spare();
        synced
    }
}

/// Whether the process, or the machine, has too many files open.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code))
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

#[derive(Debug)]
struct SystemFile {
    file: File,
    fsync: bool,
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path)?;
        Ok(Arc::new(SystemFile { file, fsync: self.fsync }))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        if !self.fsync {
            return Ok(());
        }
        match File::open(path) {
            Err(error) if is_out_of_descriptors(&error) => self.sync_with_spare(path),
            directory => directory?.sync_all(),
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl DiskFile for SystemFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.fsync { self.file.sync_data() } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Makes the directory and its parents; answers the directories whose entries must be synced, outermost first.
pub(crate) fn create_directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    let mut at = path;
    while !at.as_os_str().is_empty() && !at.is_dir() {
        let Some(parent) = at.parent() else { break };
        let here = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        changed.push(here.to_path_buf());
        at = parent;
    }
    fs::create_dir_all(path)?;
    changed.reverse();
    Ok(changed)
}

/// The names in a directory, sorted; none when there is no such directory.
pub(crate) fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::SystemDisk;

    #[test]
    fn the_spare_descriptor_syncs_a_directory_and_is_spare_again() {
        let (disk, there) = (SystemDisk::new(true), tempfile::tempdir().unwrap());
        for path in [there.path().to_path_buf(), there.path().join("nowhere"), there.path().to_path_buf()] {
            assert_eq!(disk.sync_with_spare(&path).is_ok(), path.is_dir(), "{}", path.display());
            assert!(disk.spare.lock().unwrap().is_some());
        }
    }
}
