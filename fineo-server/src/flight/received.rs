//! Batches as a client sends them, read by a library that was not written for clients who lie.

use std::panic::AssertUnwindSafe;

use arrow::array::RecordBatch;
use arrow_flight::{FlightData, decode::FlightRecordBatchStream, error::FlightError};
use fineo::TenantId;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use tonic::Status;

use super::unpacking::{Held, Unpacking};

/// The batches in `data`, which `tenant` sends, up to the first that is none.
///
/// Lengths and offsets that lie make the library panic; here they are what other nonsense is, too: an invalid argument. So is a
/// compressed batch that unpacks to more than any may, or than it says. Who asks for the next batch has done with the one before:
/// its memory is another's then.
pub(super) fn batches(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    unpacking: &Unpacking,
    tenant: &TenantId,
) -> BoxStream<'static, Result<RecordBatch, Status>> {
    let held = Held::new(unpacking.clone(), tenant.clone());
    let admitted = futures::stream::try_unfold((Box::pin(data), held), |(mut data, mut held)| async move {
        held.release();
        let Some(message) = data.next().await.transpose()? else { return Ok(None) };
        held.admit(&message).await?;
        Ok(Some((message, (data, held))))
    });
    let admitted = admitted.map_err(|status| FlightError::Tonic(Box::new(status)));
    let batches = FlightRecordBatchStream::new_from_flight_data(admitted);
    let read = |batch: std::thread::Result<Result<RecordBatch, FlightError>>| match batch {
        Ok(Ok(batch)) => Ok(batch),
        Ok(Err(FlightError::Tonic(status))) => Err(*status),
        Ok(Err(error)) => Err(Status::invalid_argument(format!("unreadable batch: {error}"))),
        Err(_) => Err(Status::invalid_argument("unreadable batch: its lengths are not those of its bytes")),
    };
    AssertUnwindSafe(batches).catch_unwind().map(read).boxed()
}
