//! Partitions become one stream, whether their batches are at hand or have to be waited for.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{AsArray, Int64Array, RecordBatch},
        datatypes::{Int64Type, SchemaRef},
    },
    error::{DataFusionError, Result},
    execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{FutureExt, Stream, StreamExt, stream};
use tokio::sync::oneshot;

use super::merged;

fn batch(value: i64) -> Result<RecordBatch> {
    Ok(RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from(vec![value])) as _)])?)
}

fn part(batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> SendableRecordBatchStream {
    let schema: SchemaRef = batch(0).unwrap().schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

fn value(batch: &RecordBatch) -> i64 {
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

async fn values(parts: Vec<SendableRecordBatchStream>) -> Vec<i64> {
    let mut values: Vec<i64> = merged(parts).map(|batch| value(&batch.unwrap())).collect().await;
    values.sort_unstable();
    values
}

#[test]
fn what_is_at_hand_is_answered_without_a_runtime() {
    let parts = (0..3).map(|number| part(stream::iter(vec![batch(number), batch(number + 10)]))).collect();
    assert_eq!(values(parts).now_or_never().unwrap(), [0, 1, 2, 10, 11, 12]);
    assert_eq!(values(Vec::new()).now_or_never().unwrap(), [0_i64; 0]);
}

#[tokio::test]
async fn parts_that_wait_for_each_other_come_to_their_ends() {
    let (to_first, first) = oneshot::channel::<()>();
    let (to_second, second) = oneshot::channel::<()>();
    // The first tells the second, which tells the first, and each has more than is taken at once.
    let one = stream::once(async { batch(1) }).chain(stream::once(async move {
        to_second.send(()).unwrap();
        first.await.unwrap();
        batch(2)
    }));
    let two = stream::once(async move {
        second.await.unwrap();
        to_first.send(()).unwrap();
        batch(3)
    });
    let many = stream::iter((10..30).map(batch));
    let expected: Vec<i64> = [1, 2, 3].into_iter().chain(10..30).collect();
    assert_eq!(values(vec![part(two), part(one), part(many)]).await, expected);
}

#[tokio::test]
async fn an_error_of_one_part_is_told() {
    let fails = || Err(DataFusionError::Execution("broken".to_owned()));
    for broken in [
        part(stream::iter([fails()])),
        part(stream::once(async move {
            tokio::task::yield_now().await;
            fails()
        })),
    ] {
        let merged = merged(vec![part(stream::iter([batch(1)])), part(stream::pending()), broken]);
        let told = merged.filter(|batch| std::future::ready(batch.is_err())).boxed().next().await;
        assert!(told.unwrap().unwrap_err().to_string().contains("broken"));
    }
}
