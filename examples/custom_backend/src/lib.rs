//! How to write a backend: an archive in a folder.
//!
//! Implement the trait, guarantee by guarantee as its documentation numbers them; then let `tests/conformance.rs` prove
//! it. Whatever holds an `Arc<dyn Archive>` works with it: pass it to `fineo::Fineo::with_parts`.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Archive, Durability, Error, ErrorKind, Outcome, Result,
    archive::{ArchiveCapabilities, Created, SegmentInfo, SegmentName, SegmentQuery},
};
use futures::{StreamExt, stream::BoxStream};

/// An archive that keeps each segment as a file. It leaves flushing to the operating system, and says so.
#[derive(Debug, Clone)]
pub struct FolderArchive {
    root: PathBuf,
}

impl FolderArchive {
    /// An archive in `root`, made when it is not there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|source| classify(&root, source))?;
        Ok(Self { root })
    }

    /// Guarantees 1-3 and 8: a segment appears under its name whole, or not at all, and only when nothing is there.
    fn write_blocking(&self, name: &SegmentName, bytes: &[u8]) -> Result<Created> {
        let path = self.root.join(name.path());
        let folder = path.parent().ok_or_else(|| Error::internal("a segment's path has a folder"))?;
        fs::create_dir_all(folder).map_err(|source| classify(folder, source))?;
        let unfinished = tempfile_in(folder, name, bytes)?;
        // A hard link fails when its name is taken; a rename would overwrite.
        let linked = fs::hard_link(&unfinished, &path);
        fs::remove_file(&unfinished).map_err(|source| classify(&unfinished, source))?;
        match linked {
            Ok(()) => Ok(Created::New),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = fs::read(&path).map_err(|source| classify(&path, source))?;
                Ok(if there == bytes { Created::Same } else { Created::Conflict })
            }
            Err(source) => Err(classify(&path, source)),
        }
    }

    fn list_blocking(&self, query: SegmentQuery) -> Result<Vec<SegmentInfo>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.join(query.stage.as_str()).join(query.kind.as_str())];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(classify(&folder, source)),
            };
            for entry in entries {
                let entry = entry.map_err(|source| classify(&folder, source))?;
                let path = entry.path();
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    // It was an unfinished file, or was removed, since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(source) => return Err(classify(&path, source)),
                };
                if metadata.is_dir() {
                    folders.push(path);
                } else if let Some(name) = self.name_of(&path).filter(|name| query.asks_for(name)) {
                    found.push(SegmentInfo { name, bytes: metadata.len() });
                }
            }
        }
        // Guarantee 6: in order of names, that is of time.
        found.sort_by_key(|segment| segment.name.path());
        Ok(found)
    }

    /// None for what is no segment: unfinished files among others.
    fn name_of(&self, path: &Path) -> Option<SegmentName> {
        SegmentName::from_path(path.strip_prefix(&self.root).ok()?.to_str()?).ok()
    }
}

/// A file beside the segment that no other writer has.
fn tempfile_in(folder: &Path, name: &SegmentName, bytes: &[u8]) -> Result<PathBuf> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{}-{}-{number}.unfinished", name.first, std::process::id()));
    fs::write(&path, bytes).map_err(|source| classify(&path, source))?;
    Ok(path)
}

/// One place decides what a foreign error means to the caller.
fn classify(path: &Path, source: io::Error) -> Error {
    let kind = match source.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        io::ErrorKind::PermissionDenied => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "cannot use the archive's folder").with("path", path.display()).with_source(source)
}

/// The work of a blocking call, off the runtime's own threads. It goes on when the caller lets go: whole, or not at all.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| Error::internal("the work broke off").with_source(source).and_may_have_applied())?
}

impl fmt::Display for FolderArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "archive in the folder {}", self.root.display())
    }
}

#[async_trait]
impl Archive for FolderArchive {
    fn capabilities(&self) -> ArchiveCapabilities {
        // Whoever hands segments to somebody else says how long they may take to be listed; readers then bear with gaps so long.
        ArchiveCapabilities { durability: Durability::ProcessCrash, segment_bytes_max: 1 << 30, listed_within: None }
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        let (this, name) = (self.clone(), name.clone());
        blocking(move || this.write_blocking(&name, &bytes)).await.into()
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        let this = self.clone();
        let listed = async move { blocking(move || this.list_blocking(query)).await };
        futures::stream::once(listed)
            .flat_map(|listed| match listed {
                Ok(segments) => futures::stream::iter(segments.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => futures::stream::iter(vec![Err(error)]),
            })
            .boxed()
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        let path = self.root.join(name.path());
        let bytes = blocking(move || fs::read(&path).map_err(|source| classify(&path, source))).await?;
        let bytes = Bytes::from(bytes);
        let Some((from, to)) = range else { return Ok(bytes) };
        if from > to || to > bytes.len() as u64 {
            return Err(Error::invalid("a range beyond the segment").with("from", from).with("to", to));
        }
        let end = usize::try_from(to).map_err(|_| Error::invalid("a range beyond the segment"))?;
        Ok(bytes.slice(usize::try_from(from).unwrap_or(end)..end))
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        let path = self.root.join(name.path());
        let removed = move || match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(classify(&path, source)),
        };
        blocking(removed).await.into()
    }
}
