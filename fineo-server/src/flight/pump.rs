//! Carries a result to its client as fast as the client takes it, and ends the query when nobody does.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use arrow_flight::{FlightData, encode::FlightDataEncoderBuilder, error::FlightError};
use fineo::QueryStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tonic::Status;

use super::status::status;
use crate::{ConnectionSlot, Principal, Shared};

/// How many batches wait for the client.
const AHEAD_MAX: usize = 2;

/// What a stream of batches is on the wire.
pub(super) type Answer = std::pin::Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// The rows of `result` as they come. They end with an error when the principal's credential ends, or when the client takes
/// nothing for too long.
pub(super) fn pumped(mut result: QueryStream, principal: Principal, slot: ConnectionSlot, shared: &Shared) -> Answer {
    let schema = Arc::clone(result.schema());
    let (sender, receiver) = mpsc::channel::<Result<RecordBatch, Status>>(AHEAD_MAX);
    let clock = Arc::clone(&shared.clock);
    let stall_max = shared.limits.stall_max;
    // Ends with the result, or as soon as the client has gone.
    tokio::spawn(async move {
        let _slot = slot;
        loop {
            let next = tokio::select! {
                next = result.next_batch() => next.map_err(|error| status(&error)).transpose(),
                () = sender.closed() => return,
                () = principal.ended(&*clock) => {
                    Some(Err(Status::unauthenticated("the credential of this call has ended")))
                }
            };
            let Some(next) = next else { return };
            let is_last = next.is_err();
            let sent = tokio::select! {
                sent = sender.send(next) => sent.is_ok(),
                () = clock.sleep(stall_max) => false,
            };
            if is_last || !sent {
                return;
            }
        }
    });
    let batches =
        futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    encoded(schema, batches)
}

/// Batches that are there already.
pub(super) fn ready(schema: SchemaRef, batches: Vec<RecordBatch>) -> Answer {
    encoded(schema, futures::stream::iter(batches.into_iter().map(Ok)))
}

fn encoded(schema: SchemaRef, batches: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static) -> Answer {
    let batches = batches.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightDataEncoderBuilder::new().with_schema(schema).build(batches).map_err(Status::from).boxed()
}
