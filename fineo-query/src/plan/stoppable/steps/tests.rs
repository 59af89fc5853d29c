//! A step that takes long leaves the runtime its threads.

use std::{sync::mpsc::channel, time::Duration};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{Schema, SchemaRef},
    },
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt, stream};

use super::{Pass, Steps};

// B3
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_shares_the_only_thread_with_a_step_goes_on_while_it_lasts() {
    let (sender, receiver) = channel();
    let schema = SchemaRef::from(Schema::empty());
    let batch = RecordBatch::new_empty(SchemaRef::clone(&schema));
    // The step ends once it hears from a task that comes after it.
    let step = stream::once(async move {
        assert!(receiver.recv_timeout(Duration::from_secs(20)).is_ok(), "the other task had no thread to run on");
        Ok(batch)
    });
    let mut rows = Steps.pass(Box::pin(RecordBatchStreamAdapter::new(schema, step)));
    let asked = tokio::spawn(async move {
        tokio::spawn(async move { sender.send(()) });
        rows.next().await
    });
    assert!(asked.await.unwrap().unwrap().is_ok());
}
