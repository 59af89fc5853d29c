//! The tables of a store and what they share.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use fineo_core::{
    Entropy, Error, MetricId, Outcome, Result, SystemEntropy, TenantId,
    nearline::{RowHead, Rows, ScanRequest, Written},
};

use super::{
    cache::Cache,
    damage,
    hash::id_hash,
    journal::{self, Journal, Record},
    manifest::{Manifest, SegmentEntry, TableKey, cut_key},
    memtable::Memtable,
    pack::Pack,
    reach::Reach,
    scan::Snapshot,
    segment::Segment,
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
    pub(super) reaches: Mutex<BTreeMap<TableKey, Reach>>,
    tables: RwLock<BTreeMap<TableKey, Arc<Table>>>,
    /// The streams that rows come from: they must be on disk before the rows are.
    sources: Mutex<Vec<Weak<Log>>>,
    /// The memory that memtables take, about.
    pub(super) memory: AtomicUsize,
    next_number: AtomicU64,
    entropy: SystemEntropy,
}

/// The rows of one tenant and metric.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) key: TableKey,
    state: Mutex<TableState>,
}

/// Where the rows of a table are.
#[derive(Debug)]
pub(super) struct TableState {
    /// Takes new rows.
    pub(super) active: Arc<Memtable>,
    /// On their way to a segment.
    pub(super) frozen: Vec<Arc<Memtable>>,
    pub(super) segments: Vec<Stored>,
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

impl Table {
    /// The state, for a moment.
    pub(super) fn state(&self) -> MutexGuard<'_, TableState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a scan goes through that begins now; fails where `request` needs what is set aside.
    pub(super) fn snapshot(&self, request: &ScanRequest) -> Result<Snapshot> {
        let state = self.state();
        let mut snapshot = Snapshot::default();
        for memtable in state.frozen.iter().chain([&state.active]) {
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

    fn has_rows(&self) -> bool {
        let state = self.state();
        !state.segments.is_empty()
            || state.frozen.iter().chain([&state.active]).any(|memtable| memtable.read().len() > 0)
    }
}

impl Store {
    /// Opens the store: live segments, and the journal's rows in memory.
    pub(super) fn open(root: &Arc<Root>, database: &Arc<SharedDatabase>) -> Result<Self> {
        let folder = root.path.join("nearline");
        root.create_directories(&folder)?;
        let manifest = Manifest::open(database)?;
        let loaded = manifest.load()?;
        let cache = Arc::new(Cache::new(root.options.cache_bytes));
        let entropy = SystemEntropy::new();
        let mut tables: BTreeMap<TableKey, Arc<Table>> = BTreeMap::new();
        let mut next_number = 1;
        let mut packs: BTreeMap<u64, Result<Arc<Pack>>> = BTreeMap::new();
        for entry in loaded.segments {
            next_number = next_number.max(entry.number + 1).max(entry.pack + 1);
            let key = entry.key()?;
            let table = tables.entry(key.clone()).or_insert_with(|| Table::new(key, &entropy));
            if entry.is_of_journal() {
                let error = Error::corrupt("the journal was damaged").with("unit", entry.number);
                table.state().segments.push(Stored::Damaged(Arc::new(entry), error));
                continue;
            }
            let pack = packs.entry(entry.pack).or_insert_with(|| Pack::open(root, &folder, entry.pack, false));
            let stored = match pack.clone().and_then(|pack| Segment::open(entry.clone(), pack, &cache)) {
                Ok(segment) => Stored::Whole(Arc::new(segment)),
                Err(error) => {
                    tracing::error!(%error, "a segment cannot be read");
                    Stored::Damaged(Arc::new(entry), error)
                }
            };
            table.state().segments.push(stored);
        }
        next_number = next_number.max(remove_orphans(root, &folder, &packs)?);
        // The files that the cuts are of may be gone.
        let behind_cuts = loaded.cuts.values().map(|(file, _)| file + 1).max().unwrap_or(1);
        let (journal, damage) = Journal::open(root, folder.clone(), behind_cuts, |place, record| {
            let (Record::Rows(key, _) | Record::Removal(key, _)) = &record;
            if loaded.cuts.get(&cut_key(key.0.as_str(), key.1.as_str())).is_some_and(|cut| place < *cut) {
                return Ok(());
            }
            let table = tables.entry(key.clone()).or_insert_with(|| Table::new(key.clone(), &entropy));
            replay(&mut table.state(), record)
        })?;
        let memory = tables.values().map(|table| table.state().active.read().memory_bytes()).sum();
        let store = Self {
            root: Arc::clone(root),
            folder,
            manifest,
            cache,
            journal: Mutex::new(journal),
            reaches: Mutex::new(loaded.reaches),
            tables: RwLock::new(tables),
            sources: Mutex::default(),
            memory: AtomicUsize::new(memory),
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

    /// An empty memtable.
    pub(super) fn memtable(&self) -> Arc<Memtable> {
        Arc::new(Memtable::new(seed(&self.entropy)))
    }

    /// All tables.
    pub(super) fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The table of `key`, if it ever had rows.
    pub(super) fn table(&self, tenant: &TenantId, metric: &MetricId) -> Option<Arc<Table>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(&(tenant.clone(), metric.clone())).cloned()
    }

    pub(super) fn table_or_new(&self, tenant: &TenantId, metric: &MetricId) -> Arc<Table> {
        if let Some(table) = self.table(tenant, metric) {
            return table;
        }
        let key = (tenant.clone(), metric.clone());
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.entry(key.clone()).or_insert_with(|| Table::new(key, &self.entropy)))
    }

    /// The metrics of `tenant` that have rows.
    pub(super) fn metrics(&self, tenant: &TenantId) -> Vec<MetricId> {
        let tables = self.tables();
        let of_tenant = tables.iter().filter(|table| table.key.0 == *tenant && table.has_rows());
        of_tenant.map(|table| table.key.1.clone()).collect()
    }

    /// Writes rows; they are visible when this returns.
    pub(super) fn write(&self, tenant: &TenantId, metric: &MetricId, rows: &Rows) -> Vec<Outcome<Written>> {
        let table = self.table_or_new(tenant, metric);
        let state = table.state();
        let stored = stored_answers(&state.segments, rows);
        let frozen: Vec<_> = state.frozen.iter().map(|memtable| memtable.read()).collect();
        let mut active = state.active.write();
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
        self.memory.fetch_add(active.memory_bytes() - bytes, Ordering::Relaxed);
        outcomes
    }
}

impl Table {
    fn new(key: TableKey, entropy: &SystemEntropy) -> Arc<Self> {
        let active = Arc::new(Memtable::new(seed(entropy)));
        Arc::new(Self { key, state: Mutex::new(TableState { active, frozen: Vec::new(), segments: Vec::new() }) })
    }
}

fn seed(entropy: &SystemEntropy) -> u64 {
    let mut seed = [0; 8];
    entropy.fill(&mut seed);
    u64::from_le_bytes(seed)
}

/// What the segments know of each row's id: the filters are asked segment by segment, which the processor can
/// overlap, and the few that may hold the id are read.
fn stored_answers(segments: &[Stored], rows: &Rows) -> Vec<Result<Option<Written>>> {
    let mut answers: Vec<Result<Option<Written>>> = rows.iter().map(|_| Ok(None)).collect();
    if segments.is_empty() {
        return answers;
    }
    let hashes: Vec<u64> = rows.iter().map(|row| id_hash(&row.head().id)).collect();
    for stored in segments {
        // Whether a damaged segment has an id nobody can say: it is written again when that is mended.
        let Stored::Whole(segment) = stored else { continue };
        for (place, hash) in hashes.iter().enumerate() {
            if segment.may_contain(*hash) && matches!(answers[place], Ok(None)) {
                let head: Option<&RowHead> = rows.get(place).map(|row| row.head());
                answers[place] = head.map_or(Ok(None), |head| segment.find(head));
            }
        }
    }
    answers
}

fn replay(state: &mut TableState, record: Record<'_>) -> Result<()> {
    match record {
        Record::Rows(_, mut take) => {
            let before = state.active.read().len();
            let applied = journal::apply_rows(&mut take, &mut state.active.write());
            if applied.is_none() {
                // Half a record is none.
                let kept = {
                    let rows = state.active.read();
                    let is_gone: Vec<bool> = (0..rows.len()).map(|row| row >= before).collect();
                    rows.without(&is_gone)
                };
                state.active = Arc::new(kept);
            }
            applied.ok_or_else(|| Error::corrupt("a record of the nearline journal does not add up"))
        }
        Record::Removal(_, cover) => {
            let kept = {
                let rows = state.active.read();
                rows.without(&rows.covered(&cover, 0, rows.len()))
            };
            state.active = Arc::new(kept);
            Ok(())
        }
    }
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
