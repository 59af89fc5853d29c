//! The import of files as a function: an event about objects in, their events in the raw stream, a manifest of each.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_lambda_events::streams::KinesisEventResponse;
use fineo_backend_aws::{AwsOptions, folder};
use fineo_core::{Clock, Error, ErrorKind, Result, TenantId};
use fineo_ingest::{Edge, ImportFormat, ImportOptions, ImportReport, ImportSource, Limits, PipelineParts, Routing};
use object_store::ObjectStore;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{Inbox, Manifest, Upload, Verdict, uploads};

/// Opens buckets to read from.
#[async_trait]
pub trait Buckets: fmt::Debug + Send + Sync + 'static {
    /// The objects of `bucket`.
    ///
    /// # Errors
    ///
    /// When it cannot be a bucket, or nothing is configured to ask with.
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>>;
}

/// The buckets of S3.
#[derive(Debug)]
struct S3 {
    options: AwsOptions,
    open: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

#[async_trait]
impl Buckets for S3 {
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        let mut open = self.open.lock().await;
        if let Some(store) = open.get(bucket) {
            return Ok(Arc::clone(store));
        }
        let store = folder(&format!("s3://{bucket}"), self.options.clone()).await?;
        open.insert(bucket.to_owned(), Arc::clone(&store));
        Ok(store)
    }
}

/// Imports the objects that events tell of.
#[derive(Debug)]
pub struct ImportFunction {
    edge: Edge,
    inbox: Inbox,
    buckets: Arc<dyn Buckets>,
    manifests: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
}

impl ImportFunction {
    /// Imports what is in `inbox` of `buckets` into `parts`, and keeps manifests in `manifests`.
    pub fn new(
        parts: &PipelineParts,
        inbox: Inbox,
        buckets: Arc<dyn Buckets>,
        manifests: Arc<dyn ObjectStore>,
    ) -> Self {
        let limits = Limits::default().carried_by([&*parts.raw, &*parts.staged]);
        let (clock, entropy) = (Arc::clone(&parts.clock), Arc::clone(&parts.entropy));
        let edge = Edge::new(Arc::clone(&parts.raw), Arc::clone(&clock), entropy, limits, Arc::default());
        Self { edge, inbox, buckets, manifests, clock }
    }

    /// Imports from buckets of S3, with the region and the endpoints of `options`.
    pub fn from_s3(parts: &PipelineParts, inbox: Inbox, options: AwsOptions, manifests: Arc<dyn ObjectStore>) -> Self {
        Self::new(parts, inbox, Arc::new(S3 { options, open: Mutex::default() }), manifests)
    }

    /// Imports what `event` tells of, within `within`. To a queue it answers which messages must come again.
    ///
    /// # Errors
    ///
    /// `Invalid` when it is no event of S3, SNS or SQS. Where no queue sent it, the first failure: then the whole event must
    /// come again, which imports only what is not imported yet.
    pub async fn call(&self, event: Value, within: Duration) -> Result<Value> {
        let told = uploads(event)?;
        let begun = self.clock.now();
        // Queues want the same answer as streams.
        let mut response = KinesisEventResponse::default();
        let mut manifests = Vec::new();
        let mut failure = None;
        for notice in told.notices {
            let spent = u64::try_from(self.clock.now().micros() - begun.micros()).unwrap_or(0);
            let left = within.saturating_sub(Duration::from_micros(spent));
            match self.import_all(notice.uploads, left).await {
                Ok(done) => manifests.extend(done),
                Err(error) => {
                    tracing::error!(%error, message = notice.message, "a message must come again");
                    response.add_failure(notice.message.unwrap_or_default());
                    failure = failure.or(Some(error));
                }
            }
        }
        if told.is_of_queue {
            return serde_json::to_value(response).map_err(|source| Error::internal("no JSON").with_source(source));
        }
        match failure {
            Some(error) => Err(error),
            None => serde_json::to_value(manifests).map_err(|source| Error::internal("no JSON").with_source(source)),
        }
    }

    async fn import_all(&self, uploads: Result<Vec<Upload>>, within: Duration) -> Result<Vec<Manifest>> {
        let mut manifests = Vec::new();
        let work = async {
            for upload in uploads? {
                manifests.push(self.import(&upload).await?);
            }
            Ok(())
        };
        // A little before the time is up, to be able to say so.
        tokio::select! {
            biased;
            done = work => done?,
            () = self.clock.sleep(within / 16 * 15) => {
                let error = Error::unavailable("the time is up before the object is imported");
                return Err(error.with("hint", "give the function more time, or cut the object into smaller ones"));
            }
        }
        Ok(manifests)
    }

    /// Imports `upload`, unless that was done before; answers what became of it.
    ///
    /// # Errors
    ///
    /// A failure of ours: trying again is safe.
    pub async fn import(&self, upload: &Upload) -> Result<Manifest> {
        if let Some(done) = Manifest::read(&*self.manifests, upload).await? {
            tracing::info!(manifest = %done, "imported before");
            return Ok(done);
        }
        let began_at = self.clock.now();
        let options = match self.options(upload) {
            Ok(options) => options,
            Err(error) => {
                let refused = Manifest::new(upload, Verdict::Refused, began_at);
                return self.finish(upload, Manifest { message: Some(error.to_string()), ..refused }).await;
            }
        };
        let bucket = self.buckets.open(&upload.bucket).await?;
        let object = match upload.find(&bucket).await {
            Ok(object) => object,
            Err(error) => {
                let verdict = match error {
                    object_store::Error::NotFound { .. } => Verdict::Gone,
                    object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. } => {
                        Verdict::Replaced
                    }
                    source => {
                        return Err(Error::unavailable("an object could not be read")
                            .with("url", upload.url())
                            .with_source(source));
                    }
                };
                return self.finish(upload, Manifest::new(upload, verdict, began_at)).await;
            }
        };
        let mut report = ImportReport::default();
        let source = ImportSource::Reader(object.open());
        let imported = self.edge.import(source, options, |progress| report = progress.clone()).await;
        let mut manifest = Manifest::new(upload, Verdict::Imported, began_at);
        match imported {
            Ok(whole) => report = whole,
            Err(error) if error.kind() == ErrorKind::Invalid => {
                (manifest.verdict, manifest.message) = (Verdict::Refused, Some(error.to_string()));
            }
            Err(error) => return Err(error.with("url", upload.url())),
        }
        (manifest.accepted, manifest.bytes) = (report.accepted, report.bytes);
        manifest.rejected = report.rejected.into_iter().map(|(code, count)| (code.to_owned(), count)).collect();
        manifest.first_rejections = report.first_rejections;
        self.finish(upload, manifest).await
    }

    async fn finish(&self, upload: &Upload, mut manifest: Manifest) -> Result<Manifest> {
        manifest.ended_at = self.clock.now().to_string();
        manifest.write(&*self.manifests, upload).await?;
        tracing::info!(%manifest, message = manifest.message, "done");
        Ok(manifest)
    }

    /// Whose the events of `upload` are and how they are written.
    fn options(&self, upload: &Upload) -> Result<ImportOptions> {
        let inside = if self.inbox.folder.is_empty() {
            Some(upload.key.as_str())
        } else {
            upload.key.strip_prefix(&self.inbox.folder).and_then(|rest| rest.strip_prefix('/'))
        };
        let inside =
            inside.ok_or_else(|| Error::invalid("the object is not in the inbox").with("inbox", &self.inbox.folder))?;
        let routing = match (&self.inbox.routing, inside.split_once('/')) {
            (Some(routing), _) => routing.clone(),
            (None, Some((tenant, _))) => Routing::Tenant(TenantId::new(tenant)?),
            (None, None) => {
                let error = Error::invalid("no folder of the inbox says whose the object is");
                return Err(error.with("hint", "put it into INBOX/TENANT/, or set FINEO_TENANT"));
            }
        };
        let plain = inside.trim_end_matches(".gz").trim_end_matches(".zst").to_lowercase();
        let format = if plain.ends_with(".csv") { ImportFormat::Csv } else { ImportFormat::Json };
        let options = ImportOptions::new(routing).with_format(format).with_metric(self.inbox.metric.clone());
        Ok(options.with_origin(&upload.origin()))
    }
}
