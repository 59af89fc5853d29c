//! Moves rows from memory to disk: a few to the journal, many to segments.
//!
//! Everything here runs in the keeper's thread, one at a time.

use std::{
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use fineo_core::Result;

use super::{
    manifest::{Change, SegmentEntry},
    memtable::Memtable,
    pack::Pack,
    segment::Segment,
    segment_writer::{self, Input, Target},
    store::Store,
    table::{Stored, Table},
};
use crate::failure;

/// A memtable of at least this many bytes becomes a segment when it is synced; a smaller one goes to the journal.
const SEGMENT_BYTES_MIN: usize = 1 << 20;

impl Store {
    /// Makes every row durable.
    pub(super) fn sync_rows(&self) -> Result<()> {
        self.root.check_writable()?;
        let tables = self.unsynced.take();
        self.sync_tables(&tables).inspect_err(|_| self.unsynced.add_all(&tables))
    }

    /// Makes the rows of `tables` durable; the disk has those of all others.
    fn sync_tables(&self, tables: &[Arc<Table>]) -> Result<()> {
        let journal_bytes = self.journal.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        if journal_bytes > self.root.options.journal_bytes {
            // Of all tables: the rows that others have in memory are in the journal alone.
            return self.restart_journal(&self.tables());
        }
        let is_large = |table: &&Arc<Table>| {
            let state = table.state();
            !state.frozen.is_empty() || state.memory_bytes() >= self.segment_bytes_min()
        };
        let large: Vec<Arc<Table>> = tables.iter().filter(is_large).cloned().collect();
        if !large.is_empty() {
            self.flush(&large)?;
        }
        self.journal_rest(tables)
    }

    fn segment_bytes_min(&self) -> usize {
        SEGMENT_BYTES_MIN.min(self.root.options.memtable_bytes / 4)
    }

    /// Writes the rows that the journal does not have yet.
    fn journal_rest(&self, tables: &[Arc<Table>]) -> Result<()> {
        let mut pending: Vec<(Arc<Table>, Arc<Memtable>, usize)> = Vec::new();
        for table in tables {
            let Some(active) = table.state().active.clone() else { continue };
            let rows = active.read();
            if rows.journaled < rows.len() {
                let len = rows.len();
                drop(rows);
                pending.push((Arc::clone(table), active, len));
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        self.note_reaches(&pending)?;
        self.sync_sources()?;
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let before = journal.place();
        let written = pending.iter().try_for_each(|(table, memtable, len)| {
            let rows = memtable.read();
            journal.rows(&table.key, &rows, rows.journaled..*len)
        });
        // The next sync writes all of them again; what is there twice would be read twice.
        written.inspect_err(|_| journal.take_back(before))?;
        journal.sync()?;
        for (_, memtable, len) in &pending {
            memtable.write().journaled = *len;
        }
        Ok(())
    }

    /// Notes where the rows begin that the journal is to hold, before it does.
    fn note_reaches(&self, pending: &[(Arc<Table>, Arc<Memtable>, usize)]) -> Result<()> {
        let mut known = self.reaches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reaches = Vec::new();
        for (table, memtable, len) in pending {
            let rows = memtable.read();
            let mut reach = known.get(&table.key).cloned().unwrap_or_default();
            if reach.extend(&rows, rows.journaled..*len) {
                reaches.push((table.key.clone(), reach));
            }
        }
        if !reaches.is_empty() {
            self.commit(&Change { reaches: reaches.clone(), ..Change::default() })?;
            known.extend(reaches);
        }
        Ok(())
    }

    /// Moves all rows to segments and begins the journal anew.
    pub(super) fn restart_journal(&self, tables: &[Arc<Table>]) -> Result<()> {
        self.flush(tables)?;
        // What is left of them is of tables whose rows were all removed.
        let left = self.reaches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !left.is_empty() {
            let place = self.journal.lock().unwrap_or_else(PoisonError::into_inner).place();
            let change = Change { cuts: left.into_keys().map(|key| (key, place)).collect(), ..Change::default() };
            self.commit(&change)?;
            self.forget_reaches(&change);
        }
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).restart()
    }

    /// Moves the largest memtables to segments until half of the memory is free.
    pub(super) fn relieve(&self) -> Result<()> {
        self.root.check_writable()?;
        let target = self.root.options.memtable_bytes / 2;
        let sized = |table: Arc<Table>| {
            let bytes = table.state().memory_bytes();
            (bytes, table)
        };
        let mut sized: Vec<(usize, Arc<Table>)> = self.tables().into_iter().map(sized).collect();
        sized.retain(|(bytes, _)| *bytes > 0);
        sized.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let mut memory = self.memory.load(Ordering::Relaxed);
        let mut chosen = Vec::new();
        for (bytes, table) in sized {
            if memory <= target {
                break;
            }
            memory = memory.saturating_sub(bytes);
            chosen.push(table);
        }
        if chosen.is_empty() { Ok(()) } else { self.flush(&chosen) }
    }

    /// Moves the rows of `tables`, which are different ones, to segments of one new pack; then merges what is to be merged.
    fn flush(&self, tables: &[Arc<Table>]) -> Result<()> {
        // What stays frozen is moved by the next sync.
        let flushed = self.flush_frozen(tables).inspect_err(|_| self.unsynced.add_all(tables))?;
        self.merge(&flushed)
    }

    /// Freezes the rows of `tables` and moves them to segments; answers the tables that have new ones, each once.
    fn flush_frozen(&self, tables: &[Arc<Table>]) -> Result<Vec<Arc<Table>>> {
        let cut = self.journal.lock().unwrap_or_else(PoisonError::into_inner).place();
        let mut frozen: Vec<(&Arc<Table>, Arc<Memtable>)> = Vec::new();
        for table in tables {
            let mut state = table.state();
            let full = state.active.take();
            state.frozen.extend(full);
            frozen.extend(state.frozen.iter().map(|memtable| (table, Arc::clone(memtable))));
        }
        if frozen.is_empty() {
            return Ok(Vec::new());
        }
        self.sync_sources()?;
        let pack = Pack::open(&self.root, &self.folder, self.number(), true)?;
        let written = self.write_frozen(&pack, &frozen);
        let segments = written.inspect_err(|_| self.drop_pack(&pack))?;
        let change = Change {
            added: segments.iter().map(|segment| segment.entry.clone()).collect(),
            cuts: frozen.iter().map(|(table, _)| (table.key.clone(), cut)).collect(),
            ..Change::default()
        };
        self.commit(&change).inspect_err(|error| {
            if !error.may_have_applied() {
                self.drop_pack(&pack);
            }
        })?;
        self.forget_reaches(&change);
        let mut flushed: Vec<Arc<Table>> = Vec::new();
        for ((table, memtable), segment) in frozen.into_iter().zip(segments) {
            self.live.add(&segment.entry);
            let mut state = table.state();
            state.frozen.retain(|known| !Arc::ptr_eq(known, &memtable));
            state.segments.push(Stored::Whole(segment));
            self.memory_changed(memtable.read().memory_bytes(), 0);
            // The memtables of a table stand side by side.
            if flushed.last().is_none_or(|last| !Arc::ptr_eq(last, table)) {
                flushed.push(Arc::clone(table));
            }
        }
        Ok(flushed)
    }

    /// The journal has nothing any more of the tables that `change` cut.
    fn forget_reaches(&self, change: &Change) {
        let mut reaches = self.reaches.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in &change.cuts {
            reaches.remove(key);
        }
    }

    fn write_frozen(&self, pack: &Arc<Pack>, frozen: &[(&Arc<Table>, Arc<Memtable>)]) -> Result<Vec<Arc<Segment>>> {
        let mut segments = Vec::with_capacity(frozen.len());
        let mut start = 0;
        for (table, memtable) in frozen {
            let rows = memtable.read();
            let inputs = [Input { rows: &*rows, is_gone: Vec::new() }];
            let target = Target { key: &table.key, pack, start, number: self.number() };
            let (entry, next) = segment_writer::write(&target, &inputs)?;
            start = next;
            segments.push(entry);
        }
        self.sync_pack(pack)?;
        segments.into_iter().map(|entry| Ok(Arc::new(Segment::open(entry, Arc::clone(pack), &self.cache)?))).collect()
    }

    /// Makes a pack durable before anything refers to it.
    pub(super) fn sync_pack(&self, pack: &Pack) -> Result<()> {
        self.root.sync_file(&*pack.file, &pack.path)?;
        self.root.sync_directory(&self.folder)
    }

    /// Removes a pack that nothing refers to.
    pub(super) fn drop_pack(&self, pack: &Pack) {
        self.remove_pack(&pack.path);
    }

    /// Commits `change`. When nobody knows whether it was made, nothing may be changed any more.
    pub(super) fn commit(&self, change: &Change) -> Result<()> {
        self.manifest.commit(change).inspect_err(|error| {
            if error.may_have_applied() {
                self.root.poison(error);
            }
        })
    }

    /// Lets go of `old` segments and of the packs that no live segment is in any more. Open scans keep reading.
    pub(super) fn drop_unused(&self, old: &[&SegmentEntry]) {
        self.cache.forget(old.iter().map(|entry| entry.number));
        for number in self.live.remove(old.iter().copied()) {
            self.remove_pack(&Pack::path(&self.folder, number));
        }
    }

    pub(super) fn remove_pack(&self, path: &Path) {
        if let Err(source) = self.root.disk.remove(path) {
            let error = failure::disk_error("remove", path, source);
            tracing::warn!(%error, "a pack without segments stays until the directory is opened again");
        }
    }
}
