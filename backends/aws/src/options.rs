//! What a program says about its place on AWS.

use std::{sync::Arc, time::Duration};

use fineo_core::{Clock, Entropy, Error, Result, SystemClock, SystemEntropy};

/// Where the services answer, when that is not where the SDK would look: emulators, private endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoints {
    /// Of S3, or of a store that speaks its protocol.
    pub s3: Option<String>,
    /// Of Kinesis.
    pub kinesis: Option<String>,
    /// Of DynamoDB.
    pub dynamodb: Option<String>,
    /// Of Firehose.
    pub firehose: Option<String>,
}

impl Endpoints {
    /// Another endpoint of S3.
    #[must_use]
    pub fn with_s3(mut self, url: impl Into<String>) -> Self {
        self.s3 = Some(url.into());
        self
    }

    /// Another endpoint of Kinesis.
    #[must_use]
    pub fn with_kinesis(mut self, url: impl Into<String>) -> Self {
        self.kinesis = Some(url.into());
        self
    }

    /// Another endpoint of DynamoDB.
    #[must_use]
    pub fn with_dynamodb(mut self, url: impl Into<String>) -> Self {
        self.dynamodb = Some(url.into());
        self
    }

    /// Another endpoint of Firehose.
    #[must_use]
    pub fn with_firehose(mut self, url: impl Into<String>) -> Self {
        self.firehose = Some(url.into());
        self
    }
}

/// What a table of provisioned capacity takes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableUnits {
    /// Units of reading: 4 KB each.
    pub reads: u32,
    /// Units of writing: 1 KB each; a row takes four of them at least.
    pub writes: u32,
}

/// When archived segments move to which storage class, by a rule of the bucket's lifecycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdAfter {
    /// How many days after they were written, [`ColdAfter::DAYS_MIN`] at least.
    pub days: u32,
    /// The class, one of [`ColdAfter::CLASSES`].
    pub class: String,
}

impl ColdAfter {
    /// Until then compaction, and replays of what is new, read segments without waiting.
    pub const DAYS_MIN: u32 = 30;
    /// The classes that there are rules for. Objects in the last two have to be restored before they are read.
    pub const CLASSES: [&str; 5] = ["STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];

    fn check(&self) -> Result<()> {
        if self.days < Self::DAYS_MIN {
            let message = "segments move to a cold class after 30 days at the earliest: what is new is still read";
            return Err(Error::invalid(message).with("days", self.days));
        }
        if !Self::CLASSES.contains(&self.class.as_str()) {
            let message = format!("not a class that segments can move to: {}", Self::CLASSES.join(", "));
            return Err(Error::invalid(message).with("class", &self.class));
        }
        Ok(())
    }
}

/// How an instance lives on AWS.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AwsOptions {
    /// What the names of its streams and tables begin with.
    pub prefix: String,
    /// The bucket of its archive and its columnar files.
    pub bucket: String,
    /// The region; none for the one of the SDK's chain.
    pub region: Option<String>,
    /// Where the services answer; none of them for what the SDK's chain says.
    pub endpoints: Endpoints,
    /// Whether what is missing is created when it is opened.
    pub creates_missing: bool,
    /// How many shards a stream has that is created; none for one whose capacity AWS chooses.
    pub shards: Option<u32>,
    /// Whether entries of one key keep their order across failures, at one request per entry.
    pub is_ordered: bool,
    /// How often a shard without news is looked at. AWS grants five reads per second and shard to all readers together.
    pub poll_every: Duration,
    /// The name of the consumer that Kinesis pushes records to (enhanced fan-out), for a price; none for polling.
    pub fan_out: Option<String>,
    /// Over how many partitions the rows of one metric and day are spread.
    pub spread: u32,
    /// How many rows of one metric and day a process writes into one partition before it spreads them.
    pub unspread_max: usize,
    /// The capacity of the table of rows, if it is created; none for one that AWS charges by request.
    pub rows_units: Option<TableUnits>,
    /// The storage class of archived segments, such as `STANDARD_IA`; none for that of the bucket.
    pub archive_class: Option<String>,
    /// The delivery stream of Firehose that brings segments to the bucket, see [`FirehoseArchive`](crate::FirehoseArchive); none
    /// for writing them there directly.
    pub archive_delivery: Option<String>,
    /// When they move to a colder class, if the bucket's lifecycle is to do that; none leaves its rules as they are.
    pub archive_cold: Option<ColdAfter>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl AwsOptions {
    /// The most partitions that the rows of one metric and day are spread over.
    pub const SPREAD_MAX: u32 = 100;

    /// An instance whose streams, tables and bucket bear `prefix`.
    pub fn new(prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        Self {
            bucket: prefix.clone(),
            prefix,
            region: None,
            endpoints: Endpoints::default(),
            creates_missing: true,
            shards: None,
            is_ordered: false,
            poll_every: Duration::from_millis(500),
            fan_out: None,
            spread: 4,
            unspread_max: 4_096,
            rows_units: None,
            archive_class: None,
            archive_delivery: None,
            archive_cold: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
        }
    }

    /// An instance whose names the environment says: `FINEO_AWS_PREFIX`, without it `prefix`; `FINEO_AWS_BUCKET`, without it
    /// the bucket that is called like the prefix; `FINEO_AWS_DELIVERY`, the delivery stream that writes the archive.
    pub fn from_environment(prefix: &str) -> Self {
        let said = |variable: &str| std::env::var(variable).ok().filter(|name| !name.is_empty());
        let options = Self::new(said("FINEO_AWS_PREFIX").unwrap_or_else(|| prefix.to_owned()));
        let options = options.with_archive_delivery(said("FINEO_AWS_DELIVERY"));
        match said("FINEO_AWS_BUCKET") {
            Some(bucket) => options.with_bucket(bucket),
            None => options,
        }
    }

    /// Says what cannot be a name on AWS, before AWS does.
    pub(crate) fn check(&self) -> Result<()> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=100).contains(&self.prefix.len()) || !self.prefix.bytes().all(legal) {
            return Err(Error::invalid("not a prefix of names on AWS: 1-100 characters of A-Z a-z 0-9 . _ -")
                .with("prefix", &self.prefix));
        }
        let in_bucket = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        if !(3..=63).contains(&self.bucket.len()) || !self.bucket.bytes().all(in_bucket) {
            return Err(
                Error::invalid("not the name of a bucket: 3-63 characters of a-z 0-9 . -").with("bucket", &self.bucket)
            );
        }
        if let Some(name) = self.archive_delivery.as_deref()
            && (!(1..=64).contains(&name.len()) || !name.bytes().all(legal))
        {
            let message = "not the name of a delivery stream: 1-64 characters of A-Z a-z 0-9 . _ -";
            return Err(Error::invalid(message).with("delivery", name));
        }
        if !(1..=Self::SPREAD_MAX).contains(&self.spread) {
            return Err(Error::invalid("the spread is out of bounds").with("spread", self.spread));
        }
        if self.rows_units.is_some_and(|units| units.reads == 0 || units.writes == 0) {
            return Err(Error::invalid("a table of provisioned capacity has one unit of each kind at least"));
        }
        if let Some(class) = self.archive_class.as_deref().filter(|class| matches!(*class, "GLACIER" | "DEEP_ARCHIVE"))
        {
            return Err(Error::invalid("new segments are read before long, and this class has to be restored first")
                .with("class", class)
                .with("hint", "have them move there later: with_archive_cold"));
        }
        self.archive_cold.as_ref().map_or(Ok(()), ColdAfter::check)
    }
}

macro_rules! with {
    ($($(#[$doc:meta])* $method:ident($field:ident: $type:ty);)+) => {
        impl AwsOptions {
            $($(#[$doc])*
            #[must_use]
            pub fn $method(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            })+
        }
    };
}

with! {
    /// These endpoints.
    with_endpoints(endpoints: Endpoints);
    /// Whether what is missing is created.
    with_creates_missing(creates_missing: bool);
    /// So many shards of a new stream.
    with_shards(shards: Option<u32>);
    /// Whether entries of one key keep their order across failures.
    with_is_ordered(is_ordered: bool);
    /// Another time between looks.
    with_poll_every(poll_every: Duration);
    /// Records are pushed to the consumer of this name.
    with_fan_out(fan_out: Option<String>);
    /// Another spread of rows.
    with_spread(spread: u32);
    /// Other numbers of rows that are not spread.
    with_unspread_max(unspread_max: usize);
    /// Another capacity of a new table of rows.
    with_rows_units(rows_units: Option<TableUnits>);
    /// Another storage class of segments.
    with_archive_class(archive_class: Option<String>);
    /// Segments go to the bucket by this delivery stream.
    with_archive_delivery(archive_delivery: Option<String>);
    /// Segments move to a colder class, see [`ColdAfter`].
    with_archive_cold(archive_cold: Option<ColdAfter>);
    /// Another clock.
    with_clock(clock: Arc<dyn Clock>);
    /// Another source of chance.
    with_entropy(entropy: Arc<dyn Entropy>);
}

impl AwsOptions {
    /// Another bucket. Names of buckets are unique among all accounts.
    #[must_use]
    pub fn with_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = bucket.into();
        self
    }

    /// Another region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }
}
