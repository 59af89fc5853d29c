//! The local directory keeps the contracts, with small files and memtables so that little data meets every path.

use std::{process::ExitCode, sync::Arc, time::Duration};

use async_trait::async_trait;
use fineo_backend_local::{LocalDirectory, LocalOptions};
use fineo_conformance::{Backend, Place, Restart, Wrapped};
use fineo_core::{Archive, Clock, Error, NearlineStore, Result, SchemaRepo, ShardId, Stream, SystemClock};
use tempfile::TempDir;

struct Local {
    name: &'static str,
    options: LocalOptions,
}

struct LocalPlace {
    folder: TempDir,
    options: LocalOptions,
    directory: Option<LocalDirectory>,
}

#[async_trait]
impl Backend for Local {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn fresh(&self) -> Result<Box<dyn Place>> {
        let folder = tempfile::tempdir().map_err(|source| Error::unavailable("no folder").with_source(source))?;
        let directory = Some(LocalDirectory::open(folder.path(), self.options.clone())?);
        Ok(Box::new(LocalPlace { folder, options: self.options.clone(), directory }))
    }
}

impl LocalPlace {
    fn directory(&self) -> Result<&LocalDirectory> {
        self.directory.as_ref().ok_or_else(|| Error::internal("the place is not open"))
    }
}

#[async_trait]
impl Place for LocalPlace {
    async fn stream(&self) -> Result<Arc<dyn Stream>> {
        self.directory()?.stream("conformance", 3)
    }

    async fn archive(&self) -> Result<Arc<dyn Archive>> {
        Ok(self.directory()?.archive())
    }

    async fn nearline(&self) -> Result<Arc<dyn NearlineStore>> {
        Ok(self.directory()?.nearline())
    }

    async fn repo(&self) -> Result<Arc<dyn SchemaRepo>> {
        Ok(self.directory()?.repo())
    }

    async fn restart(&mut self, restart: Restart) -> Result<bool> {
        if let Some(directory) = self.directory.take() {
            match restart {
                Restart::Clean => directory.close().await?,
                Restart::Crash => drop(directory),
            }
        }
        // Reads that were cut off may hold the directory for a moment yet.
        for _ in 0..500 {
            if let Ok(directory) = LocalDirectory::open(self.folder.path(), self.options.clone()) {
                self.directory = Some(directory);
                return Ok(true);
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
        self.directory = Some(LocalDirectory::open(self.folder.path(), self.options.clone())?);
        Ok(true)
    }

    async fn split_shard(&self, _shard: &ShardId) -> Result<bool> {
        Ok(false)
    }
}

fn main() -> ExitCode {
    let usual = LocalOptions::default().with_ballast_bytes(1 << 16);
    let small = usual
        .clone()
        .with_fsync(false)
        .with_log_segment_bytes(8 << 10)
        .with_log_cache_bytes(4 << 10)
        .with_memtable_bytes(32 << 10)
        .with_journal_bytes(16 << 10)
        .with_cache_bytes(64 << 10);
    let wrapped = Wrapped(Local { name: "local", options: usual.clone() });
    let usual = Local { name: "local", options: usual };
    let small = Local { name: "local-small", options: small };
    fineo_conformance::main(std::env::args(), vec![Box::new(usual), Box::new(wrapped), Box::new(small)])
}
