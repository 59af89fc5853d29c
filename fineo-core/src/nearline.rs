//! The contract of a nearline store: recent rows, visible at once, read as Arrow batches.

mod damage;
mod latest;
mod rows;
mod scan;

use std::fmt::{Debug, Display};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;

pub use damage::Damage;
pub use latest::Latest;
pub use rows::{Row, RowHead, Rows};
pub use scan::{
    COLUMN_ALIAS, COLUMN_CONTENT, COLUMN_EVENT_ID, COLUMN_INGESTED_AT, COLUMN_POSITION, COLUMN_SHARD, COLUMN_TIMESTAMP,
    Predicate, Pushdown, ScanRequest, SystemColumns, scan_schema,
};

use crate::{Cover, Durability, MetricId, Outcome, Result, TenantId};

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// No row of this tenant and metric had its event id: it is stored.
    New,
    /// A row with the same event id and content is there; its position stays.
    Duplicate,
    /// A row with the same event id and other content is there; it stays.
    Conflict,
}

/// Limits and powers of a nearline store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearlineCapabilities {
    /// What rows survive once [`NearlineStore::sync`] is done.
    pub durability: Durability,
    /// The most rows of one write.
    pub rows_max: usize,
}

/// Recent rows of many tenants, keyed by tenant, metric and event id.
///
/// # Guarantees
///
/// 1. **Idempotence.** Writing a row twice equals writing it once: the first position wins
///    ([`Written::Duplicate`]), also across [`sync`](Self::sync) and a restart.
/// 2. **Conflicts.** A row whose event id is taken by other content changes nothing
///    ([`Written::Conflict`]).
/// 3. **Visibility.** A scan that begins after a write was done sees its rows.
/// 4. **Durability.** Rows written before a [`sync`](Self::sync) that is done survive the faults of
///    [`NearlineCapabilities::durability`]; rows after it may vanish in a crash, whole rows only.
/// 5. **Fidelity.** Every cell is read as the text that was written, under the name that was written,
///    whatever characters either has; a cell that was not written is null.
/// 6. **Separation.** A scan answers rows of its tenant and metric only.
/// 7. **Range.** A scan answers exactly the rows whose timestamp lies in the request's range, once each.
/// 8. **Predicates.** A predicate declared [`Pushdown::Exact`] is applied exactly; an inexact one keeps at
///    least the rows that satisfy it.
/// 9. **Snapshot.** A scan sees each row once, also while rows are written, synced or reorganised.
/// 10. **Removal.** [`remove`](Self::remove) removes exactly the rows of the tenant and metric whose
///     position the cover contains; a removed event id may be written again.
/// 11. **Outcomes.** [`write`](Self::write) answers one outcome per row, in order.
/// 12. **Beyond.** A scan answers exactly the rows whose position [`ScanRequest::beyond`] does not contain.
/// 13. **Latest.** A scan whose request has a [`Latest`] may leave out a row once one of its key was accepted that is
///     newer, and no other: all rows of the newest instant are answered.
/// 14. **Damage.** What cannot be read as it was written is set aside: [`damages`](Self::damages) tells of it. A scan that
///     may need it fails with [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt); other scans, all writes and all other
///     metrics go on. Writes do not see what is set aside. Once [`mended`](Self::mended) is done it is gone.
/// 15. **Ranks.** Of the names of a range in [`ScanRequest::ranked`], a scan may answer a row's first text under the first
///     of them, and null under the others; the first text in their order stays the same.
#[async_trait]
pub trait NearlineStore: Debug + Display + Send + Sync + 'static {
    /// Limits and powers.
    fn capabilities(&self) -> NearlineCapabilities;

    /// How far [`scan`](Self::scan) applies `predicate` itself.
    fn pushdown(&self, predicate: &Predicate) -> Pushdown;

    /// Writes rows of one tenant and metric and says, one by one, what became of them.
    async fn write(&self, tenant: &TenantId, metric: &MetricId, rows: Rows) -> Vec<Outcome<Written>>;

    /// Makes every row written before this call durable.
    async fn sync(&self) -> Outcome<()>;

    /// The rows that `request` asks for, as batches of [`scan_schema`]. Errors end the stream.
    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>>;

    /// Removes the rows that `cover` contains and answers how many.
    async fn remove(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64>;

    /// The metrics of `tenant` that have rows, in order.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>>;

    /// What is set aside. A store that checks nothing itself has nothing to tell.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    async fn damages(&self) -> Result<Vec<Damage>> {
        Ok(Vec::new())
    }

    /// Lets go of what was set aside. Its rows were written again and synced before.
    async fn mended(&self, damage: &Damage) -> Outcome<()> {
        let _ = damage;
        Outcome::Done(())
    }
}

#[cfg(test)]
mod tests;
