//! Events as AWS sends them.

use serde_json::{Value, json};

use super::uploads;

/// An event of S3 about `key`.
fn s3(name: &str, object: Value) -> Value {
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventTime": "2026-01-02T03:04:05.678Z",
        "eventName": name, "userIdentity": { "principalId": "AWS:AIDAJ" }, "requestParameters": { "sourceIPAddress": "10.0.0.1" },
        "responseElements": { "x-amz-request-id": "C3D1", "x-amz-id-2": "FMyUV" },
        "s3": { "s3SchemaVersion": "1.0", "configurationId": "inbox", "bucket": { "name": "acme", "ownerIdentity": { "principalId": "A3" },
            "arn": "arn:aws:s3:::acme" }, "object": object }
    }] })
}

fn plain() -> Value {
    s3(
        "ObjectCreated:Put",
        json!({ "key": "inbox/acme/a.json", "size": 12, "eTag": "d41d8", "sequencer": "0055AED6DCD90281E5" }),
    )
}

fn sns(message: &Value) -> Value {
    json!({ "Records": [{ "EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": "arn:aws:sns:x",
        "Sns": { "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:t", "Subject": "Amazon S3 Notification",
            "Message": message.to_string(), "Timestamp": "2026-01-02T03:04:05.678Z", "SignatureVersion": "1", "Signature": "s",
            "SigningCertUrl": "https://c", "SigningCertURL": "https://c", "UnsubscribeUrl": "https://u", "UnsubscribeURL": "https://u",
            "MessageAttributes": {} } }] })
}

fn sqs(bodies: &[Value]) -> Value {
    let record = |(number, body): (usize, &Value)| {
        json!({ "messageId": format!("m{number}"), "receiptHandle": "r", "body": body.as_str().map_or_else(|| body.to_string(), str::to_owned),
            "attributes": {}, "messageAttributes": {}, "md5OfBody": "x", "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:q", "awsRegion": "eu-west-1" })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// The uploads of `event`: a message, then what it tells of.
fn shown(event: Value) -> Vec<String> {
    let told = uploads(event).unwrap();
    let lines = told.notices.into_iter().map(|notice| {
        let message = notice.message.unwrap_or_else(|| "-".to_owned());
        match notice.uploads {
            Ok(uploads) => {
                let origins: Vec<String> =
                    uploads.iter().map(|upload| format!(" {} {}", upload.origin(), upload.bytes)).collect();
                format!("{message}{}", origins.concat())
            }
            Err(error) => format!("{message} {}", error.message()),
        }
    });
    lines.collect()
}

#[test]
fn an_upload_is_found_whoever_carries_the_message() {
    let upload = "s3://acme/inbox/acme/a.json@0055AED6DCD90281E5 12";
    assert_eq!(shown(plain()), [format!("- {upload}")]);
    assert_eq!(shown(sns(&plain())), [format!("- {upload}")]);
    assert_eq!(shown(sqs(&[plain(), plain()])), [format!("m0 {upload}"), format!("m1 {upload}")]);
    // A topic that a queue subscribed to, without raw delivery.
    let notification =
        json!({ "Type": "Notification", "MessageId": "m", "TopicArn": "t", "Message": plain().to_string() });
    assert_eq!(shown(sqs(&[notification])), [format!("m0 {upload}")]);
}

#[test]
fn a_version_names_an_upload_best_and_an_entity_tag_worst() {
    let cases = [
        (json!({ "key": "k", "versionId": "v1", "eTag": "e", "sequencer": "s" }), "- s3://acme/k@v1 0"),
        (json!({ "key": "k", "versionId": "null", "eTag": "e", "sequencer": "s" }), "- s3://acme/k@s 0"),
        (json!({ "key": "k", "eTag": "e" }), "- s3://acme/k@e 0"),
        (json!({ "key": "k" }), "- an event of S3 lacks a part"),
    ];
    for (object, expected) in cases {
        assert_eq!(shown(s3("ObjectCreated:Copy", object)), [expected]);
    }
}

#[test]
fn keys_are_written_as_in_forms() {
    for (written, key) in [("a+b", "a b"), ("a%2Bb", "a+b"), ("%E6%B8%A9/x%26y%3Dz", "温/x&y=z"), ("t=1", "t")] {
        // S3 writes `=` as `%3D`: the last case shows what an unencoded one would be.
        assert_eq!(
            shown(s3("ObjectCreated:Put", json!({ "key": written, "eTag": "e" }))),
            [format!("- s3://acme/{key}@e 0")]
        );
    }
}

#[test]
fn what_is_no_upload_is_passed_over() {
    assert_eq!(shown(s3("ObjectRemoved:Delete", json!({ "key": "k", "eTag": "e" }))), ["-"]);
    let test = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "acme" });
    assert_eq!(shown(sqs(&[test])), ["m0"]);
}

#[test]
fn what_is_no_message_of_s3_is_told_of_its_message_alone() {
    let odd = sqs(&[json!("hello"), json!({ "Records": 1 }), plain()]);
    let shown = shown(odd);
    assert_eq!(shown[..2], ["m0 a message is not JSON", "m1 not an event of S3, SNS or SQS"]);
    assert!(shown[2].starts_with("m2 s3://"));
    assert!(uploads(json!({ "hello": 1 })).unwrap().notices[0].uploads.is_err());
}
