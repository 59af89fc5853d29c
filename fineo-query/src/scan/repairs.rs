//! Which errors were repaired, and when.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, TimestampMicrosecondBuilder},
    execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation},
};
use fineo_core::{MetricId, Result, nearline::ScanRequest};
use fineo_schema::coerce;
use futures::TryStreamExt;

use crate::{error::exceeded, table::Rows};

/// The metric whose rows say which errors were repaired.
const REPAIRS: &str = "repairs";
/// What a repair takes at most: a table may be less than half full, and grows by moving to one that is twice as large.
const REPAIR_BYTES: usize = 4 * (size_of::<(u128, i64)>() + 1);

/// The times at which errors were repaired, by the numbers that their event ids are.
#[derive(Debug)]
pub(super) struct Repairs {
    times: HashMap<u128, i64>,
    held: MemoryReservation,
}

impl Repairs {
    /// None. What is added counts against `pool`.
    pub(super) fn none(pool: &Arc<dyn MemoryPool>) -> Self {
        Self { times: HashMap::new(), held: MemoryConsumer::new("repairs").register(pool) }
    }

    /// Adds those that `rows` tell of.
    ///
    /// # Errors
    ///
    /// A failure of the store, or `LimitExceeded` when they are too many for the memory that the query may have.
    pub(super) async fn read(&mut self, rows: &Rows) -> Result<()> {
        let request =
            ScanRequest::new(rows.tenant.clone(), MetricId::new(REPAIRS)?).with_names(["error", "repaired_at"]);
        let mut batches = rows.store.scan(request);
        while let Some(batch) = batches.try_next().await? {
            self.held.try_grow(batch.num_rows() * REPAIR_BYTES).map_err(|source| {
                exceeded("memory_limit", "there are too many repaired errors to show when they were")
                    .with("hint", "leave repaired_at out of what is selected")
                    .with_source(source)
            })?;
            let (errors, times) = (batch.column(1).as_string_view(), batch.column(2).as_string_view());
            for row in 0..batch.num_rows() {
                if errors.is_null(row) || times.is_null(row) {
                    continue;
                }
                let id = u128::from_str_radix(errors.value(row), 16).ok();
                if let (Some(id), Some(at)) = (id, coerce::timestamp(times.value(row))) {
                    self.times.insert(id, at);
                }
            }
        }
        Ok(())
    }

    /// When the errors of these ids were repaired.
    pub(super) fn of(&self, ids: &FixedSizeBinaryArray) -> ArrayRef {
        let mut times = TimestampMicrosecondBuilder::with_capacity(ids.len());
        for id in ids {
            let id = id.and_then(|id| <[u8; 16]>::try_from(id).ok()).map(u128::from_be_bytes);
            times.append_option(id.and_then(|id| self.times.get(&id).copied()));
        }
        Arc::new(times.finish().with_timezone("UTC"))
    }
}
