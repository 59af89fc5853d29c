//! The tables of a store: where the rows of each tenant and metric are, and which of them no disk has yet.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fineo_core::{Error, MetricId, Result, TenantId, nearline::ScanRequest};

use super::{
    damage,
    manifest::{SegmentEntry, TableKey},
    memtable::Memtable,
    scan::Snapshot,
    segment::Segment,
};

/// The rows of one tenant and metric.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) key: TableKey,
    state: Mutex<TableState>,
}

/// Where the rows of a table are.
#[derive(Debug, Default)]
pub(super) struct TableState {
    /// Takes new rows; none where there are no rows in it, as in most of many tables.
    pub(super) active: Option<Arc<Memtable>>,
    /// On their way to a segment.
    pub(super) frozen: Vec<Arc<Memtable>>,
    pub(super) segments: Vec<Stored>,
    /// Whether it is among the [`Unsynced`].
    is_unsynced: bool,
}

/// A segment, or why it cannot be read.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    Whole(Arc<Segment>),
    Damaged(Arc<SegmentEntry>, Error),
}

impl Stored {
    /// What the manifest knows of it.
    pub(super) fn entry(&self) -> &SegmentEntry {
        match self {
            Self::Whole(segment) => &segment.entry,
            Self::Damaged(entry, _) => entry,
        }
    }

    /// Why it is set aside, if it is.
    pub(super) fn damage(&self) -> Option<&Error> {
        match self {
            Self::Whole(segment) => segment.damage(),
            Self::Damaged(_, error) => Some(error),
        }
    }
}

impl TableState {
    /// What has rows in memory.
    pub(super) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        self.frozen.iter().chain(&self.active)
    }

    /// The memory that they take, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memtables().map(|memtable| memtable.read().memory_bytes()).sum()
    }

    /// Lets go of memtables without rows.
    pub(super) fn drop_empty(&mut self) {
        self.frozen.retain(|memtable| memtable.read().len() > 0);
        self.active.take_if(|memtable| memtable.read().len() == 0);
    }
}

impl Table {
    fn new(key: TableKey) -> Arc<Self> {
        Arc::new(Self { key, state: Mutex::default() })
    }

    /// The state, for a moment.
    pub(super) fn state(&self) -> MutexGuard<'_, TableState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a scan goes through that begins now; fails where `request` needs what is set aside.
    pub(super) fn snapshot(&self, request: &ScanRequest) -> Result<Snapshot> {
        let state = self.state();
        let mut snapshot = Snapshot::default();
        for memtable in state.memtables() {
            let rows = memtable.read().len();
            if rows > 0 {
                snapshot.memtables.push((Arc::clone(memtable), rows));
            }
        }
        for stored in &state.segments {
            match (stored.damage(), stored) {
                (Some(error), _) if damage::is_asked_for(stored.entry(), request) => {
                    return Err(error.clone().with("hint", "these rows are being written again: ask in a moment"));
                }
                (None, Stored::Whole(segment)) => snapshot.segments.push(Arc::clone(segment)),
                (Some(_), _) | (None, Stored::Damaged(..)) => {}
            }
        }
        Ok(snapshot)
    }

    /// Whether it has any rows.
    pub(super) fn has_rows(&self) -> bool {
        let state = self.state();
        !state.segments.is_empty() || state.memtables().any(|memtable| memtable.read().len() > 0)
    }
}

/// The tables by tenant and metric.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<TenantId, BTreeMap<MetricId, Arc<Table>>>);

impl Tables {
    /// The table of `tenant` and `metric`, if it ever had rows.
    pub(super) fn get(&self, tenant: &TenantId, metric: &MetricId) -> Option<&Arc<Table>> {
        self.0.get(tenant)?.get(metric)
    }

    /// The table of `tenant` and `metric`; a new one if there is none yet.
    pub(super) fn get_or_new(&mut self, tenant: &TenantId, metric: &MetricId) -> &Arc<Table> {
        let of_tenant = self.0.entry(tenant.clone()).or_default();
        of_tenant.entry(metric.clone()).or_insert_with(|| Table::new((tenant.clone(), metric.clone())))
    }

    /// The tables of `tenant`.
    pub(super) fn of_tenant(&self, tenant: &TenantId) -> impl Iterator<Item = &Arc<Table>> {
        self.0.get(tenant).into_iter().flat_map(BTreeMap::values)
    }

    /// All tables.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.0.values().flat_map(BTreeMap::values)
    }
}

/// The tables that may have rows which no disk has, each once: a sync looks at no others.
#[derive(Debug, Default)]
pub(super) struct Unsynced(Mutex<Vec<Arc<Table>>>);

impl Unsynced {
    fn tables(&self) -> MutexGuard<'_, Vec<Arc<Table>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `table`, whose state is `state`.
    pub(super) fn add(&self, table: &Arc<Table>, state: &mut TableState) {
        if !mem::replace(&mut state.is_unsynced, true) {
            self.tables().push(Arc::clone(table));
        }
    }

    /// Adds all of `tables`: what was to become of their rows failed.
    pub(super) fn add_all(&self, tables: &[Arc<Table>]) {
        for table in tables {
            self.add(table, &mut table.state());
        }
    }

    /// Takes all out. Rows that are there by then are seen in them; later ones add their table again.
    pub(super) fn take(&self) -> Vec<Arc<Table>> {
        let tables = mem::take(&mut *self.tables());
        for table in &tables {
            table.state().is_unsynced = false;
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::{MetricId, Tables, TenantId, Unsynced};

    #[test]
    fn a_table_is_unsynced_once_until_it_is_taken() {
        let (mut tables, unsynced) = (Tables::default(), Unsynced::default());
        let tenant = TenantId::new("acme").unwrap();
        let table = tables.get_or_new(&tenant, &MetricId::numbered(1)).clone();
        for _ in 0..2 {
            unsynced.add(&table, &mut table.state());
            unsynced.add(&table, &mut table.state());
            let taken = unsynced.take();
            assert_eq!(taken.len(), 1);
            assert!(unsynced.take().is_empty());
            unsynced.add_all(&taken);
            assert_eq!(unsynced.take().len(), 1);
        }
    }

    #[test]
    fn a_tenant_has_its_own_tables() {
        let mut tables = Tables::default();
        for (tenant, metric) in [("b", 1), ("a", 2), ("b", 2), ("ab", 1), ("b", 1)] {
            tables.get_or_new(&TenantId::new(tenant).unwrap(), &MetricId::numbered(metric));
        }
        assert_eq!(tables.all().count(), 4);
        for (tenant, count) in [("a", 1), ("b", 2), ("ab", 1), ("c", 0)] {
            assert_eq!(tables.of_tenant(&TenantId::new(tenant).unwrap()).count(), count, "{tenant}");
        }
    }
}
