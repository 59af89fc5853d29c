//! Folders outside of the store that batches are read from. In each, a tenant has the one of its own name, and no other.

use std::{
    fmt, fs,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use fineo::{Error, ErrorKind, ImportSource, Result, TenantId, ingest::Object};
use object_store::{GetOptions, ObjectStore, path::Path};

use crate::config::BatchesConfig;

/// What the URL of a folder on this machine begins with.
const LOCAL: &str = "file://";

/// The folders that batches may be read from.
#[derive(Debug, Clone)]
pub struct Folders {
    folders: Vec<Folder>,
    bytes_max: u64,
    unpacked_bytes_max: u64,
}

#[derive(Debug, Clone)]
struct Folder {
    /// With a slash at its end.
    url: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Directory(PathBuf),
    Store(Arc<dyn ObjectStore>),
    /// An object store that nobody has connected yet.
    Elsewhere,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(f, "Directory({})", directory.display()),
            Self::Store(store) => write!(f, "Store({store})"),
            Self::Elsewhere => f.write_str("Elsewhere"),
        }
    }
}

impl Default for Folders {
    /// None.
    fn default() -> Self {
        let config = BatchesConfig::default();
        Self { folders: Vec::new(), bytes_max: config.object_bytes_max, unpacked_bytes_max: config.unpacked_bytes_max }
    }
}

impl Folders {
    /// The folders of `config`; those of object stores are empty until they are connected.
    ///
    /// # Errors
    ///
    /// When a folder of this machine is not there.
    pub fn new(config: &BatchesConfig) -> Result<Self> {
        let folder = |url: &String| {
            let url = format!("{}/", url.trim_end_matches('/'));
            let place = match url.strip_prefix(LOCAL) {
                None => Place::Elsewhere,
                Some(path) => Place::Directory(fs::canonicalize(path).map_err(|source| {
                    Error::invalid("the folder of batches is not there").with("folder", &url).with_source(source)
                })?),
            };
            Ok(Folder { url, place })
        };
        let folders = config.folders.iter().map(folder).collect::<Result<_>>()?;
        let BatchesConfig { object_bytes_max: bytes_max, unpacked_bytes_max, .. } = *config;
        Ok(Self { folders, bytes_max, unpacked_bytes_max })
    }

    /// The most bytes that an object may unpack to.
    pub(crate) fn unpacked_bytes_max(&self) -> u64 {
        self.unpacked_bytes_max
    }

    /// The folders whose object stores are to be connected.
    pub fn elsewhere(&self) -> Vec<String> {
        let elsewhere = self.folders.iter().filter(|folder| matches!(folder.place, Place::Elsewhere));
        elsewhere.map(|folder| folder.url.clone()).collect()
    }

    /// Says that the objects of the folder `url` are those of `store`, relative to the folder.
    pub fn connect(&mut self, url: &str, store: &Arc<dyn ObjectStore>) {
        for folder in self.folders.iter_mut().filter(|folder| folder.url == url) {
            folder.place = Place::Store(Arc::clone(store));
        }
    }

    /// What `tenant` may read at `url`; what is not there and what is another's cannot be told apart.
    ///
    /// # Errors
    ///
    /// `NotFound`, also where it is not the tenant's; `LimitExceeded` where it is too long; `Unavailable` when the store does
    /// not answer.
    pub(crate) async fn find(&self, tenant: &TenantId, url: &str) -> Result<ImportSource> {
        for folder in &self.folders {
            let own = format!("{}{tenant}/", folder.url);
            let Some(Ok(path)) = url.strip_prefix(&own).map(Path::from_url_path) else { continue };
            if path.as_ref().is_empty() {
                continue;
            }
            match &folder.place {
                Place::Elsewhere => {}
                Place::Directory(directory) => {
                    let own = directory.join(tenant.as_str());
                    let max = self.bytes_max;
                    let opened = tokio::task::spawn_blocking(move || open(&own, path.as_ref(), max)).await;
                    return opened.map_err(|source| Error::internal("a file was not opened").with_source(source))?;
                }
                Place::Store(store) => {
                    let parts = [tenant.as_str().into()].into_iter().chain(path.parts());
                    let found = Object::find(store, &Path::from_iter(parts), GetOptions::new()).await;
                    let object = found.map_err(classified)?;
                    check_length(object.length(), self.bytes_max)?;
                    return Ok(ImportSource::Reader(object.open()));
                }
            }
        }
        Err(missing())
    }
}

/// Opens the file `path` below `own`, wherever links lead: what is opened is below `own`.
fn open(own: &FilePath, path: &str, bytes_max: u64) -> Result<ImportSource> {
    let path = own.join(path);
    // Opening what is no file could wait for ever.
    fs::metadata(&path).ok().filter(fs::Metadata::is_file).ok_or_else(missing)?;
    let file = fs::File::open(&path).map_err(|_| missing())?;
    // Looked at after it was opened: a link that is changed meanwhile leads to another file than the one at hand.
    let real = fs::canonicalize(&path).map_err(|_| missing())?;
    let metadata = file.metadata().map_err(|_| missing())?;
    let is_own = fs::canonicalize(own).is_ok_and(|own| real.starts_with(own));
    if !is_own || !metadata.is_file() || !is_same(&metadata, &real) {
        return Err(missing());
    }
    check_length(metadata.len(), bytes_max)?;
    Ok(ImportSource::Reader(Box::new(file)))
}

#[cfg(unix)]
fn is_same(opened: &fs::Metadata, path: &FilePath) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (opened.dev(), opened.ino()))
}

#[cfg(not(unix))]
fn is_same(opened: &fs::Metadata, path: &FilePath) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() == opened.len())
}

fn check_length(length: u64, bytes_max: u64) -> Result<()> {
    if length <= bytes_max {
        return Ok(());
    }
    Err(Error::new(ErrorKind::LimitExceeded, "the object is too long for a batch")
        .with("bytes", length)
        .with("bytes_max", bytes_max)
        .with("hint", "send it in parts"))
}

fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "no such object in a folder of batches that is the tenant's")
}

fn classified(source: object_store::Error) -> Error {
    match source {
        object_store::Error::NotFound { .. } => missing(),
        other => Error::unavailable("an object cannot be read").with_source(other),
    }
}

#[cfg(test)]
mod tests;
