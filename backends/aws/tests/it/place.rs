//! Places of their own on the emulators: a prefix by chance, and what a case asks for made when it asks.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fineo_aws_faults::{Cold, FaultProxy, Plan};
use fineo_backend_aws::{Aws, AwsOptions, Endpoints, Resource};
use fineo_conformance::{Backend, Place, Restart};
use fineo_core::{
    Archive, Entropy, Error, ErrorKind, NearlineStore, Result, SchemaRepo, ShardId, Stream, SystemEntropy,
    archive::SegmentName,
};
use tokio::sync::OnceCell;

use crate::patient::Patient;

/// A contract that an emulator can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Stream,
    Archive,
    Nearline,
    Repo,
}

/// One emulator.
pub(crate) struct Emulated {
    pub(crate) name: &'static str,
    pub(crate) parts: &'static [Part],
    /// The variable that has its endpoint.
    pub(crate) variable: &'static str,
    /// Whether streams push to a consumer.
    pub(crate) fan_out: bool,
}

/// Whether the emulator that a trial's name begins with speaks the contract that stands next.
pub(crate) fn is_asked(trial: &str) -> bool {
    // Where order must survive failures, entries of different keys overtake each other, which the model of a stream
    // does not allow.
    if trial.starts_with("aws-kinesalite-faulty stream 0") {
        return false;
    }
    [
        "aws-dynoxide repo",
        "aws-dynoxide nearline",
        "aws-ministack archive",
        "aws-firehose archive",
        "aws-kinesalite stream",
        "aws-kinesis-local stream",
        "aws-kinesis-local-fan-out stream",
        "aws-dynoxide-faulty repo",
        "aws-dynoxide-faulty nearline",
        "aws-ministack-faulty archive",
        "aws-kinesalite-faulty stream",
    ]
    .iter()
    .any(|asked| trial.starts_with(asked))
}

/// Whether a trial begins so many subscriptions, one after another, that the emulator needs minutes for it.
pub(crate) fn takes_minutes(trial: &str) -> bool {
    trial.starts_with("aws-kinesis-local-fan-out stream 0")
}

impl Emulated {
    /// Whether its archive is written by a delivery stream.
    fn is_delivered(&self) -> bool {
        self.name == "aws-firehose"
    }

    /// Whether it is asked through a proxy that lets things go wrong.
    fn is_faulty(&self) -> bool {
        self.name.ends_with("-faulty")
    }
}

/// What chance begins with in the proxy.
pub(crate) fn seed() -> u64 {
    std::env::var("FINEO_FAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7)
}

/// What `variable` says, or why there is none: a case is ignored for that reason, and fails where services must be there.
pub(crate) fn endpoint(variable: &str) -> Result<String> {
    let found = std::env::var(variable).ok().filter(|url| !url.is_empty());
    let is_required = std::env::var("FINEO_TEST_AWS").is_ok_and(|value| value == "required");
    let kind = if is_required { ErrorKind::NotFound } else { ErrorKind::Unsupported };
    found.ok_or_else(|| Error::new(kind, format!("{variable} is not set: run scripts/services start")))
}

/// Options that no other case shares.
pub(crate) fn options(endpoints: Endpoints) -> AwsOptions {
    let entropy = SystemEntropy::new();
    let id = u128::from_be_bytes(entropy.id());
    AwsOptions::new(format!("t{id:032x}"))
        .with_region("us-east-1")
        .with_endpoints(endpoints)
        .with_shards(Some(3))
        .with_spread(2)
        .with_unspread_max(4)
        .with_poll_every(Duration::from_millis(10))
}

struct EmulatedPlace {
    /// The place, or that there is no emulator: a case that asks for a part is then ignored for that reason.
    aws: Result<Aws>,
    parts: &'static [Part],
    /// What stands before a faulty emulator.
    proxy: Option<FaultProxy>,
    made: [OnceCell<()>; 4],
    delivery: OnceCell<()>,
}

#[async_trait]
impl Backend for Emulated {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn fresh(&self) -> Result<Box<dyn Place>> {
        let mut before = None;
        let aws = match endpoint(self.variable) {
            Ok(url) if self.is_faulty() => {
                // An append that is repeated appends twice: what the stages make of that is another test's affair.
                let plan = Plan::hard(seed()).with_lost_appends(0);
                let proxy = FaultProxy::start(&url, plan)
                    .await
                    .map_err(|source| Error::internal("no proxy").with_source(source))?;
                let endpoints =
                    Endpoints::default().with_s3(proxy.url()).with_kinesis(proxy.url()).with_dynamodb(proxy.url());
                let options = options(endpoints).with_is_ordered(true).with_poll_every(Duration::from_millis(200));
                before = Some(proxy);
                Ok(Aws::connect(options).await?)
            }
            Ok(url) => {
                let endpoints = Endpoints::default().with_s3(&url).with_kinesis(&url).with_dynamodb(&url);
                let consumer = self.fan_out.then(|| "fineo".to_owned());
                let options = options(endpoints.with_firehose(&url)).with_fan_out(consumer);
                let delivery = self.is_delivered().then(|| options.prefix.clone());
                Ok(Aws::connect(options.with_archive_delivery(delivery)).await?)
            }
            Err(missing) => Err(missing),
        };
        Ok(Box::new(EmulatedPlace {
            aws,
            parts: self.parts,
            proxy: before,
            made: Default::default(),
            delivery: OnceCell::new(),
        }))
    }
}

impl EmulatedPlace {
    fn aws(&self) -> Result<&Aws> {
        self.aws.as_ref().map_err(Clone::clone)
    }

    async fn make(&self, part: Part, resource: Resource) -> Result<()> {
        if !self.parts.contains(&part) {
            return Err(Error::new(ErrorKind::Unsupported, "the emulator does not speak this contract"));
        }
        let (aws, made) = (self.aws()?, &self.made[part as usize]);
        made.get_or_try_init(|| async { aws.bootstrap(&[resource]).await }).await.map(|_| ())
    }
}

#[async_trait]
impl Place for EmulatedPlace {
    async fn stream(&self) -> Result<Arc<dyn Stream>> {
        self.make(Part::Stream, Resource::Stream("raw".to_owned())).await?;
        let stream = self.aws()?.stream("raw");
        Ok(if self.proxy.is_some() { Arc::new(Patient(stream)) } else { stream })
    }

    async fn archive(&self) -> Result<Arc<dyn Archive>> {
        let aws = self.aws()?;
        self.make(Part::Archive, Resource::Bucket).await?;
        let Some(archive) = aws.delivered_archive() else { return Ok(aws.archive()) };
        let url = endpoint("FINEO_TEST_S3_URL")?;
        let made = || crate::delivered::delivery_stream(&url, archive.delivery(), aws.options());
        self.delivery.get_or_init(made).await;
        Ok(archive)
    }

    async fn nearline(&self) -> Result<Arc<dyn NearlineStore>> {
        self.make(Part::Nearline, Resource::Rows).await?;
        Ok(self.aws()?.nearline())
    }

    async fn repo(&self) -> Result<Arc<dyn SchemaRepo>> {
        self.make(Part::Repo, Resource::Repo).await?;
        Ok(self.aws()?.repo())
    }

    /// A process on AWS keeps nothing that a loss of power could take: both ways are a new connection.
    async fn restart(&mut self, _restart: Restart) -> Result<bool> {
        let options = self.aws()?.options().clone();
        self.aws = Ok(Aws::connect(options).await?);
        Ok(true)
    }

    async fn split_shard(&self, shard: &ShardId) -> Result<bool> {
        self.aws()?.split_shard("raw", shard).await.map(|()| true)
    }

    /// No emulator keeps classes; the proxy before one does.
    async fn freeze(&self, name: &SegmentName) -> Result<bool> {
        if let Some(proxy) = &self.proxy {
            proxy.freeze(&name.path(), Cold::Glacier, 3);
        }
        Ok(self.proxy.is_some())
    }
}
