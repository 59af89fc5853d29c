//! What S3 told, whoever carried the message: nobody, a topic, a queue, or a topic through a queue.

use aws_lambda_events::event::s3::S3Event;
use fineo_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::Upload;

/// The uploads that one message tells of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Notice {
    /// The message that a queue takes back when it failed; none where the whole event does.
    pub message: Option<String>,
    /// The uploads.
    pub uploads: Result<Vec<Upload>>,
}

/// The messages of an event.
#[derive(Debug)]
#[non_exhaustive]
pub struct Uploads {
    /// One by one.
    pub notices: Vec<Notice>,
    /// Whether a queue sent them, which wants to hear of each.
    pub is_of_queue: bool,
}

/// What a queue or a topic sends.
#[derive(Debug, Deserialize)]
struct Records<T> {
    #[serde(rename = "Records")]
    records: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct SnsRecord {
    #[serde(rename = "Sns")]
    sns: SnsMessage,
}

#[derive(Debug, Deserialize)]
struct SnsMessage {
    #[serde(rename = "Message")]
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SqsMessage {
    message_id: String,
    #[serde(default)]
    body: String,
}

/// Reads an event of S3, SNS or SQS.
///
/// # Errors
///
/// `Invalid` when it is none of these.
pub fn uploads(event: Value) -> Result<Uploads> {
    let first = event.get("Records").and_then(|records| records.get(0));
    let source = first.and_then(|record| record.get("eventSource").or_else(|| record.get("EventSource")));
    let notice = |message: Option<String>, uploads| Notice { message, uploads };
    match source.and_then(Value::as_str) {
        Some("aws:sqs") => {
            let event: Records<SqsMessage> = read(event)?;
            let notices = event.records.into_iter().map(|record| {
                let uploads = of_text(&record.body);
                notice(Some(record.message_id), uploads)
            });
            Ok(Uploads { notices: notices.collect(), is_of_queue: true })
        }
        Some("aws:sns") => {
            let event: Records<SnsRecord> = read(event)?;
            let notices = event.records.into_iter().map(|record| notice(None, of_text(&record.sns.message)));
            Ok(Uploads { notices: notices.collect(), is_of_queue: false })
        }
        _ => Ok(Uploads { notices: vec![notice(None, of_s3(event))], is_of_queue: false }),
    }
}

/// A message of S3, perhaps in an envelope of SNS.
fn of_text(text: &str) -> Result<Vec<Upload>> {
    let parse = |text: &str| {
        serde_json::from_str::<Value>(text)
            .map_err(|source| Error::invalid("a message is not JSON").with_source(source))
    };
    let event = parse(text)?;
    match event.get("Message").and_then(Value::as_str) {
        Some(inner) => of_s3(parse(inner)?),
        None => of_s3(event),
    }
}

fn of_s3(event: Value) -> Result<Vec<Upload>> {
    // What S3 sends when a notification is set up.
    if event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    let event: S3Event = read(event)?;
    let mut uploads = Vec::new();
    for record in event.records {
        let name = record.event_name.unwrap_or_default();
        if !name.trim_start_matches("s3:").starts_with("ObjectCreated") {
            continue;
        }
        let object = record.s3.object;
        let missing = |what: &'static str| move || Error::invalid("an event of S3 lacks a part").with("part", what);
        let bucket = record.s3.bucket.name.ok_or_else(missing("bucket"))?;
        let key = object.key.as_deref().map(decoded).ok_or_else(missing("key"))?;
        let version = object.version_id.filter(|version| !version.is_empty() && version != "null");
        let etag = object.e_tag.filter(|etag| !etag.is_empty());
        let id = version.clone().or(object.sequencer.filter(|text| !text.is_empty())).or_else(|| etag.clone());
        let mut upload = Upload::new(bucket, key, id.ok_or_else(missing("sequencer"))?);
        upload.bytes = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        (upload.version, upload.etag) = (version, etag);
        uploads.push(upload);
    }
    Ok(uploads)
}

/// Keys in events are written as in forms: `+` for a blank, `%2B` for a plus.
fn decoded(key: &str) -> String {
    url::form_urlencoded::parse(key.as_bytes()).next().map_or_else(String::new, |(key, _)| key.into_owned())
}

fn read<T: serde::de::DeserializeOwned>(event: Value) -> Result<T> {
    let read = serde_json::from_value(event);
    read.map_err(|source| Error::invalid("not an event of S3, SNS or SQS").with_source(source))
}

#[cfg(test)]
mod tests;
