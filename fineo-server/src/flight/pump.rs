//! Carries a result to its client as fast as the client takes it, and ends the query when nobody does.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use arrow_flight::{FlightData, encode::FlightDataEncoderBuilder, error::FlightError};
use fineo::{Clock, QueryStream};
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
/// nothing for too long: nobody takes a part for the whole.
pub(super) fn pumped(result: QueryStream, principal: Principal, slot: ConnectionSlot, shared: &Shared) -> Answer {
    let schema = Arc::clone(result.schema());
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    let (clock, stall_max) = (Arc::clone(&shared.clock), shared.limits.stall_max);
    // Ends with the result, or as soon as the client has gone.
    let task = tokio::spawn(async move {
        let _slot = slot;
        pump(result, sender, &principal, &*clock, stall_max).await
    });
    let batches = futures::stream::unfold(Some((receiver, task)), |left| async move {
        let (mut receiver, task) = left?;
        if let Some(batch) = receiver.recv().await {
            return Some((Ok(batch), Some((receiver, task))));
        }
        // Everything was taken: what follows is how it ended.
        let ended = task.await.unwrap_or_else(|_| Err(Status::internal("the query broke off")));
        ended.err().map(|status| (Err(status), None))
    });
    encoded(schema, batches)
}

/// Passes batches on until there are no more, or something ends them.
async fn pump(
    mut result: QueryStream,
    sender: mpsc::Sender<RecordBatch>,
    principal: &Principal,
    clock: &dyn Clock,
    stall_max: Duration,
) -> Result<(), Status> {
    loop {
        let next = tokio::select! {
            next = result.next_batch() => next.map_err(|error| status(&error))?,
            () = sender.closed() => return Ok(()),
            () = principal.ended(clock) => return Err(ended()),
        };
        let Some(batch) = next else { return Ok(()) };
        tokio::select! {
            () = principal.ended(clock) => return Err(ended()),
            // A receiver that is gone is noticed above.
            _ = sender.send(batch) => {}
            () = clock.sleep(stall_max) => return Err(Status::aborted("the client took nothing for too long")),
        }
    }
}

/// What a call is answered whose credential ends.
pub(super) fn ended() -> Status {
    Status::unauthenticated("the credential of this call has ended: code=permission_revoked")
}

/// Batches that are there already.
pub(super) fn ready(schema: SchemaRef, batches: Vec<RecordBatch>) -> Answer {
    encoded(schema, futures::stream::iter(batches.into_iter().map(Ok)))
}

fn encoded(schema: SchemaRef, batches: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static) -> Answer {
    let batches = batches.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightDataEncoderBuilder::new().with_schema(schema).build(batches).map_err(Status::from).boxed()
}
