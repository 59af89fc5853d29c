//! Enhanced fan-out: Kinesis pushes a shard's records to a registered consumer, beside the read quota.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_kinesis::{
    config::StalledStreamProtectionConfig,
    error::SdkError,
    operation::subscribe_to_shard::SubscribeToShardOutput,
    types::{ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream},
};
use fineo_core::{Error, ErrorKind, Result, ShardId};
use tokio::sync::OnceCell;

use super::{KinesisStream, read::Begin, sequence};
use crate::{failure, retry::Backoff};

/// How long a consumer may take to be registered.
const REGISTER_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a subscription is asked for again: one that ended without a word is in the way for five seconds.
const TRIES_MAX: u32 = 30;

/// What the readers of one stream in this process share.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    arn: OnceCell<String>,
    subscribed: Mutex<HashSet<ShardId>>,
}

/// The only subscription of this process to a shard: of two for one consumer, each would end the other.
pub(super) struct Subscription {
    shard: ShardId,
    consumer: Arc<Consumer>,
    output: Option<SubscribeToShardOutput>,
    /// Where the next one goes on: five minutes is the longest that one lasts.
    after: Option<String>,
}

impl Subscription {
    /// The subscription to `shard` where the stream's options ask for one and no other reader has it.
    pub(super) fn of(stream: &KinesisStream, shard: &ShardId) -> Option<Self> {
        stream.options.fan_out.as_ref()?;
        let consumer = Arc::clone(&stream.consumer);
        let is_first = consumer.subscribed().insert(shard.clone());
        is_first.then(|| Self { shard: shard.clone(), consumer, output: None, after: None })
    }

    /// What is pushed next, perhaps without records, and whether it is the shard's last. It begins at `begin`, and goes on
    /// where it was when a subscription ends.
    ///
    /// # Errors
    ///
    /// `Invalid` when Kinesis does not know where it begins, or another failure of the service.
    pub(super) async fn next(&mut self, stream: &KinesisStream, begin: Begin) -> Result<(SubscribeToShardEvent, bool)> {
        let mut backoff = Backoff::new(&stream.options.clock, &stream.options.entropy, TRIES_MAX);
        loop {
            let received = match &mut self.output {
                Some(output) => output.event_stream.recv().await.map_err(|error| broken(&error)),
                None => match self.subscribe(stream, begin).await {
                    Ok(output) => {
                        self.output = Some(output);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match received {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                    let number = event.continuation_sequence_number.as_str();
                    let is_last =
                        number.is_empty() || event.child_shards.as_ref().is_some_and(|shards| !shards.is_empty());
                    self.after = (!number.is_empty()).then(|| number.to_owned()).or(self.after.take());
                    return Ok((event, is_last));
                }
                Ok(Some(_)) => {}
                // Its five minutes are over.
                Ok(None) => self.output = None,
                Err(error) => {
                    self.output = None;
                    let is_passing = error.is_retryable() || error.kind() == ErrorKind::AlreadyExists;
                    if !is_passing || !backoff.wait().await {
                        return Err(error.with("stream", stream.name()).with("shard", &self.shard));
                    }
                }
            }
        }
    }

    async fn subscribe(&self, stream: &KinesisStream, begin: Begin) -> Result<SubscribeToShardOutput> {
        let position = StartingPosition::builder();
        let position = match (&self.after, begin) {
            (Some(after), _) => position.r#type(ShardIteratorType::AfterSequenceNumber).sequence_number(after),
            (None, Begin::Oldest) => position.r#type(ShardIteratorType::TrimHorizon),
            (None, Begin::Behind(before)) => {
                position.r#type(ShardIteratorType::AtSequenceNumber).sequence_number(sequence::sequence(before))
            }
            (None, Begin::At(millis)) => position
                .r#type(ShardIteratorType::AtTimestamp)
                .timestamp(aws_sdk_kinesis::primitives::DateTime::from_millis(millis)),
        };
        let position =
            position.build().map_err(|source| Error::internal("a request lacks a part").with_source(source))?;
        let arn = self.consumer.arn.get_or_try_init(|| register(stream)).await?;
        let call = stream.clients.kinesis.subscribe_to_shard().consumer_arn(arn).shard_id(self.shard.as_str());
        // A shard without news is silent, which is no stall.
        let patient = aws_sdk_kinesis::config::Builder::new()
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let output = call.starting_position(position).customize().config_override(patient).send().await;
        output.map_err(failure::kinesis)
    }
}

impl Consumer {
    fn subscribed(&self) -> std::sync::MutexGuard<'_, HashSet<ShardId>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.consumer.subscribed().remove(&self.shard);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("shard", &self.shard).field("after", &self.after).finish_non_exhaustive()
    }
}

/// A subscription that broke off: its events tell of a failure, or the connection is gone.
fn broken<E: std::error::Error + 'static, R: fmt::Debug + 'static>(error: &SdkError<E, R>) -> Error {
    Error::unavailable("a subscription to a shard broke off").with("because", failure::chain(error))
}

/// Registers the consumer that the options name, unless it is, and waits until it can be used; answers its ARN.
async fn register(stream: &KinesisStream) -> Result<String> {
    let name = stream.options.fan_out.clone().unwrap_or_default();
    let (kinesis, clock) = (&stream.clients.kinesis, &stream.options.clock);
    let summary =
        kinesis.describe_stream_summary().stream_name(stream.name()).send().await.map_err(failure::kinesis)?;
    let arn = summary.stream_description_summary().map(|found| found.stream_arn().to_owned());
    let arn = arn.ok_or_else(|| Error::internal("Kinesis did not describe the stream"))?;
    match kinesis
        .register_stream_consumer()
        .stream_arn(&arn)
        .consumer_name(&name)
        .send()
        .await
        .map_err(failure::kinesis)
    {
        Ok(_) => {}
        // Another process has registered it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.with("consumer", name)),
    }
    let mut waited = Duration::ZERO;
    loop {
        let call = kinesis.describe_stream_consumer().stream_arn(&arn).consumer_name(&name);
        let found = call.send().await.map_err(failure::kinesis)?;
        let found =
            found.consumer_description.ok_or_else(|| Error::internal("Kinesis did not describe the consumer"))?;
        if found.consumer_status == ConsumerStatus::Active {
            return Ok(found.consumer_arn);
        }
        if waited >= REGISTER_WITHIN {
            return Err(Error::unavailable("the consumer was not registered in time").with("consumer", name));
        }
        clock.sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}
