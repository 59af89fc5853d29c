//! What AWS says when it does not do a thing.

use serde_json::json;

use crate::call::{Answer, Call, Service};

/// Too many calls.
pub(crate) fn throttled(call: &Call) -> Answer {
    match call.service {
        Service::Kinesis if call.operation == "ListShards" => Answer::error(400, "LimitExceededException"),
        Service::Kinesis => Answer::error(400, "ProvisionedThroughputExceededException"),
        Service::DynamoDb => {
            Answer::error(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException")
        }
        Service::S3 => Answer::xml(503, "SlowDown"),
    }
}

/// An error of the service.
pub(crate) fn failed(call: &Call) -> Answer {
    match call.service {
        Service::Kinesis => Answer::error(500, "InternalFailure"),
        Service::DynamoDb => Answer::error(500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
        Service::S3 => Answer::xml(500, "InternalError"),
    }
}

/// Another write of the same thing is under way; nothing where that cannot be.
pub(crate) fn conflicting(call: &Call) -> Option<Answer> {
    match (call.service, call.operation.as_str()) {
        (Service::S3, "PUT") if call.headers.contains_key("if-none-match") || call.headers.contains_key("if-match") => {
            Some(Answer::xml(409, "ConditionalRequestConflict"))
        }
        (Service::DynamoDb, "TransactWriteItems") => {
            let count = call.json()["TransactItems"].as_array().map_or(0, Vec::len);
            let reason = |index| json!({ "Code": if index == 0 { "TransactionConflict" } else { "None" } });
            let reasons: Vec<_> = (0..count).map(reason).collect();
            let name = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            Some(Answer::json(
                400,
                &json!({ "__type": name, "Message": "said the proxy", "CancellationReasons": reasons }),
            ))
        }
        _ => None,
    }
}

/// What no repetition helps against.
pub(crate) fn denied() -> Answer {
    Answer::xml(403, "AccessDenied")
}

/// An iterator that was not used in time.
pub(crate) fn expired() -> Answer {
    Answer::error(400, "ExpiredIteratorException")
}
