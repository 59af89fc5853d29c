//! Footers, dictionaries, few cells and lately read blocks of segments, kept as long as there is room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_buffer::Buffer;
use fineo_core::Result;

use super::{column::KeptColumn, footer::Footer};

/// A thing of a segment: the footer, what is kept of one of its columns, or a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Thing {
    Footer,
    Alias,
    Shard,
    Column(usize),
    Block(usize),
}

/// What is kept.
#[derive(Debug, Clone)]
enum Kept {
    Footer(Arc<Footer>),
    Column(Arc<KeptColumn>),
    Block(Buffer),
}

#[derive(Debug)]
struct Slot {
    kept: Kept,
    bytes: usize,
    used: u64,
}

#[derive(Debug, Default)]
struct Slots {
    /// By segment: what is gone is let go of without a look at the others.
    by_segment: HashMap<u64, HashMap<Thing, Slot>>,
    bytes: usize,
    /// Counts uses, to know what was not used for long.
    uses: u64,
}

/// A bounded cache over all segments.
#[derive(Debug)]
pub(super) struct Cache {
    slots: Mutex<Slots>,
    bytes_max: usize,
}

impl Cache {
    /// An empty cache.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { slots: Mutex::default(), bytes_max }
    }

    /// The footer of `segment`, which `load` reads when it is not here.
    pub(super) fn footer(&self, segment: u64, load: impl FnOnce() -> Result<Footer>) -> Result<Arc<Footer>> {
        if let Some(Kept::Footer(footer)) = self.find(segment, Thing::Footer) {
            return Ok(footer);
        }
        let footer = Arc::new(load()?);
        self.keep((segment, Thing::Footer), Kept::Footer(Arc::clone(&footer)), footer.memory_bytes());
        Ok(footer)
    }

    /// What is kept of the column `thing` of `segment`, which `load` reads when it is not here.
    pub(super) fn column(
        &self,
        segment: u64,
        thing: Thing,
        load: impl FnOnce() -> Result<KeptColumn>,
    ) -> Result<Arc<KeptColumn>> {
        if let Some(Kept::Column(column)) = self.find(segment, thing) {
            return Ok(column);
        }
        let column = Arc::new(load()?);
        self.keep((segment, thing), Kept::Column(Arc::clone(&column)), column.memory_bytes());
        Ok(column)
    }

    /// The checked block `number` of `segment`, if it is here.
    pub(super) fn block(&self, segment: u64, number: usize) -> Option<Buffer> {
        match self.find(segment, Thing::Block(number)) {
            Some(Kept::Block(block)) => Some(block),
            _ => None,
        }
    }

    /// Keeps the block `number` of `segment`, which was checked.
    pub(super) fn keep_block(&self, segment: u64, number: usize, block: &[u8]) {
        self.keep((segment, Thing::Block(number)), Kept::Block(Buffer::from(block)), block.len() + 256);
    }

    fn find(&self, segment: u64, thing: Thing) -> Option<Kept> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.uses += 1;
        let uses = slots.uses;
        let slot = slots.by_segment.get_mut(&segment)?.get_mut(&thing)?;
        slot.used = uses;
        Some(slot.kept.clone())
    }

    fn keep(&self, (segment, thing): (u64, Thing), kept: Kept, bytes: usize) {
        if bytes > self.bytes_max / 4 {
            return;
        }
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.uses += 1;
        let slot = Slot { kept, bytes, used: slots.uses };
        slots.bytes += bytes;
        if let Some(old) = slots.by_segment.entry(segment).or_default().insert(thing, slot) {
            slots.bytes -= old.bytes;
        }
        if slots.bytes > self.bytes_max {
            slots.evict(self.bytes_max / 4 * 3);
        }
    }

    /// Lets go of everything of `segments`, which are gone.
    pub(super) fn forget(&self, segments: impl Iterator<Item = u64>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in segments {
            let gone = slots.by_segment.remove(&segment).unwrap_or_default();
            slots.bytes -= gone.values().map(|slot| slot.bytes).sum::<usize>();
        }
    }
}

impl Slots {
    fn evict(&mut self, bytes_max: usize) {
        let of = |(segment, things): (&u64, &HashMap<Thing, Slot>)| -> Vec<(u64, u64, Thing)> {
            things.iter().map(|(thing, slot)| (slot.used, *segment, *thing)).collect()
        };
        let mut by_use: Vec<(u64, u64, Thing)> = self.by_segment.iter().flat_map(of).collect();
        by_use.sort_unstable_by_key(|(used, ..)| *used);
        for (_, segment, thing) in by_use {
            if self.bytes <= bytes_max {
                break;
            }
            let Some(things) = self.by_segment.get_mut(&segment) else { continue };
            self.bytes -= things.remove(&thing).map_or(0, |slot| slot.bytes);
            if things.is_empty() {
                self.by_segment.remove(&segment);
            }
        }
    }
}
