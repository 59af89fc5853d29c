//! An object store over one folder of the directory: a done change is on disk, and created means created once.

mod upload;

use std::{
    fmt, fs, io,
    ops::Range,
    path::{Path as FilePath, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Result};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, local::LocalFileSystem, path::Path,
};

use crate::{archive::blocking, disk, failure, root::Root};

const STORE: &str = "local";
/// The largest payload that may use the ballast of a full disk: what frees space is small.
const BALLAST_BYTES_MAX: usize = 1 << 20;
/// How many deletions are under way at once.
const DELETIONS_AT_ONCE: usize = 8;

/// The objects of a directory.
///
/// Reading is [`LocalFileSystem`]'s, which never syncs; writing goes through the directory's own disk: a file is
/// written beside the others, synced, given its name by a link (create) or a rename (overwrite), and the name is
/// synced before the change is answered. A failed sync poisons the directory.
#[derive(Debug)]
pub(crate) struct LocalObjects {
    shared: Arc<Shared>,
    reading: LocalFileSystem,
}

#[derive(Debug)]
struct Shared {
    root: Arc<Root>,
    folder: PathBuf,
    /// Where files are written; on the same file system, out of every listing.
    staging: PathBuf,
    staged: AtomicU64,
}

impl LocalObjects {
    /// Opens the store and removes what a crash left half written.
    pub(crate) fn open(root: &Arc<Root>) -> Result<Self> {
        let (folder, staging) = (root.path.join("tables"), root.path.join("tables-staging"));
        for path in [&folder, &staging] {
            root.create_directories(path)?;
        }
        for name in disk::names(&staging).map_err(|source| failure::disk_error("clean", &staging, source))? {
            let path = staging.join(name);
            fs::remove_file(&path).map_err(|source| failure::disk_error("clean", &path, source))?;
        }
        let reading = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|source| Error::internal("the folder of tables cannot be opened").with_source(source))?;
        let shared = Shared { root: Arc::clone(root), folder, staging, staged: AtomicU64::new(0) };
        Ok(Self { shared: Arc::new(shared), reading })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &FilePath {
        &self.shared.folder
    }

    fn file_of(&self, location: &Path) -> object_store::Result<PathBuf> {
        self.reading.path_to_filesystem(location)
    }
}

/// An error of ours as one of the object store.
fn through(error: Error) -> object_store::Error {
    match error.kind() {
        ErrorKind::NotFound => object_store::Error::NotFound { path: place_of(&error), source: Box::new(error) },
        ErrorKind::AlreadyExists => {
            object_store::Error::AlreadyExists { path: place_of(&error), source: Box::new(error) }
        }
        _ => object_store::Error::Generic { store: STORE, source: Box::new(error) },
    }
}

fn place_of(error: &Error) -> String {
    error.context().iter().find(|(name, _)| *name == "path").map(|(_, path)| path.clone()).unwrap_or_default()
}

impl Shared {
    /// A name for a file that is being written.
    fn staged(&self) -> PathBuf {
        self.staging.join(self.staged.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn put(&self, path: &FilePath, payload: &PutPayload, mode: &PutMode) -> Result<()> {
        self.root.check_writable()?;
        let staged = self.staged();
        let is_small = payload.content_length() <= BALLAST_BYTES_MAX;
        let written = match self.write(&staged, payload) {
            Err(error) if error.kind() == ErrorKind::StorageFull && is_small && self.root.ballast.release() => {
                self.write(&staged, payload)
            }
            written => written,
        };
        let placed = written.and_then(|()| self.place(&staged, path, matches!(mode, PutMode::Create)));
        // Whatever became of it, the half of it goes; after a rename there is none.
        let _ = self.root.disk.remove(&staged);
        placed
    }

    fn write(&self, staged: &FilePath, payload: &PutPayload) -> Result<()> {
        let failed = |source| failure::disk_error("write", staged, source);
        let file = self.root.disk.open(staged, true).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        let mut offset = 0;
        for bytes in payload {
            file.write_at(bytes, offset).map_err(failed)?;
            offset += bytes.len() as u64;
        }
        self.root.sync_file(&*file, staged)
    }

    /// Gives a written and synced file its name, durably.
    fn place(&self, staged: &FilePath, path: &FilePath, is_create: bool) -> Result<()> {
        let parent = path.parent().unwrap_or(&self.folder);
        self.root.create_directories(parent)?;
        let placed = if is_create { self.root.disk.link(staged, path) } else { self.root.disk.rename(staged, path) };
        placed.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::AlreadyExists, "the object is there").with("path", path.display())
            }
            _ => failure::disk_error("name", path, source),
        })?;
        // From here on it can be seen.
        self.root.sync_directory(parent).map_err(Error::and_may_have_applied)
    }

    fn remove(&self, path: &FilePath) -> Result<()> {
        self.root.check_writable()?;
        self.root.disk.remove(path).map_err(|source| failure::disk_error("delete", path, source))?;
        self.root.sync_directory(path.parent().unwrap_or(&self.folder)).map_err(Error::and_may_have_applied)
    }
}

fn refused(what: &str) -> object_store::Error {
    object_store::Error::NotImplemented { operation: what.into(), implementer: STORE.into() }
}

fn result_of(file: &FilePath) -> PutResult {
    let e_tag = fs::metadata(file).ok().map(|meta| format!("{}-{:?}", meta.len(), meta.modified().ok()));
    PutResult { e_tag, version: None }
}

#[async_trait]
impl ObjectStore for LocalObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        if matches!(opts.mode, PutMode::Update(_)) {
            return Err(refused("an update of a version"));
        }
        if !opts.attributes.is_empty() {
            return Err(refused("attributes"));
        }
        let (shared, file) = (Arc::clone(&self.shared), self.file_of(location)?);
        let put = blocking(move || {
            shared.put(&file, &payload, &opts.mode)?;
            Ok(result_of(&file))
        });
        put.await.map_err(through)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() {
            return Err(refused("attributes"));
        }
        let (shared, file) = (Arc::clone(&self.shared), self.file_of(location)?);
        let upload = blocking(move || upload::Upload::new(shared, file)).await.map_err(through)?;
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        // Who follows a log asks mostly for what is not there yet; to learn that is not worth another thread.
        match fs::metadata(self.file_of(location)?) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(object_store::Error::NotFound { path: location.to_string(), source: Box::new(source) });
            }
            Ok(_) | Err(_) => {}
        }
        self.reading.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.reading.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let (shared, reading) = (Arc::clone(&self.shared), self.reading.clone());
        let delete = move |location: object_store::Result<Path>| {
            let (shared, reading) = (Arc::clone(&shared), reading.clone());
            async move {
                let location = location?;
                let file = reading.path_to_filesystem(&location)?;
                blocking(move || shared.remove(&file)).await.map_err(through)?;
                Ok(location)
            }
        };
        locations.map(delete).buffered(DELETIONS_AT_ONCE).boxed()
    }

    /// In order of paths: who replays a log relies on it.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let listed = self.reading.list(prefix);
        let sorted = async move {
            let mut listed: Vec<ObjectMeta> = listed.try_collect().await?;
            listed.sort_unstable_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, object_store::Error>(stream::iter(listed.into_iter().map(Ok)))
        };
        stream::once(sorted).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.reading.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        let mode = match options.mode {
            CopyMode::Create => PutMode::Create,
            CopyMode::Overwrite => PutMode::Overwrite,
        };
        let bytes = self.reading.get_opts(from, GetOptions::default()).await?.bytes().await?;
        self.put_opts(to, bytes.into(), PutOptions { mode, ..PutOptions::default() }).await?;
        Ok(())
    }
}

impl fmt::Display for LocalObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local objects in {}", self.shared.folder.display())
    }
}
