//! The folder of a backup: files that are written once, and the list that tells whether they are whole.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind as Kind, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::{FORMAT, Head};

/// The file that is written last.
const LIST: &str = "backup.json";

#[derive(Debug, Serialize, Deserialize)]
struct List {
    head: Head,
    files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Listed {
    /// Where it is, relative to the folder.
    pub(super) path: String,
    bytes: u64,
    blake3: String,
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> Error {
    let (kind, hint) = match source.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => (ErrorKind::StorageFull, None),
        Kind::PermissionDenied => {
            (ErrorKind::Invalid, Some("let the user that fineo runs as read and write there, or name another folder"))
        }
        // Whoever named it can name another; waiting does not help.
        Kind::ReadOnlyFilesystem | Kind::NotFound | Kind::NotADirectory | Kind::AlreadyExists | Kind::InvalidInput => {
            (ErrorKind::Invalid, Some("name another folder"))
        }
        _ => (ErrorKind::Unavailable, None),
    };
    let error = Error::new(kind, format!("the folder of a backup cannot be {what}")).with("path", path.display());
    let error = match hint {
        Some(hint) => error.with("hint", hint),
        None => error,
    };
    error.with_source(source)
}

/// Fails unless `folder` is new or empty.
pub(super) fn check_empty(folder: &Path) -> Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        Err(source) => return Err(failed("read", folder, source)),
    };
    if entries.next().is_none() {
        return Ok(());
    }
    let error = Error::new(ErrorKind::AlreadyExists, "the folder is not empty: name a new one");
    Err(error.with("path", folder.display()))
}

/// Makes `folder`. The names of folders that are new are on disk with those that they stand in.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(folder)?;
    let new: Vec<&Path> = absolute.ancestors().take_while(|folder| !folder.is_dir()).collect();
    fs::create_dir_all(folder)?;
    new.into_iter().filter_map(Path::parent).try_for_each(sync)
}

/// Has the names in `folder` on disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a backup.
#[derive(Debug)]
pub(super) struct FolderWriter {
    folder: PathBuf,
    files: Vec<Listed>,
    /// The folders in it that files were written to, with those that they stand in.
    folders: BTreeSet<PathBuf>,
}

impl FolderWriter {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        check_empty(folder)?;
        make(folder).map_err(|source| failed("made", folder, source))?;
        Ok(Self { folder: folder.to_owned(), files: Vec::new(), folders: BTreeSet::new() })
    }

    pub(super) fn write(&mut self, relative: &str, bytes: Bytes) -> Result<()> {
        let path = self.folder.join(relative);
        let within = path.ancestors().skip(1).take_while(|folder| *folder != self.folder);
        self.folders.extend(within.map(Path::to_owned));
        put(&path, &bytes)?;
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        self.files.push(Listed { path: relative.to_owned(), bytes: bytes.len() as u64, blake3 });
        Ok(())
    }

    /// Takes back what was written to `paths`.
    pub(super) fn take_back(&mut self, paths: &BTreeSet<&String>) -> Result<()> {
        for path in paths {
            let path = self.folder.join(path);
            fs::remove_file(&path).map_err(|source| failed("written", &path, source))?;
        }
        self.files.retain(|file| !paths.contains(&file.path));
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Writes the list, once all that it names is on disk: from now on it is a backup, and stays one.
    pub(super) fn finish(self, head: &Head) -> Result<()> {
        let list = List { head: head.clone(), files: self.files };
        let json = serde_json::to_vec_pretty(&list);
        let json = json.map_err(|source| Error::internal("a backup's list cannot be written").with_source(source))?;
        let is_on_disk = |folder: &Path| sync(folder).map_err(|source| failed("written", folder, source));
        self.folders.iter().try_for_each(|folder| is_on_disk(folder))?;
        is_on_disk(&self.folder)?;
        put(&self.folder.join(LIST), &json)?;
        is_on_disk(&self.folder)
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| failed("written", path, source))
}

/// Reads a backup.
#[derive(Debug)]
pub(super) struct FolderReader {
    folder: PathBuf,
    pub(super) head: Head,
    files: Vec<Listed>,
}

impl FolderReader {
    /// Opens the backup in `folder`, every file of which is compared with its checksum.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(LIST);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            Kind::NotFound => Error::not_found("no backup in this folder, or one that was not finished")
                .with("path", folder.display())
                .with_source(source),
            _ => failed("read", &path, source),
        })?;
        let list: List = serde_json::from_slice(&bytes).map_err(|source| {
            Error::corrupt("the list of a backup is damaged").with("path", path.display()).with_source(source)
        })?;
        if list.head.format != FORMAT {
            let error =
                Error::new(ErrorKind::Unsupported, "the backup has a format of another Fineo: use that version");
            return Err(error.with("format", list.head.format));
        }
        let reader = Self { folder: folder.to_owned(), head: list.head, files: list.files };
        for file in &reader.files {
            reader.read(file)?;
        }
        Ok(reader)
    }

    /// The files below `prefix`, with the rest of their paths.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Listed)> {
        self.files.iter().filter_map(move |file| Some((file.path.strip_prefix(prefix)?, file)))
    }

    /// The bytes of a file, compared with its checksum.
    pub(super) fn read(&self, file: &Listed) -> Result<Bytes> {
        let is_inside =
            !file.path.starts_with('/') && !file.path.split('/').any(|part| part == ".." || part.is_empty());
        let damaged = |message: &'static str| Error::corrupt(message).with("path", &file.path);
        if !is_inside {
            return Err(damaged("the list of a backup names a file outside of it"));
        }
        let path = self.folder.join(&file.path);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            Kind::NotFound => damaged("a file of the backup is missing").with_source(source),
            _ => failed("read", &path, source),
        })?;
        if bytes.len() as u64 != file.bytes || *blake3::hash(&bytes).to_hex() != *file.blake3 {
            return Err(damaged("a file of the backup is damaged"));
        }
        Ok(bytes.into())
    }
}
