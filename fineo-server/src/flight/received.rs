//! Batches as a client sends them, read by a library that was not written for clients who lie.

use std::panic::AssertUnwindSafe;

use arrow::{
    array::RecordBatch,
    ipc::{RecordBatch as Described, root_as_message},
};
use arrow_flight::{FlightData, decode::FlightRecordBatchStream, error::FlightError};
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use tonic::Status;

/// How much a message may unpack to: the library takes that much memory before it looks at the first byte.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

/// The batches in `data`, up to the first that is none.
///
/// Lengths and offsets that lie make the library panic; here they are what other nonsense is, too: an invalid argument. So is a
/// compressed batch that says it were larger than any may be.
pub(super) fn batches(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> BoxStream<'static, Result<RecordBatch, Status>> {
    let data = data.and_then(|message| std::future::ready(bounded(message)));
    let data = data.map_err(|status| FlightError::Tonic(Box::new(status)));
    let batches = FlightRecordBatchStream::new_from_flight_data(data);
    let read = |batch: std::thread::Result<Result<RecordBatch, FlightError>>| match batch {
        Ok(Ok(batch)) => Ok(batch),
        Ok(Err(FlightError::Tonic(status))) => Err(*status),
        Ok(Err(error)) => Err(Status::invalid_argument(format!("unreadable batch: {error}"))),
        Err(_) => Err(Status::invalid_argument("unreadable batch: its lengths are not those of its bytes")),
    };
    AssertUnwindSafe(batches).catch_unwind().map(read).boxed()
}

fn bounded(message: FlightData) -> Result<FlightData, Status> {
    match unpacked_bytes(&message) {
        Some(bytes) if bytes > UNPACKED_BYTES_MAX => Err(Status::invalid_argument(format!(
            "a batch unpacks to {bytes} bytes, more than the {UNPACKED_BYTES_MAX} that one may: send fewer rows at once"
        ))),
        _ => Ok(message),
    }
}

/// What the buffers of a compressed batch say that they unpack to; none for what is no such batch.
fn unpacked_bytes(message: &FlightData) -> Option<u64> {
    let header = root_as_message(&message.data_header).ok()?;
    let described: Described<'_> = match header.header_as_record_batch() {
        Some(batch) => batch,
        None => header.header_as_dictionary_batch()?.data()?,
    };
    described.compression()?;
    let claimed = described.buffers()?.iter().filter_map(|buffer| {
        let from = usize::try_from(buffer.offset()).ok()?;
        // It stands before the bytes; a negative one is for bytes that are not compressed.
        let length = message.data_body.get(from..)?.first_chunk::<8>()?;
        u64::try_from(i64::from_le_bytes(*length)).ok().filter(|_| buffer.length() > 0)
    });
    Some(claimed.fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Int64Array},
        ipc::{CompressionType, writer::IpcWriteOptions},
    };
    use arrow_flight::encode::FlightDataEncoderBuilder;

    use super::*;

    /// A schema and a compressed batch of 1,000 numbers.
    async fn messages() -> Vec<FlightData> {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; 1000]));
        let batch = RecordBatch::try_from_iter([("v", numbers)]).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        let encoder = FlightDataEncoderBuilder::new().with_options(options);
        encoder.build(futures::stream::iter([Ok(batch)])).try_collect().await.unwrap()
    }

    async fn read(messages: Vec<FlightData>) -> Result<usize, Status> {
        let read = batches(futures::stream::iter(messages.into_iter().map(Ok)));
        Ok(read.try_collect::<Vec<_>>().await?.iter().map(RecordBatch::num_rows).sum())
    }

    #[tokio::test]
    async fn a_batch_that_says_it_unpacks_to_more_than_there_is_memory_is_refused_before_any_is_taken() {
        let mut messages = messages().await;
        assert_eq!(read(messages.clone()).await.unwrap(), 1000);
        let batch = messages.last_mut().unwrap();
        assert_eq!(unpacked_bytes(batch), Some(8000));
        let mut body = batch.data_body.to_vec();
        body[..8].copy_from_slice(&(1_i64 << 40).to_le_bytes());
        batch.data_body = body.into();
        let refused = read(messages).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains("unpacks to 1099511627776 bytes"), "{refused}");
    }
}
