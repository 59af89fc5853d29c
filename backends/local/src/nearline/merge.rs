//! Makes few segments of many, and takes rows out of them.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use fineo_core::{Cover, Error, MetricId, Result, ShardId, TenantId};

use super::{
    manifest::{Change, SegmentEntry},
    memtable::Memtable,
    pack::Pack,
    segment::Segment,
    segment_writer::{self, Input, Target},
    sequential::Sequential,
    source::{RowSource, Which},
    store::Store,
    table::{Stored, Table},
    tiers::{self, Size},
};

/// A merge of more than so many bytes has a pack of its own, whose room is free again once that segment is replaced.
const SHARED_BYTES_MAX: u64 = 1 << 20;
/// A pack that merges share takes no more of them beyond so many bytes: one segment that lives on keeps all of them on disk.
const PACK_BYTES: u64 = 8 << 20;

/// Segments of a table, and those that take their place.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) table: Arc<Table>,
    pub(super) old: Vec<Stored>,
    pub(super) new: Vec<Arc<Segment>>,
}

/// A pack that merged segments are written to. Nothing refers to it before all of them are there.
#[derive(Debug)]
struct MergePack {
    pack: Arc<Pack>,
    /// Where the next segment begins.
    next: u64,
    merged: Vec<Merged>,
}

/// A segment that is written, and those that its rows are of.
#[derive(Debug)]
struct Merged {
    table: Arc<Table>,
    old: Vec<Arc<Segment>>,
    entry: SegmentEntry,
}

impl Store {
    /// Merges segments of one size where one of `tables`, which are different ones, has many of them.
    pub(super) fn merge(&self, tables: &[Arc<Table>]) -> Result<()> {
        let mut shared = None;
        match tables.iter().try_for_each(|table| self.merge_table(table, &mut shared)) {
            Ok(()) => self.finish(shared),
            Err(error) => {
                // What is in it is merged after the next flush.
                shared.inspect(|left: &MergePack| self.drop_pack(&left.pack));
                Err(error)
            }
        }
    }

    /// Merges segments of `table`, small ones to the `shared` pack.
    fn merge_table(&self, table: &Arc<Table>, shared: &mut Option<MergePack>) -> Result<()> {
        for old in mergeable(table) {
            if old.iter().map(|segment| segment.image_bytes()).sum::<u64>() > SHARED_BYTES_MAX {
                let mut own = None;
                self.merge_into(&mut own, table, old)?;
                self.finish(own)?;
                continue;
            }
            self.merge_into(shared, table, old)?;
            if shared.as_ref().is_some_and(|pack| pack.next >= PACK_BYTES) {
                self.finish(shared.take())?;
            }
        }
        Ok(())
    }

    /// Writes the rows of `old` segments as one segment of `pack`, which is made where there is none. Where one of them is
    /// damaged they stay as they are; whatever else fails is the end of the pack.
    fn merge_into(&self, pack: &mut Option<MergePack>, table: &Arc<Table>, old: Vec<Arc<Segment>>) -> Result<()> {
        let to = match pack {
            Some(pack) => pack,
            None => pack.insert(MergePack {
                pack: Pack::open(&self.root, &self.folder, self.number(), true)?,
                next: 0,
                merged: Vec::new(),
            }),
        };
        let target = Target { key: &table.key, pack: &to.pack, start: to.next, number: self.number() };
        match write_merged(&target, &old) {
            Ok((entry, next)) => {
                to.next = next;
                to.merged.push(Merged { table: Arc::clone(table), old, entry });
                Ok(())
            }
            // What is damaged is told by `damages`. The next segment is written over what there is of this one.
            Err(error) if old.iter().any(|segment| segment.damage().is_some()) => {
                tracing::warn!(%error, "segments cannot be merged");
                Ok(())
            }
            Err(error) => {
                self.drop_pack(&to.pack);
                *pack = None;
                Err(error)
            }
        }
    }

    /// Makes the segments of `pack` durable and puts them in the place of the old ones, all at once.
    fn finish(&self, pack: Option<MergePack>) -> Result<()> {
        let Some(MergePack { pack, merged, .. }) = pack else { return Ok(()) };
        if merged.is_empty() {
            self.drop_pack(&pack);
            return Ok(());
        }
        let opened = self.sync_pack(&pack).and_then(|()| {
            let mut replacements = Vec::with_capacity(merged.len());
            for Merged { table, old, entry } in merged {
                let new = vec![Arc::new(Segment::open(entry, Arc::clone(&pack), &self.cache)?)];
                replacements.push(Replacement { table, old: old.into_iter().map(Stored::Whole).collect(), new });
            }
            Ok(replacements)
        });
        self.replace(opened.inspect_err(|_| self.drop_pack(&pack))?)
    }

    /// Writes `input` as one segment of a pack of its own.
    fn rewrite(&self, table: &Table, input: Input<'_>) -> Result<Arc<Segment>> {
        let pack = Pack::open(&self.root, &self.folder, self.number(), true)?;
        let target = Target { key: &table.key, pack: &pack, start: 0, number: self.number() };
        let written = segment_writer::write(&target, &[input]).and_then(|(entry, _)| {
            self.sync_pack(&pack)?;
            Segment::open(entry, Arc::clone(&pack), &self.cache)
        });
        Ok(Arc::new(written.inspect_err(|_| self.drop_pack(&pack))?))
    }

    /// Puts new segments in the place of old ones, all of `replacements` at once on disk and then for new scans.
    pub(super) fn replace(&self, replacements: Vec<Replacement>) -> Result<()> {
        let added = replacements.iter().flat_map(|of| of.new.iter().map(|segment| segment.entry.clone())).collect();
        let removed = replacements.iter().flat_map(|of| of.old.iter().map(|stored| stored.entry().number)).collect();
        let committed = self.commit(&Change { added, removed, ..Change::default() });
        committed.inspect_err(|error| self.drop_unmade(error, replacements.iter().flat_map(|of| &of.new)))?;
        for Replacement { table, old, new } in &replacements {
            new.iter().for_each(|segment| self.live.add(&segment.entry));
            let is_old = |stored: &Stored| old.iter().any(|old| old.entry().number == stored.entry().number);
            let mut state = table.state();
            state.segments.retain(|stored| !is_old(stored));
            state.segments.extend(new.iter().cloned().map(Stored::Whole));
        }
        let old: Vec<_> = replacements.iter().flat_map(|of| of.old.iter().map(Stored::entry)).collect();
        self.drop_unused(&old);
        Ok(())
    }

    /// Removes the packs of `new` segments that `error` kept from being live. Where nobody knows, they stay.
    fn drop_unmade<'a>(&self, error: &Error, new: impl Iterator<Item = &'a Arc<Segment>>) {
        if !error.may_have_applied() {
            let packs: BTreeSet<u64> = new.map(|segment| segment.entry.pack).collect();
            packs.into_iter().for_each(|number| self.remove_pack(&Pack::path(&self.folder, number)));
        }
    }

    /// Removes the rows of a table that `cover` contains, and answers how many.
    pub(super) fn remove_covered(&self, tenant: &TenantId, metric: &MetricId, cover: &Cover) -> Result<u64> {
        self.root.check_writable()?;
        let Some(table) = self.table(tenant, metric) else { return Ok(0) };
        let mut removed = self.remove_from_memory(&table, cover)?;
        let mut of = Replacement { table, old: Vec::new(), new: Vec::new() };
        let rewritten = self.rewrite_without(&mut of, cover);
        removed += rewritten.inspect_err(|error| self.drop_unmade(error, of.new.iter()))?;
        if !of.old.is_empty() {
            self.replace(vec![of])?;
        }
        self.root.ballast.refill();
        Ok(removed)
    }

    /// Writes the segments of a table anew that `cover` contains rows of, and answers how many rows are gone then.
    fn rewrite_without(&self, of: &mut Replacement, cover: &Cover) -> Result<u64> {
        let mut removed = 0;
        let segments = of.table.state().segments.clone();
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
                        of.new.push(self.rewrite(&of.table, Input { rows: &source, is_gone })?);
                    }
                }
            }
            of.old.push(stored);
        }
        Ok(removed)
    }

    fn remove_from_memory(&self, table: &Arc<Table>, cover: &Cover) -> Result<u64> {
        let mut state = table.state();
        let state = &mut *state;
        let mut removed = 0;
        let mut was_journaled = false;
        for memtable in state.frozen.iter_mut().chain(&mut state.active) {
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
                self.memory_changed(rows.memory_bytes(), kept.read().memory_bytes());
                kept
            };
            *memtable = Arc::new(kept);
        }
        state.drop_empty();
        if was_journaled {
            let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.removal(&table.key, cover)?;
            journal.sync()?;
        }
        Ok(removed)
    }
}

/// The segments of a table that are to become one, group by group.
fn mergeable(table: &Table) -> Vec<Vec<Arc<Segment>>> {
    let mut segments = Vec::new();
    for stored in &table.state().segments {
        if let (Stored::Whole(segment), None) = (stored, stored.damage()) {
            segments.push(Arc::clone(segment));
        }
    }
    let size = |segment: &Arc<Segment>| Size { rows: segment.rows() as u64, bytes: segment.image_bytes() };
    let sizes: Vec<Size> = segments.iter().map(size).collect();
    let of_places = |places: Vec<usize>| places.into_iter().map(|place| Arc::clone(&segments[place])).collect();
    tiers::groups(&sizes).into_iter().map(of_places).collect()
}

/// Writes the rows of `segments` as one; answers its entry and where the next may begin.
fn write_merged(target: &Target<'_>, segments: &[Arc<Segment>]) -> Result<(SegmentEntry, u64)> {
    let sources: Vec<Sequential> = segments.iter().map(Sequential::open).collect::<Result<_>>()?;
    let inputs: Vec<_> = sources.iter().map(|rows| Input { rows, is_gone: Vec::new() }).collect();
    segment_writer::write(target, &inputs)
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
