//! What became of each tenant's events since this process began.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fineo_core::{Code, TenantId};

/// The counts of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantCounts {
    /// Events that are in the stream.
    pub accepted: u64,
    /// Events refused at the edge and events that a stage found malformed, by code.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Rows that are new in the nearline store.
    pub rows: u64,
    /// Rows that were there already.
    pub duplicates: u64,
    /// Rows whose id was taken by other content.
    pub conflicts: u64,
    /// Events that could not be passed on because of us.
    pub failed: u64,
}

impl TenantCounts {
    /// All rejected events.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut rejected = self.rejected.clone();
        for (code, count) in &mut rejected {
            *count -= earlier.rejected.get(code).copied().unwrap_or(0).min(*count);
        }
        rejected.retain(|_, count| *count > 0);
        Self {
            accepted: self.accepted - earlier.accepted.min(self.accepted),
            rejected,
            rows: self.rows - earlier.rows.min(self.rows),
            duplicates: self.duplicates - earlier.duplicates.min(self.duplicates),
            conflicts: self.conflicts - earlier.conflicts.min(self.conflicts),
            failed: self.failed - earlier.failed.min(self.failed),
        }
    }
}

/// The counts of every tenant. One lock per batch, none per event.
#[derive(Debug, Default)]
pub struct Counters {
    tenants: Mutex<BTreeMap<TenantId, TenantCounts>>,
    without_tenant: Mutex<BTreeMap<&'static str, u64>>,
    losses: Mutex<u64>,
}

impl Counters {
    /// The counts of `tenant` so far.
    pub fn tenant(&self, tenant: &TenantId) -> TenantCounts {
        lock(&self.tenants).get(tenant).cloned().unwrap_or_default()
    }

    /// The counts of every tenant so far.
    pub fn all(&self) -> BTreeMap<TenantId, TenantCounts> {
        lock(&self.tenants).clone()
    }

    /// Events refused because nobody could say whose they are, by code.
    pub fn without_tenant(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.without_tenant).clone()
    }

    /// How often entries were gone before they were read.
    pub fn losses(&self) -> u64 {
        *lock(&self.losses)
    }

    pub(crate) fn add(&self, tenant: &TenantId, change: impl FnOnce(&mut TenantCounts)) {
        let mut tenants = lock(&self.tenants);
        match tenants.get_mut(tenant) {
            Some(counts) => change(counts),
            None => change(tenants.entry(tenant.clone()).or_default()),
        }
    }

    pub(crate) fn reject(&self, tenant: Option<&TenantId>, code: Code) {
        match tenant {
            Some(tenant) => self.add(tenant, |counts| *counts.rejected.entry(code.as_str()).or_default() += 1),
            None => *lock(&self.without_tenant).entry(code.as_str()).or_default() += 1,
        }
    }

    pub(crate) fn lose(&self) {
        *lock(&self.losses) += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
