//! Reads on through nearline rows, and checks at their end that none went while they were read.

use std::sync::Arc;

use datafusion::{arrow::array::RecordBatch, physical_plan::metrics::Count};
use fineo_core::Result;
use fineo_table::Snapshot;
use futures::{TryStreamExt, stream::BoxStream};

use super::{repairs::Repairs, resent::Resent, rows::RowReader};
use crate::pins::Pins;

/// What a nearline part counts.
pub(super) struct Counted {
    pub(super) rows: Count,
    pub(super) resent: Count,
}

/// Reads on through the nearline rows of one id.
pub(super) struct Tail {
    pub(super) batches: BoxStream<'static, Result<RecordBatch>>,
    pub(super) reader: RowReader,
    pub(super) repairs: Repairs,
    pub(super) resent: Option<Resent>,
    pub(super) pinned: Option<(Arc<Pins>, Arc<Snapshot>)>,
    pub(super) counted: Counted,
}

impl Tail {
    /// The next rows, and what is left; none at the end.
    pub(super) async fn next(tail: Option<Self>) -> Result<Option<(RecordBatch, Option<Self>)>> {
        let Some(mut tail) = tail else { return Ok(None) };
        loop {
            let Some(batch) = tail.batches.try_next().await? else { break };
            tail.counted.rows.add(batch.num_rows());
            let batch = match &tail.resent {
                Some(resent) => {
                    let before = batch.num_rows();
                    let batch = match (resent.without(batch, tail.reader.event_id()).await, &tail.pinned) {
                        (Ok(batch), _) => batch,
                        (Err(error), Some((pins, snapshot))) => return Err(pins.explain(snapshot, error).await),
                        (Err(error), None) => return Err(error),
                    };
                    tail.counted.resent.add(before - batch.num_rows());
                    batch
                }
                None => batch,
            };
            if batch.num_rows() > 0 {
                let converted = tail.reader.convert(&batch, &tail.repairs)?;
                return Ok(Some((converted, Some(tail))));
            }
        }
        // Whoever removes rows says so before: what the floor does not reach was there while it was read.
        if let Some((pins, snapshot)) = &tail.pinned {
            pins.check(snapshot).await?;
        }
        Ok(None)
    }
}
