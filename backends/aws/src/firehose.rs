//! A sink beside the archive: what a stage received or refused goes to S3 through Amazon Data Firehose.
//!
//! It is no [`Archive`](fineo_core::Archive): Firehose says neither when something is in the bucket nor under which name, and
//! delivers at least once (`docs/adr/0009-firehose-is-a-sink.md`). Nothing waits for it, and nothing is trimmed because of it.

mod delivered;
mod frame;
mod plan;

use std::{fmt, sync::Arc};

use aws_sdk_firehose::{
    primitives::Blob,
    types::{PutRecordBatchResponseEntry, Record},
};
use fineo_core::{
    Error, ErrorKind, Outcome, Result, ShardId,
    archive::{SegmentKind, Stage},
    stream::Delivery,
};

pub use delivered::read_delivered;

use crate::{AwsOptions, connect::Clients, failure, retry::Backoff};

/// How often a record is sent before its entries are given back.
const TRIES_MAX: u32 = 10;

/// An entry on its way through a sink.
#[derive(Debug, Clone)]
pub struct SinkEntry {
    /// The stage.
    pub stage: Stage,
    /// What it is to the stage. Kinds share a delivery stream, and are told apart when they are read.
    pub kind: SegmentKind,
    /// The shard of the stage's input.
    pub shard: ShardId,
    /// Whose bytes they are, where they stand in the shard, and the bytes.
    pub delivery: Delivery,
}

/// Sends entries to one delivery stream, whose destination must be S3 without compression. Cloning is cheap.
///
/// # Guarantees
///
/// 1. **Outcomes.** [`send`](Self::send) answers one outcome per entry, in order. What is done is Firehose's to deliver: it
///    keeps it for 24 hours while the bucket cannot be written.
/// 2. **At least once.** An entry may be delivered more than once and in any order; [`read_delivered`] puts that right.
/// 3. **Limits.** Entries are packed into records of at most 1,000 KiB, and those into calls of at most 500 records and
///    4 MiB. An entry that fits no record is not done, with `Invalid`; the others are not touched by that.
#[derive(Clone)]
pub struct FirehoseSink {
    name: Arc<str>,
    clients: Clients,
    options: AwsOptions,
}

impl FirehoseSink {
    pub(crate) fn new(name: String, clients: Clients, options: AwsOptions) -> Self {
        Self { name: name.into(), clients, options }
    }

    /// The delivery stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends `entries` and says, one by one, what became of them.
    pub async fn send(&self, entries: &[SinkEntry]) -> Vec<Outcome<()>> {
        let plan::Planned { mut records, refused } = plan::records(entries);
        let mut outcomes: Vec<Option<Outcome<()>>> = vec![None; entries.len()];
        for (index, error) in refused {
            outcomes[index] = Some(Outcome::NotDone(error));
        }
        let mut backoff = Backoff::new(&self.options.clock, &self.options.entropy, TRIES_MAX);
        loop {
            let mut again = Vec::new();
            for call in plan::calls(records) {
                for (record, outcome) in call.iter().zip(self.put(&call).await) {
                    match outcome {
                        Outcome::NotDone(error) | Outcome::Unknown(error) if error.is_retryable() => {
                            again.push((record.clone(), error))
                        }
                        outcome => record.entries.iter().for_each(|index| outcomes[*index] = Some(outcome.clone())),
                    }
                }
            }
            if again.is_empty() {
                break;
            }
            if !backoff.wait().await {
                for (record, error) in again {
                    let outcome = Outcome::of_error(error);
                    record.entries.iter().for_each(|index| outcomes[*index] = Some(outcome.clone()));
                }
                break;
            }
            records = again.into_iter().map(|(record, _)| record).collect();
        }
        let missing = || Outcome::Unknown(Error::internal("an entry was not answered for"));
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect()
    }

    /// One call; an outcome per record.
    async fn put(&self, call: &[plan::Record]) -> Vec<Outcome<()>> {
        match self.put_records(call).await {
            Ok(answers) if answers.len() == call.len() => answers.iter().map(outcome).collect(),
            Ok(_) => vec![
                Outcome::Unknown(Error::internal("Firehose answered for other records than it was sent"));
                call.len()
            ],
            Err(error) => vec![Outcome::of_error(error.with("delivery", &self.name)); call.len()],
        }
    }

    async fn put_records(&self, call: &[plan::Record]) -> Result<Vec<PutRecordBatchResponseEntry>> {
        let built = |source| Error::internal("a record lacks a part").with_source(source);
        let records: Result<Vec<Record>> = call
            .iter()
            .map(|record| Record::builder().data(Blob::new(record.bytes.as_ref())).build().map_err(built))
            .collect();
        let request = self.clients.firehose.put_record_batch().delivery_stream_name(&*self.name);
        let answer = request.set_records(Some(records?)).send().await.map_err(failure::firehose)?;
        Ok(answer.request_responses)
    }
}

/// What became of one record: its own code counts, whatever the number of failures in the answer says.
fn outcome(answer: &PutRecordBatchResponseEntry) -> Outcome<()> {
    match (answer.error_code(), answer.record_id()) {
        (None, Some(_)) => Outcome::Done(()),
        (Some("ServiceUnavailableException" | "ThrottlingException" | "LimitExceededException"), _) => {
            Outcome::NotDone(Error::new(ErrorKind::Throttled, "the delivery stream takes no more just now"))
        }
        (code, _) => {
            let error = Error::unavailable("Firehose did not take the record").with("code", code.unwrap_or("none"));
            Outcome::Unknown(error.and_may_have_applied())
        }
    }
}

impl fmt::Display for FirehoseSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Firehose {}", self.name)
    }
}

impl fmt::Debug for FirehoseSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirehoseSink").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
