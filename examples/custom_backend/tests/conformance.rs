//! The conformance suite on the custom archive. What a backend lacks is reported as ignored.

use std::{process::ExitCode, sync::Arc};

use async_trait::async_trait;
use custom_backend::FolderArchive;
use fineo_conformance::{Backend, Place, Restart};
use fineo_core::{Archive, Error, ErrorKind, NearlineStore, Result, SchemaRepo, ShardId, Stream};
use tempfile::TempDir;

struct Folder;

struct FolderPlace(TempDir);

fn unsupported<T>(contract: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "this backend is an archive only").with("contract", contract))
}

#[async_trait]
impl Backend for Folder {
    fn name(&self) -> String {
        "folder".to_owned()
    }

    async fn fresh(&self) -> Result<Box<dyn Place>> {
        let folder = TempDir::new().map_err(|source| Error::unavailable("no folder to test in").with_source(source))?;
        Ok(Box::new(FolderPlace(folder)))
    }
}

#[async_trait]
impl Place for FolderPlace {
    async fn stream(&self) -> Result<Arc<dyn Stream>> {
        unsupported("stream")
    }

    async fn archive(&self) -> Result<Arc<dyn Archive>> {
        Ok(Arc::new(FolderArchive::new(self.0.path())?))
    }

    async fn nearline(&self) -> Result<Arc<dyn NearlineStore>> {
        unsupported("nearline")
    }

    async fn repo(&self) -> Result<Arc<dyn SchemaRepo>> {
        unsupported("repo")
    }

    async fn restart(&mut self, restart: Restart) -> Result<bool> {
        // Nothing is held open; a loss of power cannot be shown here.
        Ok(restart == Restart::Clean)
    }

    async fn split_shard(&self, _shard: &ShardId) -> Result<bool> {
        Ok(false)
    }
}

fn main() -> ExitCode {
    fineo_conformance::main(std::env::args(), vec![Box::new(Folder)])
}
