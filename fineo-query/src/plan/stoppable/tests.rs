//! A filter that is asked for long leaves the runtime its threads.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex,
        atomic::Ordering,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Schema},
    },
    error::Result,
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
};

use super::{ASKED_PER_TURN, Looks, Unwanted};

/// An expression that is evaluated only once it hears from somebody.
#[derive(Debug)]
struct Waits(Mutex<Receiver<()>>);

impl PartialEq for Waits {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Waits {}

impl Hash for Waits {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self, state);
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("waits")
    }
}

impl PhysicalExpr for Waits {
    fn evaluate(&self, _batch: &RecordBatch) -> Result<ColumnarValue> {
        let heard = self.0.lock().unwrap().recv_timeout(Duration::from_secs(20)).is_ok();
        Ok(ColumnarValue::Scalar(heard.into()))
    }

    fn data_type(&self, _input_schema: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _input_schema: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// B3
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_shares_the_only_thread_with_a_join_is_heard_while_it_goes_on() {
    let (sender, receiver) = channel();
    for _ in 1..ASKED_PER_TURN {
        sender.send(()).unwrap();
    }
    let join = tokio::spawn(async move {
        let looks = Looks::new(Arc::new(Waits(Mutex::new(receiver))), Unwanted::default());
        let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
        // Behind the join there is only one thread, and what the join waits for at last.
        tokio::spawn(async move { sender.send(()) });
        (0..ASKED_PER_TURN).all(|_| match looks.evaluate(&batch).unwrap() {
            ColumnarValue::Scalar(heard) => heard == true.into(),
            ColumnarValue::Array(_) => false,
        })
    });
    assert!(join.await.unwrap(), "the other task had no thread to run on");
}

#[tokio::test]
async fn a_filter_is_asked_on_a_runtime_of_one_thread_too() {
    let (sender, receiver) = channel();
    let looks = Looks::new(Arc::new(Waits(Mutex::new(receiver))), Unwanted::default());
    let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
    for _ in 0..2 * ASKED_PER_TURN {
        sender.send(()).unwrap();
        assert!(looks.evaluate(&batch).is_ok());
    }
    looks.unwanted.0.store(true, Ordering::Relaxed);
    assert!(looks.evaluate(&batch).is_err(), "nobody wants it");
}
