//! An instance's place on AWS: connects, makes what is missing, gives the parts.

use std::{fmt, sync::Arc};

use fineo_core::{Error, Result, Stores};

use crate::{
    AwsOptions, Bucket, Diagnosis, DynamoNearline, DynamoRepo, FirehoseArchive, KinesisStream, S3Archive, bootstrap,
    connect::{self, Clients},
    doctor,
    dynamo::Table,
    firehose,
};

/// Something that an instance needs on AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The stream of this name, without the prefix.
    Stream(String),
    /// The table of the repository.
    Repo,
    /// The table of the nearline store.
    Rows,
    /// The bucket.
    Bucket,
}

impl Resource {
    /// Everything that an instance needs.
    pub fn all() -> Vec<Self> {
        vec![Self::Repo, Self::Rows, Self::Bucket, Self::Stream("raw".to_owned()), Self::Stream("staged".to_owned())]
    }
}

/// An instance's place on AWS. Cloning is cheap; clones give parts that share what is stored.
#[derive(Clone)]
pub struct Aws {
    pub(crate) clients: Clients,
    pub(crate) options: AwsOptions,
    pub(crate) bucket: Bucket,
}

impl Aws {
    /// Connects without asking AWS for anything.
    ///
    /// # Errors
    ///
    /// `Invalid` when a name cannot be, or no region is configured.
    pub async fn connect(options: AwsOptions) -> Result<Self> {
        options.check()?;
        let clients = connect::connect(&options).await?;
        let bucket = Bucket::new(&clients, &options)?;
        Ok(Self { clients, options, bucket })
    }

    /// Connects, makes what is missing unless the options forbid it, and tries out whether the bucket keeps its word
    /// about conditional writes, and whether a table that is not AWS's own does.
    ///
    /// # Errors
    ///
    /// `NotFound` when something is missing and may not be created, `Unsupported` when the store of objects or the table
    /// cannot be trusted, `Invalid` when the delivery stream of the archive is not what it has to be, or a failure of a service.
    pub async fn open(options: AwsOptions) -> Result<Self> {
        let aws = Self::connect(options).await?;
        let resources = Resource::all();
        if aws.options.creates_missing {
            aws.bootstrap(&resources).await?;
        } else {
            for resource in &resources {
                bootstrap::check(&aws, resource).await?;
            }
        }
        aws.bucket.try_out().await?;
        if let Some(name) = &aws.options.archive_delivery {
            firehose::check(&aws, name).await?;
        }
        if aws.clients.is_emulated {
            aws.repo().try_out(aws.options.clock.now()).await?;
            aws.nearline().try_out().await?;
        }
        Ok(aws)
    }

    /// Makes those of `resources` that are missing, and waits until they can be used.
    ///
    /// # Errors
    ///
    /// A failure of a service, with what it concerned.
    pub async fn bootstrap(&self, resources: &[Resource]) -> Result<()> {
        for resource in resources {
            bootstrap::create(self, resource).await?;
        }
        Ok(())
    }

    /// Looks at everything that could keep the instance from working, and says what to fix.
    pub async fn doctor(&self) -> Diagnosis {
        doctor::diagnose(self).await
    }

    /// The stores of an instance.
    pub fn stores(&self) -> Stores {
        Stores {
            raw: self.stream("raw"),
            staged: self.stream("staged"),
            archive: match self.delivered_archive() {
                Some(archive) => archive,
                None => self.archive(),
            },
            nearline: self.nearline(),
            repo: self.repo(),
        }
    }

    /// The stream of this name, without the prefix.
    pub fn stream(&self, name: &str) -> Arc<KinesisStream> {
        Arc::new(KinesisStream::new(self.stream_name(name), self.clients.clone(), self.options.clone()))
    }

    /// The archive in the bucket.
    pub fn archive(&self) -> Arc<S3Archive> {
        Arc::new(S3Archive::new(self.bucket.clone(), self.options.clone()))
    }

    /// The archive in the bucket, written by the delivery stream that the options name; none when they name none.
    pub fn delivered_archive(&self) -> Option<Arc<FirehoseArchive>> {
        let name = self.options.archive_delivery.clone()?;
        let (clients, options) = (self.clients.clone(), self.options.clone());
        Some(Arc::new(FirehoseArchive::new(name, self.archive(), &self.bucket, clients, options)))
    }

    /// The nearline store.
    pub fn nearline(&self) -> Arc<DynamoNearline> {
        Arc::new(DynamoNearline::new(self.table("rows"), &self.options))
    }

    /// The repository of schemas, checkpoints and leases.
    pub fn repo(&self) -> Arc<DynamoRepo> {
        Arc::new(DynamoRepo::new(self.table("repo")))
    }

    /// The bucket, which also holds columnar tables.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// How it was opened.
    pub fn options(&self) -> &AwsOptions {
        &self.options
    }

    pub(crate) fn stream_name(&self, name: &str) -> String {
        format!("{}-{name}", self.options.prefix)
    }

    pub(crate) fn table(&self, name: &str) -> Table {
        Table {
            client: self.clients.dynamodb.clone(),
            once: self.clients.dynamodb_once.clone(),
            name: format!("{}-{name}", self.options.prefix),
            clock: Arc::clone(&self.options.clock),
            entropy: Arc::clone(&self.options.entropy),
        }
    }

    /// Deletes the streams, tables and objects of the instance: for tests and examples.
    ///
    /// # Errors
    ///
    /// A failure of a service; what is left can be deleted again.
    pub async fn delete_everything(&self) -> Result<()> {
        for resource in Resource::all() {
            match bootstrap::delete(self, &resource).await {
                Err(error) if error.kind() != fineo_core::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Splits a shard of a stream in the middle and waits until its children take entries.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such shard, `Invalid` when it is too small, or a failure of the service.
    pub async fn split_shard(&self, stream: &str, shard: &fineo_core::ShardId) -> Result<()> {
        bootstrap::split(self, &self.stream_name(stream), shard).await
    }

    /// Merges two shards of a stream that stand side by side and waits until their child takes entries.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such shard, or a failure of the service.
    pub async fn merge_shards(&self, stream: &str, shards: [&fineo_core::ShardId; 2]) -> Result<()> {
        bootstrap::merge(self, &self.stream_name(stream), shards).await
    }
}

impl Aws {
    /// What `error` says is missing and may not be created.
    pub(crate) fn missing(&self, error: Error) -> Error {
        error
            .with("region", &self.clients.region)
            .with("hint", "`fineo bootstrap` with the same prefix, bucket and region makes what is missing")
    }
}

impl fmt::Display for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AWS {} {}", self.clients.region, self.options.prefix)
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("options", &self.options).finish_non_exhaustive()
    }
}
