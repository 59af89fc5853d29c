//! The records of segments: their schemas, and their bytes from and to deliveries.

use bytes::Bytes;
use fineo_core::{
    Error, EventId, Position, Result, TenantId, Timestamp,
    archive::{SegmentKind, Stage},
    repo::Version,
    stream::Delivery,
};
use serde_json::{Value, json};

use super::avro::{Reader, write_bytes, write_long, write_optional};
use crate::{
    envelope::{self, Envelope, Format},
    errors::ErrorRow,
    stage::payload,
};

/// The format of an entry that is no envelope; its event is the whole entry.
const UNREADABLE: &str = "unreadable";

/// The Avro schema of the records of `stage` and `kind`.
pub(crate) fn schema(stage: Stage, kind: SegmentKind) -> Value {
    let time = json!({ "type": "long", "logicalType": "timestamp-micros" });
    let id = json!({ "type": "fixed", "name": "Id", "size": 16 });
    let tenant = json!({ "name": "tenant", "type": "string" });
    let position =
        json!({ "name": "position", "type": { "type": "fixed", "name": "Position", "size": Position::LEN } });
    let (name, fields) = match (kind, stage) {
        (SegmentKind::Received, Stage::Raw) => (
            "ReceivedEvent",
            json!([
                tenant, position,
                { "name": "arrivalId", "type": id },
                { "name": "arrivedAt", "type": time },
                { "name": "format", "type": "string" },
                { "name": "defaultMetric", "type": ["null", "string"] },
                { "name": "droppedKey", "type": ["null", "string"] },
                { "name": "event", "type": "bytes" },
            ]),
        ),
        (SegmentKind::Received, Stage::Staged) => (
            "ReceivedRecord",
            json!([
                tenant, position,
                { "name": "eventId", "type": id },
                { "name": "arrivedAt", "type": time },
                { "name": "metric", "type": "string" },
                { "name": "schemaVersion", "type": "long" },
                { "name": "record", "type": "bytes" },
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

/// Appends a delivery of `stage`; answers when it arrived.
pub(crate) fn write_received(stage: Stage, delivery: &Delivery, out: &mut Vec<u8>) -> Timestamp {
    write_bytes(delivery.tenant.as_str().as_bytes(), out);
    out.extend_from_slice(&delivery.position.to_bytes());
    match stage {
        Stage::Raw => write_event(&delivery.payload, out),
        Stage::Staged => write_record(&delivery.payload, out),
    }
}

fn write_event(entry: &[u8], out: &mut Vec<u8>) -> Timestamp {
    let read = envelope::read(entry);
    let (format, envelope) = match &read {
        Ok(envelope) => (envelope.format.as_str(), envelope.clone()),
        Err(_) => (UNREADABLE, unreadable(entry)),
    };
    out.extend_from_slice(&envelope.arrival_id.0);
    write_long(envelope.arrived_at.micros(), out);
    write_bytes(format.as_bytes(), out);
    write_optional(envelope.metric, out);
    write_optional(envelope.dropped_key, out);
    write_bytes(envelope.event, out);
    envelope.arrived_at
}

fn unreadable(entry: &[u8]) -> Envelope<'_> {
    Envelope {
        arrival_id: EventId::default(),
        arrived_at: Timestamp::default(),
        format: Format::Json,
        metric: None,
        dropped_key: None,
        event: entry,
    }
}

fn write_record(entry: &[u8], out: &mut Vec<u8>) -> Timestamp {
    let (id, arrived_at, metric, schema, record) = match payload::read(entry) {
        Ok(read) => (read.id, read.arrived_at, read.metric, read.schema, read.record),
        Err(_) => (EventId::default(), Timestamp::default(), "", Version::NONE, entry),
    };
    out.extend_from_slice(&id.0);
    write_long(arrived_at.micros(), out);
    write_bytes(metric.as_bytes(), out);
    write_long(i64::try_from(schema.0).unwrap_or(i64::MAX), out);
    write_bytes(record, out);
    arrived_at
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

/// Reads back a delivery of `stage`, and when it arrived.
pub(crate) fn read_received(stage: Stage, reader: &mut Reader<'_>) -> Result<(Delivery, Timestamp)> {
    let tenant = TenantId::new(reader.text()?).map_err(|_| Error::corrupt("a segment's tenant is none"))?;
    let position = Position::from_bytes(reader.fixed()?);
    let id = EventId(reader.fixed()?);
    let arrived_at =
        Timestamp::from_micros(reader.long()?).map_err(|_| Error::corrupt("an arrival is out of range"))?;
    let payload = match stage {
        Stage::Raw => read_event(id, arrived_at, reader)?,
        Stage::Staged => {
            let metric = reader.text()?;
            let schema = Version(reader.long()?.unsigned_abs());
            let record = reader.bytes()?;
            let mut out = Vec::with_capacity(record.len() + 64);
            match fineo_core::MetricId::new(metric) {
                Ok(metric) => {
                    payload::write_head(&metric, schema, id, arrived_at, &mut out);
                    out.extend_from_slice(record);
                    Bytes::from(out)
                }
                Err(_) => Bytes::copy_from_slice(record),
            }
        }
    };
    Ok((Delivery { tenant, position, payload }, arrived_at))
}

fn read_event(arrival_id: EventId, arrived_at: Timestamp, reader: &mut Reader<'_>) -> Result<Bytes> {
    let format = reader.text()?;
    let metric = reader.optional()?;
    let dropped_key = reader.optional()?;
    let event = reader.bytes()?;
    let format = match format {
        "json" => Format::Json,
        "csv" => Format::Csv,
        UNREADABLE => return Ok(Bytes::copy_from_slice(event)),
        other => return Err(Error::corrupt("a segment has an event of an unknown format").with("format", other)),
    };
    Ok(envelope::rebuild(&Envelope { arrival_id, arrived_at, format, metric, dropped_key, event }))
}
