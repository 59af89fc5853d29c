//! The tables of a store and what they share.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use fineo_core::{
    Entropy, Error, ErrorKind, MetricId, Outcome, Result, SystemEntropy, TenantId,
    nearline::{Rows, Written},
};

use super::{
    cache::Cache,
    journal::{self, Journal, Record},
    journal_reach::JournalReach,
    look_up::{Answers, LookUp},
    manifest::{Manifest, TableKey, cut_key},
    memtable::Memtable,
    pack::Pack,
    packs::LivePacks,
    segment::Segment,
    table::{Stored, Table, TableState, Tables, Unsynced},
};
use crate::{disk, failure, log::Log, repo::database::SharedDatabase, root::Root};

/// Everything of the nearline store of a directory.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) root: Arc<Root>,
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) cache: Arc<Cache>,
    pub(super) journal: Mutex<Journal>,
    /// Where each table's rows in the journal begin, as the manifest knows it.
    pub(super) reaches: Mutex<BTreeMap<TableKey, JournalReach>>,
    /// The packs of the segments of all tables.
    pub(super) live: LivePacks,
    pub(super) unsynced: Unsynced,
    tables: RwLock<Tables>,
    /// The streams that rows come from: they must be on disk before the rows are.
    sources: Mutex<Vec<Weak<Log>>>,
    /// The memory that memtables take, about.
    pub(super) memory: AtomicUsize,
    next_number: AtomicU64,
    entropy: SystemEntropy,
}

impl Store {
    /// Opens the store: live segments, and the journal's rows in memory.
    pub(super) fn open(root: &Arc<Root>, database: &Arc<SharedDatabase>) -> Result<Self> {
        let folder = root.path.join("nearline");
        root.create_directories(&folder)?;
        let manifest = Manifest::open(database)?;
        let mut loaded = manifest.load()?;
        let cache = Arc::new(Cache::new(root.options.cache_bytes));
        let entropy = SystemEntropy::new();
        let (mut tables, live) = (Tables::default(), LivePacks::default());
        let mut next_number = 1;
        let mut packs: BTreeMap<u64, Result<Arc<Pack>>> = BTreeMap::new();
        for entry in std::mem::take(&mut loaded.segments) {
            next_number = next_number.max(entry.number + 1).max(entry.pack + 1);
            let (tenant, metric) = entry.key()?;
            let table = tables.get_or_new(&tenant, &metric);
            live.add(&entry);
            if entry.is_of_journal() {
                let error = Error::corrupt("the journal was damaged").with("unit", entry.number);
                table.state().segments.push(Stored::Damaged(Arc::new(entry), error));
                continue;
            }
            let pack = packs.entry(entry.pack).or_insert_with(|| Pack::open(root, &folder, entry.pack, false));
            let stored = match pack.clone().and_then(|pack| Segment::open(entry.clone(), pack, &cache)) {
                Ok(segment) => Stored::Whole(Arc::new(segment)),
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    tracing::error!(%error, "a segment cannot be read");
                    Stored::Damaged(Arc::new(entry), error)
                }
                // It may be whole: what is set aside is written again, and then removed.
                Err(error) => return Err(error),
            };
            table.state().segments.push(stored);
        }
        next_number = next_number.max(remove_orphans(root, &folder, &packs)?);
        let (journal, damage) = Journal::open(root, folder.clone(), (&manifest, &loaded), |place, record| {
            let (Record::Rows(key, _) | Record::Removal(key, _)) = &record;
            if loaded.cuts.get(&cut_key(key.0.as_str(), key.1.as_str())).is_some_and(|cut| place < *cut) {
                return Ok(());
            }
            replay(&mut tables.get_or_new(&key.0, &key.1).state(), record, || seed(&entropy))
        })?;
        let (unsynced, memory) = (Unsynced::default(), AtomicUsize::new(0));
        for table in tables.all() {
            let mut state = table.state();
            memory.fetch_add(state.memory_bytes(), Ordering::Relaxed);
            // The journal has all of its rows; the first sync finds whether they are enough for a segment.
            unsynced.add(table, &mut state);
        }
        let store = Self {
            root: Arc::clone(root),
            folder,
            manifest,
            cache,
            journal: Mutex::new(journal),
            reaches: Mutex::new(loaded.reaches),
            live,
            unsynced,
            tables: RwLock::new(tables),
            sources: Mutex::default(),
            memory,
            next_number: AtomicU64::new(next_number),
            entropy,
        };
        if let Some(error) = damage {
            store.set_journal_aside(&error)?;
        }
        Ok(store)
    }

    /// The next number of a pack or a segment.
    pub(super) fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Rows may come from `log`.
    pub(super) fn add_source(&self, log: &Arc<Log>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|source| source.strong_count() > 0);
        sources.push(Arc::downgrade(log));
    }

    /// Makes the streams durable that rows come from. Blocks.
    pub(super) fn sync_sources(&self) -> Result<()> {
        let sources: Vec<_> = {
            let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            sources.iter().filter_map(Weak::upgrade).collect()
        };
        sources.iter().try_for_each(|source| source.sync_blocking())
    }

    /// All tables.
    pub(super) fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).all().cloned().collect()
    }

    /// The table of `tenant` and `metric`, if it ever had rows.
    pub(super) fn table(&self, tenant: &TenantId, metric: &MetricId) -> Option<Arc<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).get(tenant, metric).cloned()
    }

    pub(super) fn table_or_new(&self, tenant: &TenantId, metric: &MetricId) -> Arc<Table> {
        if let Some(table) = self.table(tenant, metric) {
            return table;
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.get_or_new(tenant, metric))
    }

    /// The metrics of `tenant` that have rows.
    pub(super) fn metrics(&self, tenant: &TenantId) -> Vec<MetricId> {
        let tables: Vec<_> = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            tables.of_tenant(tenant).cloned().collect()
        };
        tables.iter().filter(|table| table.has_rows()).map(|table| table.key.1.clone()).collect()
    }

    /// Writes rows; they are visible when this returns.
    pub(super) async fn write(&self, tenant: &TenantId, metric: &MetricId, rows: &Rows) -> Vec<Outcome<Written>> {
        let table = self.table_or_new(tenant, metric);
        let mut look_up = LookUp::new(rows);
        loop {
            if let Some(outcomes) = self.write_known(&table, rows, &mut look_up) {
                return outcomes;
            }
            // Nobody waits for the table meanwhile. It may have other segments then.
            look_up = match look_up.read_beside().await {
                Ok(look_up) => look_up,
                Err(error) => return rows.iter().map(|_| Outcome::NotDone(error.clone())).collect(),
            };
        }
    }

    /// Writes rows to `table`; none are written where many of them have to be looked up on the disk first.
    fn write_known(&self, table: &Arc<Table>, rows: &Rows, look_up: &mut LookUp) -> Option<Vec<Outcome<Written>>> {
        let mut state = table.state();
        let stored = look_up.ask(&state.segments, rows)?;
        let memtable = state.active.get_or_insert_with(|| Arc::new(Memtable::new(seed(&self.entropy))));
        let memtable = Arc::clone(memtable);
        let outcomes = self.write_to(&memtable, &state, rows, stored);
        let is_unsynced = {
            let rows = memtable.read();
            rows.len() > rows.journaled
        };
        if is_unsynced {
            self.unsynced.add(table, &mut state);
        }
        state.drop_empty();
        Some(outcomes)
    }

    /// Writes rows to `active`, the table's memtable, unless they are in `state` or `stored` in segments.
    fn write_to(&self, active: &Memtable, state: &TableState, rows: &Rows, stored: Answers) -> Vec<Outcome<Written>> {
        let frozen: Vec<_> = state.frozen.iter().map(|memtable| memtable.read()).collect();
        let mut active = active.write();
        let bytes = active.memory_bytes();
        let mut numbers = vec![u32::MAX; rows.names().len()];
        let mut outcomes = Vec::with_capacity(rows.len());
        for (row, stored) in rows.iter().zip(stored) {
            let head = row.head();
            let known = match stored {
                Ok(Some(written)) => Some(written),
                Ok(None) => active.find(head).or_else(|| frozen.iter().find_map(|rows| rows.find(head))),
                Err(error) => {
                    outcomes.push(Outcome::NotDone(error));
                    continue;
                }
            };
            if known.is_none() {
                active.push_row(&row, rows.shard(), rows.names(), &mut numbers);
            }
            outcomes.push(Outcome::Done(known.unwrap_or(Written::New)));
        }
        self.memory_changed(bytes, active.memory_bytes());
        outcomes
    }

    /// A memtable that took `before` bytes takes `after`.
    pub(super) fn memory_changed(&self, before: usize, after: usize) {
        // It wraps where that is less, and the sum of all is right again.
        self.memory.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}

fn seed(entropy: &SystemEntropy) -> u64 {
    let mut seed = [0; 8];
    entropy.fill(&mut seed);
    u64::from_le_bytes(seed)
}

/// Makes with the rows in memory what `record` says. `seed` gives chance.
fn replay(state: &mut TableState, record: Record<'_>, seed: impl Fn() -> u64) -> Result<()> {
    let active = state.active.get_or_insert_with(|| Arc::new(Memtable::new(seed())));
    let replayed = match record {
        Record::Rows(_, mut take) => {
            let before = active.read().len();
            let applied = journal::apply_rows(&mut take, &mut active.write());
            if applied.is_none() {
                // Half a record is none.
                let kept = {
                    let rows = active.read();
                    let is_gone: Vec<bool> = (0..rows.len()).map(|row| row >= before).collect();
                    rows.without(&is_gone)
                };
                *active = Arc::new(kept);
            }
            applied.ok_or_else(|| Error::corrupt("a record of the nearline journal does not add up"))
        }
        Record::Removal(_, cover) => {
            let kept = {
                let rows = active.read();
                rows.without(&rows.covered(&cover, 0, rows.len()))
            };
            *active = Arc::new(kept);
            Ok(())
        }
    };
    state.drop_empty();
    replayed
}

/// Removes packs that no live segment is in; answers a number behind all of theirs.
fn remove_orphans(root: &Root, folder: &std::path::Path, live: &BTreeMap<u64, Result<Arc<Pack>>>) -> Result<u64> {
    let names = disk::names(folder).map_err(|source| failure::disk_error("list", folder, source))?;
    let mut next = 1;
    for number in names.iter().filter_map(|name| Pack::number_of_name(name)) {
        next = next.max(number + 1);
        if !live.contains_key(&number) {
            let path = Pack::path(folder, number);
            root.disk.remove(&path).map_err(|source| failure::disk_error("remove", &path, source))?;
        }
    }
    Ok(next)
}
