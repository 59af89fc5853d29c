//! The records of segments: their schemas, and the bytes of refused events.

use fineo_core::{
    Position,
    archive::{SegmentKind, Stage},
};
use fineo_schema::avro::{write_bytes, write_long, write_optional};
use serde_json::{Value, json};

use crate::errors::ErrorRow;

/// The Avro schema of the records of `stage` and `kind`.
pub(crate) fn schema(stage: Stage, kind: SegmentKind) -> Value {
    let time = json!({ "type": "long", "logicalType": "timestamp-micros" });
    let id = json!({ "type": "fixed", "name": "Id", "size": 16 });
    let array = |items: Value| json!({ "type": "array", "items": items });
    let tenant = json!({ "name": "tenant", "type": "string" });
    let position =
        json!({ "name": "position", "type": { "type": "fixed", "name": "Position", "size": Position::LEN } });
    let (name, fields) = match (kind, stage) {
        (SegmentKind::Received, Stage::Raw) => (
            "ReceivedEvents",
            json!([
                tenant,
                { "name": "positionSteps", "type": array(json!("bytes")) },
                { "name": "arrivalSteps", "type": array(json!("long")) },
                { "name": "arrivalIdSteps", "type": array(json!("bytes")) },
                { "name": "forms", "type": array(json!({ "type": "record", "name": "Form", "fields": [
                    { "name": "format", "type": "string" },
                    { "name": "defaultMetric", "type": ["null", "string"] },
                    { "name": "droppedKey", "type": ["null", "string"] },
                ] })) },
                { "name": "form", "type": array(json!("int")) },
                { "name": "events", "type": array(json!("bytes")) },
            ]),
        ),
        (SegmentKind::Received, Stage::Staged) => (
            "ReceivedRecords",
            json!([
                tenant,
                { "name": "positionSteps", "type": array(json!("bytes")) },
                { "name": "arrivalSteps", "type": array(json!("long")) },
                { "name": "eventIds", "type": array(id) },
                { "name": "layouts", "type": array(json!({ "type": "record", "name": "Layout", "fields": [
                    { "name": "metric", "type": "string" },
                    { "name": "schemaVersion", "type": "long" },
                ] })) },
                { "name": "layout", "type": array(json!("int")) },
                { "name": "records", "type": array(json!("bytes")) },
            ]),
        ),
        (SegmentKind::Malformed | SegmentKind::Commit, Stage::Raw | Stage::Staged) => (
            "RefusedEvent",
            json!([
                tenant, position,
                { "name": "errorId", "type": id },
                { "name": "receivedAt", "type": time },
                { "name": "code", "type": "string" },
                { "name": "message", "type": "string" },
                { "name": "metric", "type": ["null", "string"] },
                { "name": "raw", "type": "bytes" },
            ]),
        ),
    };
    json!({ "type": "record", "name": name, "namespace": "fineo", "fields": fields })
}

/// Appends an event that a stage did not pass on.
pub(crate) fn write_error(error: &ErrorRow, out: &mut Vec<u8>) {
    write_bytes(error.tenant.as_str().as_bytes(), out);
    out.extend_from_slice(&error.position.to_bytes());
    out.extend_from_slice(&error.id.0);
    write_long(error.received_at.micros(), out);
    write_bytes(error.rejection.code.as_str().as_bytes(), out);
    write_bytes(error.rejection.message.as_bytes(), out);
    write_optional(error.metric.as_deref(), out);
    write_bytes(&error.raw, out);
}
