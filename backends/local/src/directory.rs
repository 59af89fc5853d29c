//! Opens a directory and hands out its parts.

use std::{
    collections::BTreeMap,
    fmt,
    panic::AssertUnwindSafe,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use fineo_core::{Archive, Durability, Error, ErrorKind, NearlineStore, Result, SchemaRepo, Stream};
use object_store::ObjectStore;

use crate::{
    archive::LocalArchive,
    disk::{Disk, SystemDisk},
    log::Log,
    nearline::LocalNearline,
    objects::LocalObjects,
    options::LocalOptions,
    repo::{
        LocalRepo,
        database::{self, SharedDatabase},
    },
    root::Root,
};

/// A directory that belongs to this process: streams, an archive, a nearline store, a repository and objects.
///
/// # Guarantees
///
/// 1. One process has it at a time; another is refused and told who has it.
/// 2. What was done survives what the parts' capabilities say, whenever the process or the machine dies.
///    Opening repairs without hands.
/// 3. After a failed fsync every change is refused until the directory is opened again.
/// 4. On a full disk new entries are refused; checkpoints, reads, trimming and closing go on.
/// 5. Damaged bytes are reported with their place and never served.
pub struct LocalDirectory {
    root: Arc<Root>,
    database: Arc<SharedDatabase>,
    epoch: u64,
    streams: Mutex<BTreeMap<String, Arc<Log>>>,
    archive: Arc<LocalArchive>,
    nearline: Arc<LocalNearline>,
    objects: Arc<LocalObjects>,
    repo: Arc<LocalRepo>,
}

impl fmt::Debug for LocalDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalDirectory").field("path", &self.root.path).finish_non_exhaustive()
    }
}

impl fmt::Display for LocalDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local directory {}", self.root.path.display())
    }
}

impl LocalDirectory {
    /// Opens the directory, a new one where there is none. Reads and repairs what is there, and blocks meanwhile.
    ///
    /// # Errors
    ///
    /// `Unavailable` when another process has it, `Unsupported` when a newer version wrote it, `Corrupt` when
    /// damage keeps it from being opened, or what the disk says.
    pub fn open(path: impl AsRef<Path>, options: LocalOptions) -> Result<Self> {
        let fsync = options.fsync;
        Self::open_on(Arc::new(SystemDisk::new(fsync)), path.as_ref(), options)
    }

    pub(crate) fn open_on(disk: Arc<dyn Disk>, path: &Path, options: LocalOptions) -> Result<Self> {
        let root = Arc::new(Root::open(path, options, disk)?);
        // redb panics over some damaged pages; nothing of ours is half changed then, for nothing is open yet.
        let opened = std::panic::catch_unwind(AssertUnwindSafe(|| Self::open_parts(&root)));
        opened.unwrap_or_else(|_| Err(Error::corrupt("the repository is damaged").with("path", path.display())))
    }

    fn open_parts(root: &Arc<Root>) -> Result<Self> {
        let root = Arc::clone(root);
        let (database, epoch) = database::open(&root)?;
        let repo = Arc::new(LocalRepo::open(&root, &database)?);
        let archive = Arc::new(LocalArchive::open(&root)?);
        let nearline = Arc::new(LocalNearline::open(&root, &database)?);
        let objects = Arc::new(LocalObjects::open(&root)?);
        Ok(Self { root, database, epoch, streams: Mutex::default(), archive, nearline, objects, repo })
    }

    /// The stream `name` with `shards` shards; opened once, then always the same.
    ///
    /// A stream that once had more shards keeps them, closed.
    ///
    /// # Errors
    ///
    /// `Invalid` for an illegal name or number, or when the stream is open with another number of shards;
    /// otherwise as [`LocalDirectory::open`].
    pub fn stream(&self, name: &str, shards: u32) -> Result<Arc<dyn Stream>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = streams.get(name) {
            if log.open_shards() != shards as usize {
                let error = Error::invalid("the stream is open with another number of shards").with("stream", name);
                return Err(error.with("shards", log.open_shards()));
            }
            return Ok(Arc::clone(log) as Arc<dyn Stream>);
        }
        let log = Arc::new(Log::open(&self.root, name, shards, self.epoch)?);
        self.nearline.add_source(&log);
        streams.insert(name.to_owned(), Arc::clone(&log));
        Ok(log)
    }

    /// The archive.
    pub fn archive(&self) -> Arc<dyn Archive> {
        Arc::clone(&self.archive) as Arc<dyn Archive>
    }

    /// The nearline store.
    pub fn nearline(&self) -> Arc<dyn NearlineStore> {
        Arc::clone(&self.nearline) as Arc<dyn NearlineStore>
    }

    /// The object store for columnar files.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects) as Arc<dyn ObjectStore>
    }

    /// Where the objects are, for other programs to read.
    pub fn objects_folder(&self) -> &Path {
        self.objects.folder()
    }

    /// What a done change of the directory survives.
    pub fn durability(&self) -> Durability {
        self.root.durability()
    }

    /// The schema repository.
    pub fn repo(&self) -> Arc<dyn SchemaRepo> {
        Arc::clone(&self.repo) as Arc<dyn SchemaRepo>
    }

    /// Makes everything durable and lets another process in; later changes through parts still held are refused.
    ///
    /// Not closing is safe: it is what a crash does.
    ///
    /// # Errors
    ///
    /// When something could not be made durable. The directory is let go all the same.
    pub async fn close(self) -> Result<()> {
        let rows = self.nearline.close().await;
        let logs: Vec<Arc<Log>> =
            self.streams.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let root = Arc::clone(&self.root);
        let sealed = tokio::task::spawn_blocking(move || logs.iter().try_for_each(|log| log.seal())).await;
        let sealed = sealed
            .unwrap_or_else(|error| Err(Error::new(ErrorKind::Cancelled, "closing was cut off").with_source(error)));
        // Before the lock is let go: the file is the next one's then.
        let database = Arc::clone(&self.database);
        let _ended = tokio::task::spawn_blocking(move || database.close()).await;
        root.close();
        rows.and(sealed)
    }
}
