//! Says what a failure of the object store, of Delta or of Parquet means to the caller.

use std::error::Error as StdError;

use deltalake_core::DeltaTableError;
use fineo_core::{Error, ErrorKind};
use object_store::path::Path;
use parquet::errors::ParquetError;

/// What to do about a file of which bytes are lost.
pub(crate) const REPAIR: &str =
    "restore it from a copy, or make the table anew from the archive by `fineo replay --stage staged --fresh`";

/// The first error of the chain that is a `T`.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An error behind an `Arc` or a `Box` shows itself only through what it derefs to.
        next = error.source();
    }
    None
}

/// Reading the object at `path` failed. What is missing was promised to be there.
pub(crate) fn read(path: &Path, source: object_store::Error) -> Error {
    if let Some(error) = find::<Error>(&source) {
        return error.clone();
    }
    let error = match &source {
        object_store::Error::NotFound { .. } => Error::corrupt(format!("a file of a table is missing: {REPAIR}")),
        other => unreachable_store(other),
    };
    error.with("path", path).with_source(source)
}

fn unreachable_store(error: &object_store::Error) -> Error {
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Error::invalid("the object store refuses the credentials")
        }
        _ => Error::unavailable("the object store failed"),
    }
}

/// Writing or deleting the object at `path` failed; unless the store knows better, it may have happened.
pub(crate) fn write(path: &Path, source: object_store::Error) -> Error {
    if let Some(error) = find::<Error>(&source) {
        return error.clone();
    }
    let error = match &source {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Error::invalid("the object store refuses the credentials")
        }
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            Error::new(ErrorKind::Unsupported, "the object store cannot create atomically")
        }
        _ => Error::unavailable("the object store failed").and_may_have_applied(),
    };
    error.with("path", path).with_source(source)
}

/// Replaying the log at `path` failed.
pub(crate) fn log(path: &Path, source: DeltaTableError) -> Error {
    if let Some(error) = find::<Error>(&source) {
        return error.clone();
    }
    let store = find::<object_store::Error>(&source);
    let error = match store {
        Some(error) if !matches!(error, object_store::Error::NotFound { .. }) => unreachable_store(error),
        Some(_) | None => {
            let detail: String = source.to_string().chars().take(300).collect();
            let message = "the Delta log of a table is damaged: restore the folder _delta_log from a copy";
            Error::corrupt(message).with("detail", detail)
        }
    };
    error.with("path", path).with_source(source)
}

/// Reading the footer of the file at `path` failed.
pub(crate) fn footer(path: &Path, source: ParquetError) -> Error {
    match find::<Error>(&source) {
        Some(error) => error.clone(),
        None => Error::corrupt(format!("a file is no Parquet file, or damaged: {REPAIR}"))
            .with("path", path)
            .with_source(source),
    }
}
