//! The AWS backend: Kinesis streams, DynamoDB tables and an S3 bucket.
//!
//! [`Aws::open`] connects with the SDK's own chain of credentials, makes what is missing and gives the parts of an
//! instance: two [`KinesisStream`]s, an [`S3Archive`], a [`DynamoNearline`] store and a [`DynamoRepo`]. They keep the
//! same contracts as every other backend. A [`FirehoseArchive`] can stand in for the archive. [`Aws::doctor`] looks at permissions, limits and clocks and says what to fix.
//!
//! ```no_run
//! # async fn example() -> fineo_core::Result<()> {
//! use fineo_backend_aws::{Aws, AwsOptions};
//!
//! let aws = Aws::open(AwsOptions::new("acme-events").with_bucket("acme-events-data")).await?;
//! println!("{}", aws.doctor().await);
//! # Ok(()) }
//! ```

mod archive;
mod aws;
mod bootstrap;
mod bucket;
mod connect;
mod doctor;
mod dynamo;
mod failure;
mod firehose;
mod folder;
mod nearline;
mod options;
mod repo;
mod retry;
mod stream;

pub use archive::S3Archive;
pub use aws::{Aws, Resource};
pub use bucket::Bucket;
pub use doctor::{Diagnosis, Finding, Verdict};
pub use firehose::FirehoseArchive;
pub use folder::{folder, objects};
pub use nearline::DynamoNearline;
pub use options::{AwsOptions, ColdAfter, Endpoints, TableUnits};
pub use repo::DynamoRepo;
pub use stream::{KinesisStream, delivery, position};
