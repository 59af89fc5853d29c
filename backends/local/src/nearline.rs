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
mod manifest;
mod memtable;
mod merge;
mod pack;
mod reach;
mod scan;
mod segment;
mod segment_writer;
mod source;
mod store;
mod text;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_core::{
    Cover, Error, ErrorKind, MetricId, NearlineStore, Outcome, Result, TenantId,
    nearline::{Damage, NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
};
use futures::stream::BoxStream;
use redb::Database;
use tokio::{sync::Mutex as AsyncMutex, task::JoinSet};

use crate::{log::Log, root::Root};
use store::Store;

const ROWS_MAX: usize = 100_000;

/// The nearline store of a directory.
#[derive(Debug)]
pub(crate) struct LocalNearline {
    store: Arc<Store>,
    /// One flush, merge or removal at a time.
    gate: Arc<AsyncMutex<()>>,
    /// The relief that runs beside the writers.
    relief: Mutex<JoinSet<()>>,
    is_relieving: Arc<AtomicBool>,
}

impl LocalNearline {
    /// Opens the store of a directory.
    pub(crate) fn open(root: &Arc<Root>, database: &Arc<Database>) -> Result<Self> {
        Ok(Self {
            store: Arc::new(Store::open(root, database)?),
            gate: Arc::default(),
            relief: Mutex::default(),
            is_relieving: Arc::default(),
        })
    }

    /// Rows may come from `log`.
    pub(crate) fn add_source(&self, log: &Arc<Log>) {
        self.store.add_source(log);
    }

    /// Waits for what runs beside, and makes all rows durable.
    pub(crate) async fn close(&self) -> Result<()> {
        let mut relief = std::mem::take(&mut *self.relief.lock().unwrap_or_else(PoisonError::into_inner));
        while relief.join_next().await.is_some() {}
        self.behind_gate(|store| {
            store.sync_rows()?;
            store.journal.lock().unwrap_or_else(PoisonError::into_inner).seal()
        })
        .await
    }

    async fn behind_gate<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let guard = Arc::clone(&self.gate).lock_owned().await;
        let store = Arc::clone(&self.store);
        // The guard goes with the work: a caller who leaves does not let the next one in early.
        let done = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = guard;
            work(&store)
        });
        done.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Cancelled, "the work was cut off").with_source(error).and_may_have_applied())
        })
    }

    /// Moves rows to disk when there are many in memory: beside the writers first, before them when that is too slow.
    async fn keep_bounded(&self) -> Result<()> {
        let memory = || self.store.memory.load(Ordering::Relaxed);
        let memory_max = self.store.root.options.memtable_bytes;
        if memory() > memory_max {
            return self
                .behind_gate(move |store| {
                    let is_still = store.memory.load(Ordering::Relaxed) > memory_max;
                    if is_still { store.relieve() } else { Ok(()) }
                })
                .await;
        }
        if memory() > memory_max / 4 * 3 && !self.is_relieving.swap(true, Ordering::AcqRel) {
            let (gate, store, is_relieving) =
                (Arc::clone(&self.gate), Arc::clone(&self.store), Arc::clone(&self.is_relieving));
            let mut relief = self.relief.lock().unwrap_or_else(PoisonError::into_inner);
            while relief.try_join_next().is_some() {}
            relief.spawn(async move {
                let guard = gate.lock_owned().await;
                let work = tokio::task::spawn_blocking(move || {
                    let _one_at_a_time = guard;
                    if let Err(error) = store.relieve() {
                        tracing::warn!(%error, "rows could not move to disk");
                    }
                    is_relieving.store(false, Ordering::Release);
                });
                // A panic there is reported by the runtime; the next writer tries again.
                let _ = work.await;
            });
        }
        Ok(())
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
            Ok(()) => self.store.write(tenant, metric, &rows),
            Err(error) => {
                // Rows that were not looked at were not written, whatever became of others.
                let refusal = Error::new(error.kind(), error.message()).with_source(error);
                rows.iter().map(|_| Outcome::NotDone(refusal.clone())).collect()
            }
        }
    }

    async fn sync(&self) -> Outcome<()> {
        self.behind_gate(Store::sync_rows).await.into()
    }

    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        let table = self.store.table(&request.tenant, &request.metric);
        let snapshot = table.map_or_else(|| Ok(scan::Snapshot::default()), |table| table.snapshot(&request));
        scan::batches(request, snapshot)
    }

    async fn remove(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64> {
        let (tenant, metric, cover) = (tenant.clone(), metric.clone(), cover.clone());
        self.behind_gate(move |store| store.remove_covered(&tenant, &metric, &cover)).await.into()
    }

    async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        Ok(self.store.metrics(tenant))
    }

    async fn damages(&self) -> Result<Vec<Damage>> {
        self.store.damages()
    }

    async fn mended(&self, damage: &Damage) -> Outcome<()> {
        let damage = damage.clone();
        self.behind_gate(move |store| store.mended(&damage)).await.into()
    }
}
