//! Makes few segments of many, and takes rows out of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use fineo_core::{Cover, MetricId, Result, ShardId, TenantId};

use super::{
    manifest::Change,
    memtable::Memtable,
    pack::Pack,
    segment::Segment,
    segment_writer::{self, Input, Target},
    sequential::Sequential,
    source::{RowSource, Which},
    store::{Store, Stored, Table},
};

/// So many segments of one size become one.
const FAN_IN: usize = 8;
/// A segment does not grow beyond this many rows.
const ROWS_MAX: u64 = 1 << 19;
/// Nor beyond this many bytes.
const BYTES_MAX: u64 = 256 << 20;

impl Store {
    /// Merges segments of one size where there are many of them.
    pub(super) fn merge(&self, table: &Arc<Table>) -> Result<()> {
        let segments = table.state().segments.clone();
        let mut tiers: BTreeMap<u32, Vec<Arc<Segment>>> = BTreeMap::new();
        for stored in &segments {
            if let (Stored::Whole(segment), None) = (stored, stored.damage()) {
                tiers.entry((segment.rows() as u64 / 512).max(1).ilog(8)).or_default().push(Arc::clone(segment));
            }
        }
        for old in tiers.into_values().filter(|tier| tier.len() >= FAN_IN) {
            let rows: u64 = old.iter().map(|segment| segment.rows() as u64).sum();
            let bytes: u64 = old.iter().map(|segment| segment.entry.tail.offset).sum();
            if rows <= ROWS_MAX && bytes <= BYTES_MAX {
                let merged = match self.merged(table, &old) {
                    Ok(merged) => merged,
                    // They stay as they are; what is damaged is told by `damages`.
                    Err(error) if old.iter().any(|segment| segment.damage().is_some()) => {
                        tracing::warn!(%error, "segments cannot be merged");
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let old: Vec<Stored> = old.into_iter().map(Stored::Whole).collect();
                self.replace(table, &old, vec![merged])?;
            }
        }
        Ok(())
    }

    /// Writes the rows of `segments` as one segment.
    fn merged(&self, table: &Table, segments: &[Arc<Segment>]) -> Result<Arc<Segment>> {
        let sources: Vec<Sequential> = segments.iter().map(Sequential::open).collect::<Result<_>>()?;
        let inputs: Vec<_> = sources.iter().map(|rows| Input { rows, is_gone: Vec::new() }).collect();
        self.rewrite(table, &inputs)
    }

    /// Writes `inputs` as one segment of a pack of its own.
    fn rewrite(&self, table: &Table, inputs: &[Input<'_>]) -> Result<Arc<Segment>> {
        let pack = Pack::open(&self.root, &self.folder, self.number(), true)?;
        let target = Target { key: &table.key, pack: &pack, start: 0, number: self.number() };
        let written = segment_writer::write(&target, inputs).and_then(|(entry, _)| {
            self.sync_pack(&pack)?;
            Segment::open(entry, Arc::clone(&pack), &self.cache)
        });
        Ok(Arc::new(written.inspect_err(|_| self.drop_pack(&pack))?))
    }

    /// Puts `new` segments in the place of `old` ones, on disk and then for new scans.
    pub(super) fn replace(&self, table: &Table, old: &[Stored], new: Vec<Arc<Segment>>) -> Result<()> {
        let removed: Vec<u64> = old.iter().map(|stored| stored.entry().number).collect();
        let added = new.iter().map(|segment| segment.entry.clone()).collect();
        self.commit(&Change { added, removed: removed.clone(), ..Change::default() })?;
        {
            let mut state = table.state();
            state.segments.retain(|stored| !removed.contains(&stored.entry().number));
            state.segments.extend(new.into_iter().map(Stored::Whole));
        }
        self.drop_unused(old);
        Ok(())
    }

    /// Removes the rows of a table that `cover` contains, and answers how many.
    pub(super) fn remove_covered(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Result<u64> {
        self.root.check_writable()?;
        let Some(table) = self.table(tenant, metric) else { return Ok(0) };
        let mut removed = self.remove_from_memory(&table, cover)?;
        let segments = table.state().segments.clone();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for stored in segments {
            let (all, some) = covered(&stored, cover)?;
            if !some {
                continue;
            }
            match (stored.damage(), &stored) {
                (Some(_), _) if all => removed += u64::from(stored.entry().rows),
                (Some(error), _) | (None, Stored::Damaged(_, error)) => return Err(error.clone()),
                (None, Stored::Whole(segment)) => {
                    let source = Sequential::open(segment)?;
                    let is_gone = covered_rows(&source, cover)?;
                    let gone = is_gone.iter().filter(|gone| **gone).count();
                    if gone == 0 {
                        continue;
                    }
                    removed += gone as u64;
                    if gone < segment.rows() {
                        new.push(self.rewrite(&table, &[Input { rows: &source, is_gone }])?);
                    }
                }
            }
            old.push(stored);
        }
        if !old.is_empty() {
            self.replace(&table, &old, new)?;
        }
        self.root.ballast.refill();
        Ok(removed)
    }

    fn remove_from_memory(&self, table: &Arc<Table>, cover: &Cover) -> Result<u64> {
        let mut state = table.state();
        let state = &mut *state;
        let mut removed = 0;
        let mut was_journaled = false;
        for memtable in state.frozen.iter_mut().chain([&mut state.active]) {
            let kept = {
                let rows = memtable.read();
                let is_gone = rows.covered(cover, 0, rows.len());
                let gone = is_gone.iter().filter(|gone| **gone).count();
                if gone == 0 {
                    continue;
                }
                removed += gone as u64;
                was_journaled |= rows.journaled > 0;
                let kept: Memtable = rows.without(&is_gone);
                let freed = rows.memory_bytes().saturating_sub(kept.read().memory_bytes());
                self.memory.fetch_sub(freed, Ordering::Relaxed);
                kept
            };
            *memtable = Arc::new(kept);
        }
        state.frozen.retain(|memtable| memtable.read().len() > 0);
        if was_journaled {
            let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.removal(&table.key, cover)?;
            journal.sync()?;
        }
        Ok(removed)
    }
}

/// Whether `cover` contains all positions of a segment, and whether it can contain some.
fn covered(stored: &Stored, cover: &Cover) -> Result<(bool, bool)> {
    let (mut all, mut some) = (true, false);
    for (shard, first, last) in stored.entry().positions()? {
        let shard = ShardId::new(shard)?;
        all &= cover.contains(&shard, last);
        some |= cover.contains(&shard, first);
    }
    Ok((all, some))
}

fn covered_rows(source: &Sequential, cover: &Cover) -> Result<Vec<bool>> {
    let positions = source.positions()?;
    let shards = source.cells(Which::Shard)?.unwrap_or_default();
    let mut is_gone = vec![false; source.rows()];
    let mut lasts = Vec::new();
    for code in 0..u32::try_from(shards.ends.len()).expect("few shards") {
        let shard = shards.text(code).map(ShardId::new).transpose()?;
        lasts.push(shard.and_then(|shard| cover.last(&shard)));
    }
    for (row, code) in shards.rows.iter().zip(&*shards.codes) {
        let last = lasts.get(*code as usize).copied().flatten();
        is_gone[*row as usize] = last.is_some_and(|last| positions.get(*row as usize) <= last);
    }
    Ok(is_gone)
}
