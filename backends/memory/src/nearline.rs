//! A nearline store in memory: one table per tenant and metric, scanned from a snapshot.

mod batch;
mod table;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use fineo_core::{
    Cover, Durability, Error, MetricId, NearlineStore, Outcome, Result, TenantId,
    nearline::{NearlineCapabilities, Predicate, Pushdown, Rows, ScanRequest, Written},
};
use futures::stream::{self, BoxStream, StreamExt};

use batch::Batches;
use table::Table;

const ROWS_MAX: usize = 65_536;

/// A [`NearlineStore`] in memory. Clones share its rows.
#[derive(Clone, Default)]
pub struct MemoryNearline(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tables: BTreeMap<(TenantId, MetricId), Table>,
    // How many rows were ever written, and how many of them before the last sync.
    written: u64,
    synced: u64,
}

impl MemoryNearline {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses power: rows written since the last sync are gone.
    pub fn crash(&self) {
        let mut state = self.state();
        let synced = state.synced;
        for table in state.tables.values_mut() {
            table.retain(|row| row.number <= synced);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl NearlineStore for MemoryNearline {
    fn capabilities(&self) -> NearlineCapabilities {
        NearlineCapabilities { durability: Durability::Volatile, rows_max: ROWS_MAX }
    }

    fn pushdown(&self, predicate: &Predicate) -> Pushdown {
        match predicate {
            Predicate::AnyText { .. } | Predicate::AnyPresent { .. } => Pushdown::Exact,
        }
    }

    async fn write(&self, tenant: &TenantId, metric: &MetricId, rows: Rows) -> Vec<Outcome<Written>> {
        let mut state = self.state();
        let State { tables, written, .. } = &mut *state;
        let table = tables.entry((tenant.clone(), metric.clone())).or_default();
        let mut outcomes = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            if index >= ROWS_MAX {
                let error = Error::invalid("too many rows at once").with("rows_max", ROWS_MAX);
                outcomes.push(Outcome::NotDone(error));
                continue;
            }
            *written += 1;
            outcomes.push(Outcome::Done(table.write(&rows, row, *written)));
        }
        outcomes
    }

    async fn sync(&self) -> Outcome<()> {
        let mut state = self.state();
        state.synced = state.written;
        Outcome::Done(())
    }

    fn scan(&self, request: ScanRequest) -> BoxStream<'static, Result<RecordBatch>> {
        let key = (request.tenant.clone(), request.metric.clone());
        let rows = self.state().tables.get(&key).map_or_else(Vec::new, |table| table.snapshot(&request.time));
        stream::iter(Batches::new(request, rows)).boxed()
    }

    async fn remove(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Outcome<u64> {
        let mut state = self.state();
        let table = state.tables.get_mut(&(tenant.clone(), metric.clone()));
        let removed = table.map_or(0, |table| table.retain(|row| !cover.contains(&row.shard, row.head.position)));
        Outcome::Done(removed)
    }

    async fn metrics(&self, tenant: &TenantId) -> Result<Vec<MetricId>> {
        let state = self.state();
        let of_tenant = state.tables.iter().filter(|((owner, _), table)| owner == tenant && !table.is_empty());
        Ok(of_tenant.map(|((_, metric), _)| metric.clone()).collect())
    }
}

impl fmt::Display for MemoryNearline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory nearline store")
    }
}

impl fmt::Debug for MemoryNearline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryNearline")
    }
}

#[cfg(test)]
mod tests;
