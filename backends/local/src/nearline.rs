//! The nearline store: memtables that are seen at once, over immutable columnar segments.

mod bloom;
mod cache;
mod codec;
mod column;
mod damage;
mod flush;
mod footer;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hash;
mod heads;
mod image;
mod journal;
mod journal_reach;
mod keeper;
mod look_up;
mod manifest;
mod memtable;
mod merge;
mod pack;
mod packs;
mod reading;
mod scan;
mod segment;
mod segment_writer;
mod sequential;
mod source;
mod store;
mod table;
mod text;
mod tiers;

use std::{
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_core::{
    Cover, Error, MetricId, NearlineStore, Outcome, Result, TenantId,
    nearline::{Damage, NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
};
use futures::stream::BoxStream;

use crate::{log::Log, repo::database::SharedDatabase, root::Root};
use keeper::Keeper;
use store::Store;

const ROWS_MAX: usize = 100_000;

/// The nearline store of a directory.
#[derive(Debug)]
pub(crate) struct LocalNearline {
    store: Arc<Store>,
    keeper: Keeper,
    is_relieving: Arc<AtomicBool>,
}

impl LocalNearline {
    /// Opens the store of a directory.
    pub(crate) fn open(root: &Arc<Root>, database: &Arc<SharedDatabase>) -> Result<Self> {
        let store = Arc::new(Store::open(root, database)?);
        let keeper = Keeper::start(&store)?;
        Ok(Self { store, keeper, is_relieving: Arc::default() })
    }

    /// Rows may come from `log`.
    pub(crate) fn add_source(&self, log: &Arc<Log>) {
        self.store.add_source(log);
    }

    /// Waits for what runs beside, and makes all rows durable.
    pub(crate) async fn close(&self) -> Result<()> {
        let seal = |store: &Store| {
            store.sync_rows()?;
            store.journal.lock().unwrap_or_else(PoisonError::into_inner).seal()
        };
        self.keeper.run(seal).await
    }

    /// Moves rows to disk when there are many in memory: beside the writers first, before them when that is too slow.
    async fn keep_bounded(&self) -> Result<()> {
        let memory = self.store.memory.load(Ordering::Relaxed);
        let memory_max = self.store.root.options.memtable_bytes;
        if memory > memory_max {
            let relieve = move |store: &Store| {
                let is_still = store.memory.load(Ordering::Relaxed) > memory_max;
                if is_still { store.relieve() } else { Ok(()) }
            };
            return self.keeper.run(relieve).await;
        }
        if memory > memory_max / 4 * 3 && !self.is_relieving.swap(true, Ordering::AcqRel) {
            let is_relieving = Arc::clone(&self.is_relieving);
            self.keeper.begin(move |store| {
                // Also where it panics: the next writer tries again.
                let _over = Relief(is_relieving);
                if let Err(error) = store.relieve() {
                    tracing::warn!(%error, "rows could not move to disk");
                }
            });
        }
        Ok(())
    }
}

/// Notes when it is dropped that rows are moved to disk no more.
struct Relief(Arc<AtomicBool>);

impl Drop for Relief {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl fmt::Display for LocalNearline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local nearline store in {}", self.store.folder.display())
    }
}

#[async_trait]
impl NearlineStore for LocalNearline {
    fn capabilities(&self) -> NearlineCapabilities {
        NearlineCapabilities { durability: self.store.root.durability(), rows_max: ROWS_MAX }
    }

    fn pushdown(&self, predicate: &Predicate) -> Pushdown {
        match predicate {
            Predicate::AnyText { .. } | Predicate::AnyPresent { .. } => Pushdown::Exact,
        }
    }

    async fn write(&self, tenant: &TenantId, metric: &MetricId, rows: Rows) -> Vec<Outcome<Written>> {
        let mut refused = self.store.root.check_writable();
        if refused.is_ok() {
            refused = self.keep_bounded().await;
        }
        if refused.is_ok() && rows.len() > ROWS_MAX {
            refused = Err(Error::invalid("too many rows").with("rows", rows.len()).with("rows_max", ROWS_MAX));
        }
        match refused {
            Ok(()) => self.store.write(tenant, metric, &rows).await,
            Err(error) => {
                // Rows that were not looked at were not written, whatever became of others.
                let refusal = Error::new(error.kind(), error.message()).with_source(error);
                rows.iter().map(|_| Outcome::NotDone(refusal.clone())).collect()
            }
        }
    }

    async fn sync(&self) -> Outcome<()> {
        self.keeper.run(Store::sync_rows).await.into()
    }

    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        let table = self.store.table(&request.tenant, &request.metric);
        let snapshot = table.map_or_else(|| Ok(scan::Snapshot::default()), |table| table.snapshot(&request));
        scan::batches(request, snapshot)
    }

    async fn remove(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64> {
        let (tenant, metric, cover) = (tenant.clone(), metric.clone(), cover.clone());
        self.keeper.run(move |store| store.remove_covered(&tenant, &metric, &cover)).await.into()
    }

    async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        Ok(self.store.metrics(tenant))
    }

    async fn damages(&self) -> Result<Vec<Damage>> {
        self.store.damages()
    }

    async fn mended(&self, damage: &Damage) -> Outcome<()> {
        let damage = damage.clone();
        self.keeper.run(move |store| store.mended(&damage)).await.into()
    }
}
