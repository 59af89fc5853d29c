//! Reading a shard: pages behind an iterator that expires, within the read quota, and never past a gap unseen.

use std::time::Duration;

use async_stream::try_stream;
use aws_sdk_kinesis::{
    config::{Config, timeout::TimeoutConfig},
    operation::get_records::GetRecordsOutput,
    primitives::DateTime,
    types::{Record, ShardIteratorType},
};
use bytes::Bytes;
use fineo_core::{
    Error, ErrorKind, Position, Result, ShardId,
    stream::{Delivery, ReadFrom},
};
use futures::stream::BoxStream;

use super::{KinesisStream, fan_out::Subscription, plan, sequence, shards};
use crate::{failure, retry::Backoff};

/// The least time between two reads of one shard: AWS grants five a second to all readers together.
pub(super) const SPACING: Duration = Duration::from_millis(200);
/// The most bytes of one batch of deliveries; a page of Kinesis may have 10 MiB.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// The most records of one page.
pub(super) const PAGE_RECORDS_MAX: u16 = 10_000;
/// How long an answer may take that costs a search: who asks can do without it.
const SEARCH_WITHIN: Duration = Duration::from_secs(5);
/// How long a reader that others crowd out goes on trying.
const THROTTLES_MAX: u32 = 60;

/// The deliveries of a shard, batch by batch. It ends behind the last of a closed shard.
pub(super) fn deliveries(
    stream: KinesisStream,
    shard: ShardId,
    from: ReadFrom,
) -> BoxStream<'static, Result<Vec<Delivery>>> {
    let batches = try_stream! {
        let mut reader = Reader::new(stream, shard, Begin::of(from)).with_fan_out();
        while let Some(page) = reader.next().await? {
            // On its way through a stretch without records it says that it goes on.
            if page.deliveries.is_empty() && !page.is_last {
                yield Vec::new();
            }
            for batch in batches(page.deliveries) {
                yield batch;
            }
        }
    };
    Box::pin(batches)
}

fn batches(deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut batches: Vec<Vec<Delivery>> = Vec::new();
    let mut bytes = 0;
    for delivery in deliveries {
        bytes += delivery.payload.len();
        match batches.last_mut() {
            Some(batch) if bytes <= BATCH_BYTES_MAX => batch.push(delivery),
            Some(_) | None => {
                bytes = delivery.payload.len();
                batches.push(vec![delivery]);
            }
        }
    }
    batches
}

/// Where an iterator begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// At the oldest record.
    Oldest,
    /// Behind this record, which must still be there: else records may have gone unread.
    Behind(Position),
    /// At records that arrived from this instant on, in milliseconds.
    At(i64),
}

impl Begin {
    fn of(from: ReadFrom) -> Self {
        match from {
            ReadFrom::Start | ReadFrom::After(Position::ZERO) => Self::Oldest,
            ReadFrom::After(position) => Self::Behind(position),
        }
    }
}

/// Some records, and whether there were more at the time.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) deliveries: Vec<Delivery>,
    /// When the last record arrived, in milliseconds; zero without one.
    pub(super) arrived: i64,
    pub(super) is_last: bool,
}

/// Records in a row that something else wrote to the stream.
struct Foreign {
    error: Error,
    from: Position,
    to: Position,
}

fn arrived(records: &[Record]) -> i64 {
    let last = records.last().and_then(|record| record.approximate_arrival_timestamp());
    last.and_then(|arrived| arrived.to_millis().ok()).unwrap_or_default()
}

/// Reads one shard on.
#[derive(Debug)]
pub(super) struct Reader {
    stream: KinesisStream,
    shard: ShardId,
    begin: Begin,
    iterator: Option<String>,
    /// Whether the record that the reader begins behind was met.
    is_joined: bool,
    is_ended: bool,
    /// How long to wait before the next page.
    wait: Duration,
    /// The most records of a page.
    records_max: u16,
    /// Who pushes records, where that is asked for; else they are polled.
    subscription: Option<Subscription>,
    /// Whether they are pushed by now.
    is_pushed: bool,
    /// Whether records that are not ours are left out unseen.
    passes_foreign: bool,
    /// What is told once the records before those that are not ours are delivered.
    foreign: Option<Error>,
}

impl Reader {
    pub(super) fn new(stream: KinesisStream, shard: ShardId, begin: Begin) -> Self {
        let records_max = PAGE_RECORDS_MAX;
        Self {
            stream,
            shard,
            begin,
            iterator: None,
            is_joined: false,
            is_ended: false,
            wait: Duration::ZERO,
            records_max,
            subscription: None,
            is_pushed: false,
            passes_foreign: false,
            foreign: None,
        }
    }

    /// Pushed to, where the options ask for that and no other reader of this process has the shard.
    fn with_fan_out(mut self) -> Self {
        self.subscription = Subscription::of(&self.stream, &self.shard);
        self
    }

    /// With smaller pages.
    pub(super) fn with_records_max(mut self, records_max: u16) -> Self {
        self.records_max = records_max;
        self
    }

    /// Past records that are not ours: for who looks where entries end.
    pub(super) fn past_foreign(mut self) -> Self {
        self.passes_foreign = true;
        self
    }

    /// Whether the record that it begins behind was there.
    pub(super) fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// The next page, perhaps empty; none behind the last record of a closed shard.
    pub(super) async fn next(&mut self) -> Result<Option<Page>> {
        if let Some(error) = self.foreign.take() {
            return Err(error);
        }
        if self.is_ended {
            return Ok(None);
        }
        if self.is_pushed {
            if let Some(page) = self.pushed().await? {
                return Ok(Some(page));
            }
            // It joins where it has read to.
            (self.is_pushed, self.is_joined, self.iterator) = (false, false, None);
        }
        if !self.wait.is_zero() {
            self.stream.options.clock.sleep(self.wait).await;
        }
        let answer = self.get_records().await?;
        let is_closed = answer.next_shard_iterator.is_none();
        let is_full = answer.records.len() >= usize::from(self.records_max);
        let is_last = is_closed || (answer.millis_behind_latest.unwrap_or(0) == 0 && !is_full);
        let every = self.stream.options.poll_every;
        self.wait = if is_last && answer.records.is_empty() { every } else { every.min(SPACING) };
        let (deliveries, arrived) = (self.accept(&answer.records)?, arrived(&answer.records));
        self.iterator = answer.next_shard_iterator;
        self.is_ended = is_closed;
        // Once it has caught up, and knows where it is, what comes next is pushed.
        let knows_place = self.is_joined || self.begin == Begin::Oldest;
        self.is_pushed = is_last && !is_closed && knows_place && self.subscription.is_some();
        Ok(Some(Page { deliveries, arrived, is_last }))
    }

    /// The next page that Kinesis pushes; none when polling must go on where pushing ended.
    async fn pushed(&mut self) -> Result<Option<Page>> {
        let Some(subscription) = &mut self.subscription else { return Ok(None) };
        match subscription.next(&self.stream, self.begin).await {
            Ok(Some(event)) => {
                let is_last = event.millis_behind_latest == 0;
                let arrived = arrived(&event.records);
                Ok(Some(Page { deliveries: self.accept(&event.records)?, arrived, is_last }))
            }
            Ok(None) => {
                self.subscription = None;
                Ok(None)
            }
            Err(error) if error.is_retryable() || error.may_have_applied() => Err(error),
            Err(error) => {
                tracing::warn!(%error, stream = self.stream.name(), shard = %self.shard, "nothing is pushed, it is polled");
                self.subscription = None;
                Ok(None)
            }
        }
    }

    /// The records behind the one that the reader begins behind, up to those that are not ours.
    fn accept(&mut self, records: &[Record]) -> Result<Vec<Delivery>> {
        let before = match self.begin {
            Begin::Behind(before) => Some(before),
            Begin::Oldest | Begin::At(_) => None,
        };
        let mut deliveries = Vec::with_capacity(records.len());
        let mut foreign: Option<Foreign> = None;
        for record in records {
            let position = sequence::position(record.sequence_number())?;
            let tenant = plan::tenant(record.partition_key().unwrap_or_default());
            if let Some(before) = before {
                if position <= before {
                    // Something at or before it is still there: so nothing behind it was trimmed.
                    self.is_joined = true;
                    if tenant.is_ok() {
                        self.stream.saw(&self.shard, position);
                    }
                    continue;
                }
                if !self.is_joined {
                    return Err(self.gap(before, position));
                }
            }
            match tenant {
                Ok(tenant) if foreign.is_none() => {
                    let payload = Bytes::copy_from_slice(record.data().as_ref());
                    deliveries.push(Delivery { tenant, position, payload });
                }
                Ok(_) => break,
                Err(_) if self.passes_foreign => {}
                Err(error) => {
                    let from = foreign.map_or(position, |before| before.from);
                    foreign = Some(Foreign { error, from, to: position });
                }
            }
        }
        if let Some(last) = deliveries.last() {
            self.stream.saw(&self.shard, last.position);
            // After an expired iterator the reader joins where it has read to.
            (self.begin, self.is_joined) = (Begin::Behind(last.position), true);
        }
        let Some(Foreign { error, from, to }) = foreign else { return Ok(deliveries) };
        let error = error.with("shard", &self.shard).with("from", from).with("to", to);
        if deliveries.is_empty() {
            return Err(error);
        }
        self.foreign = Some(error);
        Ok(deliveries)
    }

    /// Retention has taken the record that the reader was to begin behind, and perhaps others after it (D8).
    fn gap(&self, before: Position, first: Position) -> Error {
        let error = Error::not_found("the entries behind this position were trimmed");
        error.with("shard", &self.shard).with("after", before).with("first", first)
    }

    async fn get_records(&mut self) -> Result<GetRecordsOutput> {
        let options = &self.stream.options;
        let mut backoff = Backoff::new(&options.clock, &options.entropy, THROTTLES_MAX);
        loop {
            let iterator = match self.iterator.take() {
                Some(iterator) => iterator,
                None => self.begin_iterator().await?,
            };
            let call =
                self.stream.clients.kinesis.get_records().shard_iterator(&iterator).limit(i32::from(self.records_max));
            let error = match call.send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_expired = failure::code(&error) == Some("ExpiredIteratorException");
            let error = failure::kinesis(error).with("stream", self.stream.name()).with("shard", &self.shard);
            if is_expired {
                // Begins anew behind what was read; the record read last is met again and left out.
                self.is_joined = false;
            } else if error.kind() == ErrorKind::Throttled {
                self.iterator = Some(iterator);
            } else {
                return Err(error);
            }
            if !backoff.wait().await {
                return Err(error);
            }
        }
    }

    async fn begin_iterator(&self) -> Result<String> {
        let found = self.iterator_at(self.begin).await;
        match (found, self.begin) {
            (Err(error), Begin::Behind(_)) if !error.is_retryable() && !error.may_have_applied() => {
                // Kinesis does not know the number any more: the oldest record tells what is left.
                let there = shards::list(&self.stream).await?;
                if !there.iter().any(|shard| shard.id == self.shard) {
                    return Err(error);
                }
                self.iterator_at(Begin::Oldest).await
            }
            (found, _) => found,
        }
    }

    async fn iterator_at(&self, begin: Begin) -> Result<String> {
        let call = self.stream.clients.kinesis.get_shard_iterator();
        let call = call.stream_name(self.stream.name()).shard_id(self.shard.as_str());
        let answer = match begin {
            Begin::Oldest => call.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await,
            Begin::Behind(position) => {
                let call = call.shard_iterator_type(ShardIteratorType::AtSequenceNumber);
                call.starting_sequence_number(sequence::sequence(position)).send().await
            }
            Begin::At(millis) => {
                let call = call.shard_iterator_type(ShardIteratorType::AtTimestamp);
                let call = call.timestamp(DateTime::from_millis(millis)).customize();
                let timeouts = TimeoutConfig::builder().operation_timeout(SEARCH_WITHIN).build();
                call.config_override(Config::builder().timeout_config(timeouts)).send().await
            }
        };
        let answer = answer
            .map_err(|error| failure::kinesis(error).with("stream", self.stream.name()).with("shard", &self.shard))?;
        answer.shard_iterator.ok_or_else(|| Error::internal("Kinesis gave no iterator").with("shard", &self.shard))
    }
}
