//! An object store behind faults.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::Error;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart, path::Path,
};

use super::{Faults, Operation};

/// An [`ObjectStore`] behind faults; without a fault as transparent as glass. An injected error is a
/// [`fineo_core::Error`] in [`object_store::Error::Generic`]; it says of itself whether the call may have
/// had an effect.
#[derive(Debug)]
pub struct FaultyObjects {
    inner: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl FaultyObjects {
    /// `inner` behind `faults`.
    pub fn new(inner: Arc<dyn ObjectStore>, faults: &Faults) -> Self {
        Self { inner, faults: faults.clone() }
    }

    fn listing(&self, inner: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let ours = inner.map_err(|source| Error::unavailable("the object store failed").with_source(source)).boxed();
        self.faults.stream(Operation::ObjectList, ours).map_err(through).boxed()
    }
}

/// An error of ours as one of the object store.
pub(super) fn through(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: Box::new(error) }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for FaultyObjects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let (inner, location) = (Arc::clone(&self.inner), location.clone());
        let fault = self.faults.next(Operation::ObjectPut);
        let effect = async move { inner.put_opts(&location, payload, opts).await };
        self.faults.call((Operation::ObjectPut, fault), 1, effect).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(FaultyUpload { inner: Some(inner), faults: self.faults.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (inner, location) = (Arc::clone(&self.inner), location.clone());
        let fault = self.faults.next(Operation::ObjectGet);
        let effect = async move { inner.get_opts(&location, options).await };
        self.faults.call((Operation::ObjectGet, fault), 1, effect).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (inner, location, ranges) = (Arc::clone(&self.inner), location.clone(), ranges.to_vec());
        let fault = self.faults.next(Operation::ObjectGet);
        let effect = async move { inner.get_ranges(&location, &ranges).await };
        self.faults.call((Operation::ObjectGet, fault), 1, effect).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, faults) = (Arc::clone(&self.inner), self.faults.clone());
        let delete = move |location: Result<Path>| {
            let (inner, faults) = (Arc::clone(&inner), faults.clone());
            async move {
                let location = location?;
                let fault = faults.next(Operation::ObjectDelete);
                let effect = async move {
                    let one = futures::stream::once(async move { Ok(location) }).boxed();
                    let deleted: Vec<Path> = inner.delete_stream(one).try_collect().await?;
                    let nothing = || through(Error::internal("a deletion has no answer"));
                    deleted.into_iter().next().ok_or_else(nothing)
                };
                faults.call((Operation::ObjectDelete, fault), 1, effect).await
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (inner, prefix) = (Arc::clone(&self.inner), prefix.cloned());
        let fault = self.faults.next(Operation::ObjectList);
        let effect = async move { inner.list_with_delimiter(prefix.as_ref()).await };
        self.faults.call((Operation::ObjectList, fault), 1, effect).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (inner, from, to) = (Arc::clone(&self.inner), from.clone(), to.clone());
        let fault = self.faults.next(Operation::ObjectPut);
        let effect = async move { inner.copy_opts(&from, &to, options).await };
        self.faults.call((Operation::ObjectPut, fault), 1, effect).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let (inner, from, to) = (Arc::clone(&self.inner), from.clone(), to.clone());
        let fault = self.faults.next(Operation::ObjectPut);
        let effect = async move { inner.rename_opts(&from, &to, options).await };
        self.faults.call((Operation::ObjectPut, fault), 1, effect).await
    }
}

impl fmt::Display for FaultyObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

/// An upload whose completion is one put.
#[derive(Debug)]
struct FaultyUpload {
    inner: Option<Box<dyn MultipartUpload>>,
    faults: Faults,
}

fn over() -> object_store::Error {
    through(Error::invalid("the upload is over"))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match &mut self.inner {
            Some(inner) => inner.put_part(data),
            None => Box::pin(async { Err(over()) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let mut inner = self.inner.take().ok_or_else(over)?;
        let fault = self.faults.next(Operation::ObjectPut);
        let effect = async move { inner.complete().await };
        self.faults.call((Operation::ObjectPut, fault), 1, effect).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.take().ok_or_else(over)?.abort().await
    }
}
