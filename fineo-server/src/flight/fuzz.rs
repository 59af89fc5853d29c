//! What a Flight client can send, fed to what reads it.

use std::{sync::Arc, time::Duration};

use arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow_flight::{
    FlightData, Ticket,
    encode::FlightDataEncoderBuilder,
    sql::{Any, CommandStatementIngest, CommandStatementQuery, ProstMessageExt, TicketStatementQuery},
};
use fineo::{
    TenantId,
    core::{SystemClock, SystemEntropy},
};
use fineo_conformance::Target;
use futures::{FutureExt, StreamExt, TryStreamExt};
use prost::Message;

use super::{
    parameters,
    received::batches,
    seal::{Handle, Sealer},
    unpacking::Unpacking,
};
use crate::Principal;

/// The readers by name.
pub(crate) const TARGETS: &[Target] =
    &[("flight_batches", received_batches), ("flight_commands", commands), ("flight_handle", handle)];

fn batch() -> RecordBatch {
    let columns: [(&str, ArrayRef); 5] = [
        ("a", Arc::new(Int64Array::from(vec![7]))),
        ("b", Arc::new(Float64Array::from(vec![None]))),
        ("c", Arc::new(StringArray::from(vec!["some text"]))),
        ("d", Arc::new(StringViewArray::from(vec!["a text too long for a view alone"]))),
        ("e", Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter(columns).expect("five columns of one row")
}

/// What each of them may begin with.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "flight_batches" => {
            let encoded = FlightDataEncoderBuilder::new().build(futures::stream::iter([Ok(batch())]));
            let data: Vec<FlightData> =
                encoded.try_collect().now_or_never().expect("it is there").expect("it is written");
            vec![data.iter().flat_map(Message::encode_length_delimited_to_vec).collect()]
        }
        "flight_commands" => {
            let query = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None };
            let ingest = CommandStatementIngest { table: "m".to_owned(), ..CommandStatementIngest::default() };
            let ticket = TicketStatementQuery { statement_handle: vec![7; 40].into() };
            vec![query.as_any().encode_to_vec(), ingest.as_any().encode_to_vec(), ticket.as_any().encode_to_vec()]
        }
        _ => vec![vec![0; 11], vec![7; 12], vec![9; 200]],
    }
}

/// Messages one after another, as they are sent: each is a part of one table. A row of parameters can be kept.
fn received_batches(bytes: &[u8]) {
    let mut rest = bytes;
    let mut data = Vec::new();
    while !rest.is_empty() {
        let Ok(message) = FlightData::decode_length_delimited(&mut rest) else { break };
        data.push(Ok(message));
    }
    let unpacking = Unpacking::new(Arc::new(SystemClock), Duration::MAX);
    let mut rows = batches(futures::stream::iter(data), &unpacking, &TenantId::new("acme").expect("an id"));
    while let Some(Some(Ok(batch))) = rows.next().now_or_never() {
        for column in batch.columns() {
            column.to_data().validate_full().expect("a batch that was read is one");
        }
        if let Ok(kept) = parameters::to_bytes(&batch) {
            // A type that no parameter has is refused.
            let _ = parameters::from_bytes(&kept);
        }
    }
}

fn commands(bytes: &[u8]) {
    let Ok(any) = Any::decode(bytes) else { return };
    let _ = any.unpack::<CommandStatementQuery>();
    let _ = any.unpack::<CommandStatementIngest>();
    let _ = any.unpack::<TicketStatementQuery>();
    let _ = Ticket::decode(bytes);
}

/// Nobody makes a handle, also not out of one.
fn handle(bytes: &[u8]) {
    let entropy = SystemEntropy::new();
    let sealer = Sealer::new(&entropy).expect("a key");
    let principal = Principal::operator(TenantId::new("acme").expect("an id"));
    assert!(sealer.open(bytes, &principal, &SystemClock).is_err());
    let made = Handle { is_prepared: false, sql: "SELECT 1".to_owned(), parameters: None };
    let made = sealer.seal(made, &principal, 60, &SystemClock, &entropy).expect("a handle");
    let mut changed = made.to_vec();
    let at = usize::from(bytes.first().copied().unwrap_or(0)) % changed.len();
    changed.splice(at..at, bytes.iter().copied());
    assert!(changed == made || sealer.open(&changed, &principal, &SystemClock).is_err());
}
