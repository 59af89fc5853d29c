//! Says what a failure of the disk or of redb means to the caller.

use std::{io, path::Path};

use fineo_core::{Error, ErrorKind};

/// What a system says of a sector that cannot be read, today and tomorrow.
const EIO: i32 = 5;

/// The disk refused `deed`.
pub(crate) fn disk_error(deed: &'static str, path: &Path, source: io::Error) -> Error {
    let (kind, message) = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (ErrorKind::StorageFull, "no space left"),
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "no such file"),
        io::ErrorKind::UnexpectedEof => (ErrorKind::Corrupt, "file is shorter than it was"),
        _ if deed == "read" && source.raw_os_error() == Some(EIO) => (ErrorKind::Corrupt, "the disk cannot read it"),
        _ => (ErrorKind::Unavailable, "the disk failed"),
    };
    Error::new(kind, message).with("deed", deed).with("path", path.display()).with_source(source)
}

/// The directory `path` that somebody named cannot be made.
pub(crate) fn directory_error(path: &Path, source: io::Error) -> Error {
    let message = match source.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => "not a directory",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "the system does not let us write there",
        _ => return disk_error("create directory", path, source),
    };
    Error::invalid(message).with("path", path.display()).with_source(source)
}

/// Whether the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// redb failed.
pub(crate) fn database_error(source: impl Into<redb::Error>) -> Error {
    let source = source.into();
    let (kind, message) = match &source {
        redb::Error::Io(cause) if is_full(cause) => (ErrorKind::StorageFull, "no space left for the repository"),
        redb::Error::Corrupted(_) => (ErrorKind::Corrupt, "the repository is damaged"),
        redb::Error::UpgradeRequired(_) => (ErrorKind::Unsupported, "the repository has another format"),
        _ => (ErrorKind::Unavailable, "the repository failed"),
    };
    Error::new(kind, message).with_source(source)
}

/// Bytes in `path` are not what was written.
pub(crate) fn corrupt(path: &Path, message: &'static str) -> Error {
    Error::corrupt(message).with("path", path.display())
}
