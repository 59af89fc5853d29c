//! Says what a failure of the disk or of redb means to the caller.

use std::{io, path::Path};

use fineo_core::{Error, ErrorKind};

use crate::disk::is_out_of_descriptors;

/// What a system says of a sector that cannot be read, today and tomorrow.
const EIO: i32 = 5;

/// The disk refused `deed`.
pub(crate) fn disk_error(deed: &'static str, path: &Path, source: io::Error) -> Error {
    let (kind, message) = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (ErrorKind::StorageFull, "no space left"),
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "no such file"),
        io::ErrorKind::UnexpectedEof => (ErrorKind::Corrupt, "file is shorter than it was"),
        _ if deed == "read" && source.raw_os_error() == Some(EIO) => (ErrorKind::Corrupt, "the disk cannot read it"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Unavailable, "the system does not let us read and write it"),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Unavailable, "the file system is read-only"),
        io::ErrorKind::IsADirectory => (ErrorKind::Unavailable, "a directory is in the place of a file"),
        io::ErrorKind::NotADirectory => (ErrorKind::Unavailable, "a file is in the place of a directory"),
        _ if is_out_of_descriptors(&source) => (ErrorKind::Unavailable, "too many files are open"),
        _ => (ErrorKind::Unavailable, "the disk failed"),
    };
    let lasting = lasting_hint(&source);
    let error = Error::new(kind, message).with("deed", deed).with("path", path.display()).with_source(source);
    match lasting {
        Some(hint) => error.with("hint", hint),
        None => error,
    }
}

/// What ends a failure that stays until somebody does something about it.
fn lasting_hint(source: &io::Error) -> Option<&'static str> {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Some("let the user that fineo runs as read and write it, then try again"),
        io::ErrorKind::ReadOnlyFilesystem => Some("let it be written, then try again"),
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Some("move away what is there, then try again"),
        _ if is_out_of_descriptors(source) => Some("let the process have more open files (ulimit -n), then try again"),
        _ => None,
    }
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
        redb::Error::Io(cause) if cause.kind() == io::ErrorKind::InvalidData => {
            (ErrorKind::Corrupt, "the repository's file is not one")
        }
        redb::Error::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            (ErrorKind::Corrupt, "the repository's file is shorter than it was")
        }
        redb::Error::UpgradeRequired(_) => (ErrorKind::Unsupported, "the repository has another format"),
        _ => (ErrorKind::Unavailable, "the repository failed"),
    };
    Error::new(kind, message).with_source(source)
}

/// Bytes in `path` are not what was written.
pub(crate) fn corrupt(path: &Path, message: &'static str) -> Error {
    Error::corrupt(message).with("path", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_with_the_file_and_what_ends_it() {
        for (source, remedy) in [
            (io::ErrorKind::PermissionDenied.into(), "let the user that fineo runs as"),
            (io::ErrorKind::ReadOnlyFilesystem.into(), "let it be written"),
            (io::ErrorKind::IsADirectory.into(), "move away"),
            (io::Error::from_raw_os_error(24), "let the process have more open files"),
        ] {
            let error = disk_error("open", Path::new("data/lock"), source);
            // Stages try again: once it is ended, they go on.
            assert!(error.is_retryable());
            assert!(error.to_string().contains(&format!("path=data/lock, hint={remedy}")), "{error}");
        }
        let passing = disk_error("open", Path::new("data/lock"), io::ErrorKind::Interrupted.into());
        assert_eq!(passing.to_string(), "the disk failed: deed=open, path=data/lock");
    }
}
