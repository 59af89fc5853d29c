//! The backend in memory keeps the contracts, plain and behind fault wrappers without a fault.

use std::{process::ExitCode, sync::Arc};

use async_trait::async_trait;
use fineo_backend_memory::{MemoryArchive, MemoryNearline, MemoryRepo, MemoryStream};
use fineo_conformance::{Backend, Place, Restart, Wrapped};
use fineo_core::{Archive, NearlineStore, Result, SchemaRepo, ShardId, Stream};

struct Memory;

struct MemoryPlace {
    stream: MemoryStream,
    archive: MemoryArchive,
    nearline: MemoryNearline,
    repo: MemoryRepo,
}

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn fresh(&self) -> Result<Box<dyn Place>> {
        Ok(Box::new(MemoryPlace {
            stream: MemoryStream::new("conformance", 3),
            archive: MemoryArchive::new(),
            nearline: MemoryNearline::new(),
            repo: MemoryRepo::new(),
        }))
    }
}

#[async_trait]
impl Place for MemoryPlace {
    async fn stream(&self) -> Result<Arc<dyn Stream>> {
        Ok(Arc::new(self.stream.clone()))
    }

    async fn archive(&self) -> Result<Arc<dyn Archive>> {
        Ok(Arc::new(self.archive.clone()))
    }

    async fn nearline(&self) -> Result<Arc<dyn NearlineStore>> {
        Ok(Arc::new(self.nearline.clone()))
    }

    async fn repo(&self) -> Result<Arc<dyn SchemaRepo>> {
        Ok(Arc::new(self.repo.clone()))
    }

    async fn restart(&mut self, restart: Restart) -> Result<bool> {
        match restart {
            Restart::Clean => {}
            Restart::Crash => {
                self.stream.crash();
                self.nearline.crash();
            }
        }
        Ok(true)
    }

    async fn split_shard(&self, shard: &ShardId) -> Result<bool> {
        self.stream.split_shard(shard).map(|_| true)
    }
}

fn main() -> ExitCode {
    fineo_conformance::main(std::env::args(), vec![Box::new(Memory), Box::new(Wrapped(Memory))])
}
