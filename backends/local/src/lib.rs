//! The embedded backend: one directory, durable, fast, one process.
//!
//! [`LocalDirectory::open`] takes the directory for this process and hands out the four parts of a pipeline:
//! streams (segment logs with group commit), an archive (create-only files with checksums), a nearline store
//! (memtables over immutable columnar segments) and a schema repository (redb); beside them an object store for
//! columnar files.
//!
//! ```
//! use fineo_backend_local::{LocalDirectory, LocalOptions};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let options = LocalOptions::default().with_ballast_bytes(0);
//! let directory = LocalDirectory::open(path, options)?;
//! let raw = directory.stream("raw", 1)?;
//! assert!(raw.sync().await.is_done());
//! assert!(LocalDirectory::open(path, LocalOptions::default()).is_err(), "it is in use");
//! directory.close().await?;
//! # Ok::<(), fineo_core::Error>(())
//! # }).unwrap();
//! ```

#[cfg(not(target_endian = "little"))]
compile_error!("the files of this backend are read in place, as little-endian numbers");

mod archive;
mod ballast;
mod blocks;
mod directory;
mod disk;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod log;
mod nearline;
mod objects;
mod options;
mod repo;
mod root;

#[cfg(test)]
mod tests;

pub use directory::LocalDirectory;
pub use options::LocalOptions;
