//! Enhanced fan-out: Kinesis pushes a shard's new records to a registered consumer, beside the read quota.
//!
//! What is old is polled: so gaps, ends and shards that are gone are told in one way.

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

use super::{KinesisStream, read::Begin, sequence, shards};
use crate::{failure, retry::Backoff};

/// How long a consumer may take to be registered.
const REGISTER_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A shard without news is looked at after so many times of the options' `poll_every`.
const LOOK_AFTER_POLLS: i64 = 10;
/// A subscription lasts five minutes: one that is silent for longer has lost its connection without a word.
const SILENT_MAX: Duration = Duration::from_secs(360);
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
    /// When it was looked whether the shard is closed, in microseconds.
    looked_at: i64,
}

impl Subscription {
    /// The subscription to `shard` where the stream's options ask for one and no other reader has it.
    pub(super) fn of(stream: &KinesisStream, shard: &ShardId) -> Option<Self> {
        stream.options.fan_out.as_ref()?;
        let consumer = Arc::clone(&stream.consumer);
        let is_first = consumer.subscribed().insert(shard.clone());
        is_first.then(|| Self { shard: shard.clone(), consumer, output: None, after: None, looked_at: 0 })
    }

    /// What is pushed next, perhaps without records; none once the shard ends, which polling tells better. It begins at
    /// `begin`, up to where the reader has read, and goes on where it was when a subscription ends.
    ///
    /// # Errors
    ///
    /// A failure of the service.
    pub(super) async fn next(&mut self, stream: &KinesisStream, begin: Begin) -> Result<Option<SubscribeToShardEvent>> {
        let mut backoff = Backoff::new(&stream.options.clock, &stream.options.entropy, TRIES_MAX);
        loop {
            let received = match &mut self.output {
                Some(output) => tokio::select! {
                    received = output.event_stream.recv() => received.map_err(|error| broken(&error)),
                    () = stream.options.clock.sleep(SILENT_MAX) => {
                        Err(Error::unavailable("a subscription to a shard is silent for longer than it lasts"))
                    }
                },
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
                    let has_ended = event.child_shards.as_ref().is_some_and(|shards| !shards.is_empty());
                    if event.records.is_empty() && (has_ended || number.is_empty() || self.is_closed(stream).await?) {
                        return Ok(None);
                    }
                    self.after = (!number.is_empty()).then(|| number.to_owned());
                    return Ok(Some(event));
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

    /// Whether the shard is closed, looked at now and then while nothing is pushed: not every service says so itself.
    async fn is_closed(&mut self, stream: &KinesisStream) -> Result<bool> {
        let now = stream.options.clock.now().micros();
        let every =
            i64::try_from(stream.options.poll_every.as_micros()).unwrap_or(i64::MAX).saturating_mul(LOOK_AFTER_POLLS);
        if now - self.looked_at < every {
            return Ok(false);
        }
        self.looked_at = now;
        let there = shards::list(stream).await?;
        Ok(there.iter().find(|shard| shard.id == self.shard).is_none_or(|shard| shard.is_closed))
    }

    async fn subscribe(&self, stream: &KinesisStream, begin: Begin) -> Result<SubscribeToShardOutput> {
        let position = StartingPosition::builder();
        let behind = match begin {
            Begin::Behind(before) => Some(sequence::sequence(before)),
            Begin::Oldest | Begin::At(_) => None,
        };
        let position = match self.after.clone().or(behind) {
            Some(after) => position.r#type(ShardIteratorType::AfterSequenceNumber).sequence_number(after),
            None => position.r#type(ShardIteratorType::TrimHorizon),
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
