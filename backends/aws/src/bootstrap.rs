//! Makes streams, tables and the bucket when they are missing, and waits until they can be used.

use std::time::Duration;

use aws_sdk_dynamodb::{
    client::Waiters,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ProvisionedThroughput, ScalarAttributeType,
        SseSpecification, TableDescription,
    },
};
use aws_sdk_kinesis::types::{EncryptionType, StreamMode, StreamModeDetails};
use fineo_core::{Error, ErrorKind, Result, ShardId};
use futures::TryStreamExt;

use crate::{Aws, Resource, TableUnits, dynamo::built, failure, nearline, repo};

/// How long a table or a stream may take to be made.
const WAIT_MAX: Duration = Duration::from_secs(180);
/// How long between two looks at a stream that changes.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The key that AWS keeps for Kinesis in every account.
const MANAGED_KEY: &str = "alias/aws/kinesis";

/// Makes `resource` unless it is there.
pub(crate) async fn create(aws: &Aws, resource: &Resource) -> Result<()> {
    match resource {
        Resource::Stream(name) => create_stream(aws, &aws.stream_name(name)).await,
        Resource::Repo => create_table(aws, "repo", (repo::OWNER, repo::NAME), None).await,
        Resource::Rows => {
            create_table(aws, "rows", (nearline::PARTITION, nearline::SORT), aws.options.rows_units).await
        }
        Resource::Bucket => aws.bucket.create(aws.options.archive_cold.as_ref()).await,
    }
}

/// Fails with what to do unless `resource` is there.
pub(crate) async fn check(aws: &Aws, resource: &Resource) -> Result<()> {
    let checked = match resource {
        Resource::Stream(name) => stream_status(aws, &aws.stream_name(name)).await.map(|_| ()),
        Resource::Repo => describe_table(aws, "repo").await.map(drop),
        Resource::Rows => describe_table(aws, "rows").await.map(drop),
        Resource::Bucket => aws.bucket.check().await,
    };
    checked.map_err(|error| if error.kind() == ErrorKind::NotFound { aws.missing(error) } else { error })
}

/// Deletes `resource`; of the bucket, the objects.
pub(crate) async fn delete(aws: &Aws, resource: &Resource) -> Result<()> {
    match resource {
        Resource::Stream(name) => {
            let call = aws.clients.kinesis.delete_stream().stream_name(aws.stream_name(name));
            // Who is pushed its records goes with it.
            call.enforce_consumer_deletion(true).send().await.map(|_| ()).map_err(failure::kinesis)
        }
        Resource::Repo => delete_table(aws, "repo").await,
        Resource::Rows => delete_table(aws, "rows").await,
        Resource::Bucket => {
            let store = aws.bucket.store();
            let found = store.list(Some(&aws.bucket.root())).map_ok(|meta| meta.location);
            store.delete_stream(Box::pin(found)).try_for_each(|_| async { Ok(()) }).await.map_err(failure::s3)
        }
    }
}

/// The table, if it is there.
pub(crate) async fn describe_table(aws: &Aws, name: &str) -> Result<TableDescription> {
    let table = aws.table(name);
    let call = table.client.describe_table().table_name(&table.name);
    let answer = call.send().await.map_err(|error| failure::dynamodb(error).with("table", &table.name))?;
    answer.table.ok_or_else(|| Error::internal("DynamoDB did not describe the table").with("table", &table.name))
}

async fn delete_table(aws: &Aws, name: &str) -> Result<()> {
    let table = aws.table(name);
    table.client.delete_table().table_name(&table.name).send().await.map(|_| ()).map_err(failure::dynamodb)
}

async fn create_table(aws: &Aws, name: &str, (partition, sort): (&str, &str), units: Option<TableUnits>) -> Result<()> {
    match describe_table(aws, name).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        found => return found.map(drop),
    }
    let table = aws.table(name);
    let attribute =
        |name: &str| AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let call = table
        .client
        .create_table()
        .table_name(&table.name)
        .attribute_definitions(attribute(partition).map_err(built)?)
        .attribute_definitions(attribute(sort).map_err(built)?)
        .key_schema(key(partition, KeyType::Hash).map_err(built)?)
        .key_schema(key(sort, KeyType::Range).map_err(built)?)
        .billing_mode(if units.is_some() { BillingMode::Provisioned } else { BillingMode::PayPerRequest })
        .set_provisioned_throughput(units.map(throughput).transpose()?)
        .sse_specification(SseSpecification::builder().enabled(true).build());
    if let Err(error) = call.send().await {
        let error = failure::dynamodb(error).with("table", &table.name);
        // Another process makes it at the same time.
        if error.kind() != ErrorKind::AlreadyExists {
            return Err(error);
        }
    }
    let waited = table.client.wait_until_table_exists().table_name(&table.name).wait(WAIT_MAX).await;
    waited.map(|_| ()).map_err(|source| {
        Error::unavailable("the table was not made in time")
            .with("table", &table.name)
            .with("because", failure::chain(&source))
    })
}

fn throughput(units: TableUnits) -> Result<ProvisionedThroughput> {
    let throughput = ProvisionedThroughput::builder().read_capacity_units(units.reads.into());
    throughput.write_capacity_units(units.writes.into()).build().map_err(built)
}

async fn create_stream(aws: &Aws, name: &str) -> Result<()> {
    match stream_status(aws, name).await {
        Err(error) if error.kind() == ErrorKind::NotFound => new_stream(aws, name).await?,
        found => found.map(|_| ())?,
    }
    wait_until_active(aws, name).await?;
    let call = aws.clients.kinesis.describe_stream_summary().stream_name(name);
    let found = call.send().await.map_err(|error| failure::kinesis(error).with("stream", name))?;
    let encryption = found.stream_description_summary().and_then(|found| found.encryption_type());
    if encryption == Some(&EncryptionType::Kms) {
        return Ok(());
    }
    let call = aws.clients.kinesis.start_stream_encryption().stream_name(name);
    match call.encryption_type(EncryptionType::Kms).key_id(MANAGED_KEY).send().await.map_err(failure::kinesis) {
        Ok(_) => wait_until_active(aws, name).await,
        // Another process has begun it, or an emulator does not know it; the doctor says whether it is on.
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Invalid) => {
            tracing::warn!(%error, stream = name, "the stream's encryption could not be started");
            Ok(())
        }
        Err(error) => Err(error.with("stream", name)),
    }
}

async fn new_stream(aws: &Aws, name: &str) -> Result<()> {
    let mode = match aws.options.shards {
        Some(_) => StreamMode::Provisioned,
        None => StreamMode::OnDemand,
    };
    let mode = StreamModeDetails::builder().stream_mode(mode).build();
    let mode = mode.map_err(|source| Error::internal("a request lacks a part").with_source(source))?;
    let shards = aws.options.shards.map(|shards| i32::try_from(shards).unwrap_or(i32::MAX));
    let call = aws.clients.kinesis.create_stream().stream_name(name);
    match call.set_shard_count(shards).stream_mode_details(mode).send().await.map_err(failure::kinesis) {
        Ok(_) => Ok(()),
        // Another process makes it at the same time.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.with("stream", name)),
    }
}

/// The stream's status, such as `ACTIVE`.
pub(crate) async fn stream_status(aws: &Aws, name: &str) -> Result<String> {
    let call = aws.clients.kinesis.describe_stream_summary().stream_name(name);
    let answer = call.send().await.map_err(|error| failure::kinesis(error).with("stream", name))?;
    let status = answer.stream_description_summary().map(|found| found.stream_status().as_str().to_owned());
    status.ok_or_else(|| Error::internal("Kinesis did not describe the stream").with("stream", name))
}

async fn wait_until_active(aws: &Aws, name: &str) -> Result<()> {
    let mut waited = Duration::ZERO;
    while stream_status(aws, name).await? != "ACTIVE" {
        if waited >= WAIT_MAX {
            return Err(Error::unavailable("the stream was not ready in time").with("stream", name));
        }
        // Looks seldom once it takes long: AWS grants twenty looks a second to the whole account.
        let wait = LOOK_EVERY.max(waited / 4).min(Duration::from_secs(5));
        aws.options.clock.sleep(wait).await;
        waited += wait;
    }
    Ok(())
}

pub(crate) async fn split(aws: &Aws, name: &str, shard: &ShardId) -> Result<()> {
    let kinesis = &aws.clients.kinesis;
    let answer = kinesis.list_shards().stream_name(name).send().await.map_err(failure::kinesis)?;
    let found = answer.shards().iter().find(|found| found.shard_id() == shard.as_str());
    let found = found.ok_or_else(|| Error::not_found("no such shard").with("shard", shard))?;
    let range = found.hash_key_range().ok_or_else(|| Error::internal("a shard without a range of hash keys"))?;
    let bound = |text: &str| text.parse::<u128>().map_err(|_| Error::internal("not a hash key").with("key", text));
    let (low, high) = (bound(range.starting_hash_key())?, bound(range.ending_hash_key())?);
    let middle = low + (high - low) / 2 + 1;
    let call = kinesis.split_shard().stream_name(name).shard_to_split(shard.as_str());
    call.new_starting_hash_key(middle.to_string()).send().await.map_err(failure::kinesis)?;
    wait_until_active(aws, name).await
}

pub(crate) async fn merge(aws: &Aws, name: &str, [left, right]: [&ShardId; 2]) -> Result<()> {
    let call = aws.clients.kinesis.merge_shards().stream_name(name).shard_to_merge(left.as_str());
    call.adjacent_shard_to_merge(right.as_str()).send().await.map_err(failure::kinesis)?;
    wait_until_active(aws, name).await
}

#[cfg(test)]
mod tests;
