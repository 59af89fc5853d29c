//! What the suite asks of a backend under test: fresh places, second handles, restarts.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use fineo_core::{Archive, NearlineStore, Result, SchemaRepo, ShardId, Stream, Timestamp, archive::SegmentName};

use crate::fault::{ColdArchive, Faults, FaultyArchive, FaultyNearline, FaultyRepo, FaultyStream, Freezer};

/// A backend under test: makes fresh places to store things in.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// What it is called in reports, one short word.
    fn name(&self) -> String;

    /// A new and empty place. Every case runs in one of its own.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being made; the case fails with it.
    async fn fresh(&self) -> Result<Box<dyn Place>>;
}

/// How [`Place::restart`] ends the old process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// It is closed in order: nothing is lost.
    Clean,
    /// It loses power: what was not synced may be lost.
    Crash,
}

/// One place that a backend stores things in.
///
/// Each call of [`stream`](Self::stream) and its siblings answers a further handle on the same data. A
/// backend that lacks a contract answers [`ErrorKind::Unsupported`](fineo_core::ErrorKind::Unsupported) there,
/// and the cases of that contract are ignored.
#[async_trait]
pub trait Place: Send + Sync + 'static {
    /// A handle on the place's one stream, preferably of several shards.
    async fn stream(&self) -> Result<Arc<dyn Stream>>;

    /// A handle on the place's one archive.
    async fn archive(&self) -> Result<Arc<dyn Archive>>;

    /// A handle on the place's one nearline store.
    async fn nearline(&self) -> Result<Arc<dyn NearlineStore>>;

    /// A handle on the place's one repository.
    async fn repo(&self) -> Result<Arc<dyn SchemaRepo>>;

    /// Lets go of everything that is open here and opens it anew; the caller has dropped his handles.
    /// Answers whether the backend can be restarted in this way.
    async fn restart(&mut self, restart: Restart) -> Result<bool>;

    /// Closes `shard` of the stream and gives its keys to children. Answers whether the backend can.
    async fn split_shard(&self, shard: &ShardId) -> Result<bool>;

    /// Moves the archive's segment `name` to a class that has to be restored before it is read. Answers whether there is one.
    async fn freeze(&self, name: &SegmentName) -> Result<bool> {
        let _ = name;
        Ok(false)
    }
}

/// A backend behind the fault wrappers without a fault: they must be transparent, so it must pass what the
/// backend passes. Its archive has a cold class, whatever the backend's has.
#[derive(Debug)]
pub struct Wrapped<B>(pub B);

struct WrappedPlace(Box<dyn Place>, Freezer);

#[async_trait]
impl<B: Backend> Backend for Wrapped<B> {
    fn name(&self) -> String {
        format!("{}-wrapped", self.0.name())
    }

    async fn fresh(&self) -> Result<Box<dyn Place>> {
        Ok(Box::new(WrappedPlace(self.0.fresh().await?, Freezer::new(3))))
    }
}

#[async_trait]
impl Place for WrappedPlace {
    async fn stream(&self) -> Result<Arc<dyn Stream>> {
        Ok(Arc::new(FaultyStream::new(self.0.stream().await?, &Faults::none())))
    }

    async fn archive(&self) -> Result<Arc<dyn Archive>> {
        let cold = ColdArchive::new(self.0.archive().await?, &self.1);
        Ok(Arc::new(FaultyArchive::new(Arc::new(cold), &Faults::none())))
    }

    async fn nearline(&self) -> Result<Arc<dyn NearlineStore>> {
        Ok(Arc::new(FaultyNearline::new(self.0.nearline().await?, &Faults::none())))
    }

    async fn repo(&self) -> Result<Arc<dyn SchemaRepo>> {
        Ok(Arc::new(FaultyRepo::new(self.0.repo().await?, &Faults::none())))
    }

    async fn restart(&mut self, restart: Restart) -> Result<bool> {
        self.0.restart(restart).await
    }

    async fn split_shard(&self, shard: &ShardId) -> Result<bool> {
        self.0.split_shard(shard).await
    }

    async fn freeze(&self, name: &SegmentName) -> Result<bool> {
        self.1.freeze(name, Timestamp::default());
        Ok(true)
    }
}
