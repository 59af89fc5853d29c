//! Hands records to a delivery stream: call by call, and again what failed of one.

use std::sync::Arc;

use aws_sdk_firehose::{
    primitives::Blob,
    types::{PutRecordBatchResponseEntry, Record},
};
use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Outcome, Result};

use crate::{AwsOptions, connect::Clients, failure, retry::Backoff};

/// How often a record is sent before its segment is given back.
const TRIES_MAX: u32 = 10;
/// The most records of one call.
pub(super) const CALL_RECORDS_MAX: usize = 500;
/// The most bytes of one call.
pub(super) const CALL_BYTES_MAX: usize = 4 << 20;

/// A delivery stream. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Delivery {
    name: Arc<str>,
    clients: Clients,
    options: AwsOptions,
}

impl Delivery {
    pub(super) fn new(name: String, clients: Clients, options: AwsOptions) -> Self {
        Self { name: name.into(), clients, options }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Hands all of `records` over. It is done when every one was taken, and not done when none can have been.
    pub(super) async fn put(&self, mut records: Vec<Bytes>) -> Outcome<()> {
        let mut backoff = Backoff::new(&self.options.clock, &self.options.entropy, TRIES_MAX);
        let mut may_have_applied = false;
        loop {
            let (mut again, mut failure) = (Vec::new(), None);
            let count = records.len();
            for call in calls(records) {
                for (record, outcome) in call.iter().zip(self.call(&call).await) {
                    may_have_applied |= !matches!(outcome, Outcome::NotDone(_));
                    if let Err(error) = outcome.into_result() {
                        if !error.is_retryable() {
                            return ended(error, may_have_applied);
                        }
                        again.push(record.clone());
                        failure = Some(error);
                    }
                }
            }
            let Some(error) = failure else { return Outcome::Done(()) };
            if again.len() < count {
                backoff.restart();
            }
            if !backoff.wait().await {
                return ended(error, may_have_applied);
            }
            records = again;
        }
    }

    /// One call; an outcome per record.
    async fn call(&self, records: &[Bytes]) -> Vec<Outcome<()>> {
        match self.put_records(records).await {
            Ok(answers) if answers.len() == records.len() => answers.iter().map(outcome).collect(),
            Ok(_) => {
                let error = Error::internal("Firehose answered for other records than it was sent");
                vec![Outcome::Unknown(error.and_may_have_applied()); records.len()]
            }
            Err(error) => vec![Outcome::of_error(error.with("delivery", &self.name)); records.len()],
        }
    }

    async fn put_records(&self, records: &[Bytes]) -> Result<Vec<PutRecordBatchResponseEntry>> {
        let built = |source| Error::internal("a record lacks a part").with_source(source);
        let records: Result<Vec<Record>> = records
            .iter()
            .map(|bytes| Record::builder().data(Blob::new(bytes.as_ref())).build().map_err(built))
            .collect();
        let request = self.clients.firehose.put_record_batch().delivery_stream_name(&*self.name);
        let answer = request.set_records(Some(records?)).send().await.map_err(failure::firehose)?;
        Ok(answer.request_responses)
    }
}

/// What became of a segment of which not all was taken.
fn ended(error: Error, may_have_applied: bool) -> Outcome<()> {
    if may_have_applied { Outcome::Unknown(error.and_may_have_applied()) } else { Outcome::NotDone(error) }
}

/// Records call by call, in their order.
pub(super) fn calls(records: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let mut calls: Vec<Vec<Bytes>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        bytes += record.len();
        match calls.last_mut() {
            Some(call) if call.len() < CALL_RECORDS_MAX && bytes <= CALL_BYTES_MAX => call.push(record),
            Some(_) | None => {
                bytes = record.len();
                calls.push(vec![record]);
            }
        }
    }
    calls
}

/// What became of one record: its own code counts, whatever the number of failures in the answer says.
pub(super) fn outcome(answer: &PutRecordBatchResponseEntry) -> Outcome<()> {
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
