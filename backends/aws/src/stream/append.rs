//! Appending: records in batches with an outcome each, or one by one where order must survive a failure.

use std::collections::BTreeMap;

use aws_sdk_kinesis::{
    primitives::Blob,
    types::{PutRecordsRequestEntry, PutRecordsResultEntry},
};
use fineo_core::{
    Error, ErrorKind, Outcome, Result, ShardId,
    stream::{Appended, Entry},
};
use futures::{StreamExt, stream};

use super::{KinesisStream, plan, sequence};
use crate::failure;

/// How many keys are appended at a time where order counts.
const KEYS_AT_ONCE: usize = 16;

fn refused(entries: &[Entry]) -> Vec<Option<Outcome<Appended>>> {
    let refusals = entries.iter().enumerate().map(|(index, entry)| plan::refusal(index, entry));
    refusals.map(|refusal| refusal.map(Outcome::NotDone)).collect()
}

fn answered(outcomes: Vec<Option<Outcome<Appended>>>) -> Vec<Outcome<Appended>> {
    let missing = || Outcome::Unknown(Error::internal("an entry was not answered for"));
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect()
}

/// An entry that was not sent, because one before it failed: sending it would change their order. It waits for what that one does.
fn behind(failed: ErrorKind) -> Outcome<Appended> {
    let kind = if failed == ErrorKind::Throttled { failed } else { ErrorKind::Unavailable };
    Outcome::NotDone(Error::new(kind, "an entry before this one was not appended"))
}

/// As many records at a time as Kinesis takes. After a request that failed as a whole nothing more is sent.
pub(super) async fn in_batches(stream: &KinesisStream, entries: &[Entry]) -> Vec<Outcome<Appended>> {
    let mut outcomes = refused(entries);
    let mut failed = None;
    for request in plan::requests(entries) {
        if let Some(failed) = failed {
            request.iter().for_each(|index| outcomes[*index] = Some(behind(failed)));
            continue;
        }
        match put_records(stream, entries, &request).await {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for index in request {
                    outcomes[index] = answers.next().map(|answer| outcome(&answer));
                }
            }
            Err(error) => {
                failed = Some(error.kind());
                request.iter().for_each(|index| outcomes[*index] = Some(Outcome::of_error(error.clone())));
            }
        }
    }
    answered(outcomes)
}

async fn put_records(
    stream: &KinesisStream,
    entries: &[Entry],
    request: &[usize],
) -> Result<Vec<PutRecordsResultEntry>> {
    let mut records = Vec::with_capacity(request.len());
    for index in request {
        let entry = &entries[*index];
        let record = PutRecordsRequestEntry::builder()
            .data(Blob::new(entry.payload.as_ref()))
            .partition_key(entry.tenant.as_str())
            .explicit_hash_key(plan::hash_key(entry.key));
        records.push(record.build().map_err(|source| Error::internal("a record lacks a part").with_source(source))?);
    }
    let call = stream.clients.kinesis_once.put_records().stream_name(stream.name()).set_records(Some(records));
    let answer = call.send().await.map_err(|error| failure::kinesis(error).with("stream", stream.name()))?;
    Ok(answer.records)
}

/// What became of one record. Its own code counts, whatever the number of failures in the answer says (N1).
pub(super) fn outcome(answer: &PutRecordsResultEntry) -> Outcome<Appended> {
    match (answer.error_code(), answer.sequence_number(), answer.shard_id()) {
        (None, Some(number), Some(shard)) => match appended(number, shard) {
            Ok(appended) => Outcome::Done(appended),
            Err(error) => Outcome::Unknown(error),
        },
        (Some("ProvisionedThroughputExceededException"), _, _) => {
            let error = Error::new(ErrorKind::Throttled, "the shard takes no more just now");
            Outcome::NotDone(error.with("hint", "the stream has too few shards"))
        }
        (code, _, _) => {
            let error = Error::unavailable("Kinesis did not take the record").with("code", code.unwrap_or("none"));
            Outcome::Unknown(error.and_may_have_applied())
        }
    }
}

fn appended(number: &str, shard: &str) -> Result<Appended> {
    Ok(Appended { shard: ShardId::new(shard)?, position: sequence::position(number)? })
}

/// One record at a time for each key (O1): a record that failed holds back those behind it.
pub(super) async fn in_order(stream: &KinesisStream, entries: &[Entry]) -> Vec<Outcome<Appended>> {
    let mut outcomes = refused(entries);
    let mut keys: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate().filter(|(index, _)| outcomes[*index].is_none()) {
        keys.entry(entry.key).or_default().push(index);
    }
    let appends = keys.into_values().map(|indexes| one_key(stream, entries, indexes));
    let done: Vec<_> = stream::iter(appends).buffer_unordered(KEYS_AT_ONCE).collect().await;
    for (index, outcome) in done.into_iter().flatten() {
        outcomes[index] = Some(outcome);
    }
    answered(outcomes)
}

async fn one_key(stream: &KinesisStream, entries: &[Entry], indexes: Vec<usize>) -> Vec<(usize, Outcome<Appended>)> {
    let mut outcomes = Vec::with_capacity(indexes.len());
    let mut before: Option<Appended> = None;
    let mut failed = None;
    for index in indexes {
        if let Some(failed) = failed {
            outcomes.push((index, behind(failed)));
            continue;
        }
        let entry = &entries[index];
        let call = stream
            .clients
            .kinesis_once
            .put_record()
            .stream_name(stream.name())
            .data(Blob::new(entry.payload.as_ref()))
            .partition_key(entry.tenant.as_str())
            .explicit_hash_key(plan::hash_key(entry.key))
            .set_sequence_number_for_ordering(before.as_ref().map(|before| sequence::sequence(before.position)));
        let outcome = match call.send().await {
            Ok(answer) => Outcome::from(appended(&answer.sequence_number, &answer.shard_id)),
            Err(error) => Outcome::of_error(failure::kinesis(error).with("stream", stream.name())),
        };
        match &outcome {
            Outcome::Done(appended) => before = Some(appended.clone()),
            Outcome::NotDone(error) | Outcome::Unknown(error) => failed = Some(error.kind()),
        }
        outcomes.push((index, outcome));
    }
    outcomes
}
