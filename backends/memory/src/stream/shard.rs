//! One shard of a stream in memory: entries in order, what of them is synced, what was trimmed.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;
use fineo_core::{
    Error, Position, Result, ShardId, TenantId,
    stream::{Delivery, ReadFrom, Shard},
};

const BATCH_ENTRIES_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 1 << 20;

pub(super) struct MemoryShard {
    id: ShardId,
    parents: Vec<ShardId>,
    keys: Range<u128>,
    is_closed: bool,
    entries: VecDeque<Stored>,
    // The next position. It never goes back, so that no position is given twice.
    next: u64,
    // The position of the last entry that is left or was trimmed; 0 for none.
    last: u64,
    // The position of the last entry that would survive a crash.
    synced: u64,
    // The position of the last entry that was trimmed; 0 for none.
    trimmed: u64,
}

struct Stored {
    position: u64,
    tenant: TenantId,
    payload: Bytes,
}

/// What a reader meets.
pub(super) enum Next {
    /// Entries, at least one.
    Batch(Vec<Delivery>),
    /// Nothing yet.
    Later,
    /// Nothing ever again.
    End,
}

impl MemoryShard {
    pub(super) fn new(id: ShardId, keys: Range<u128>, parents: Vec<ShardId>) -> Self {
        let entries = VecDeque::new();
        Self { id, parents, keys, is_closed: false, entries, next: 1, last: 0, synced: 0, trimmed: 0 }
    }

    pub(super) fn id(&self) -> &ShardId {
        &self.id
    }

    pub(super) fn keys(&self) -> &Range<u128> {
        &self.keys
    }

    pub(super) fn open_keys(&self) -> Option<Range<u128>> {
        (!self.is_closed).then(|| self.keys.clone())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn describe(&self) -> Shard {
        Shard { id: self.id.clone(), parents: self.parents.clone(), is_closed: self.is_closed }
    }

    pub(super) fn append(&mut self, tenant: TenantId, payload: Bytes) -> Position {
        let position = self.next;
        self.next += 1;
        self.last = position;
        self.entries.push_back(Stored { position, tenant, payload });
        Position::from(position)
    }

    pub(super) fn sync(&mut self) {
        self.synced = self.last;
    }

    pub(super) fn crash(&mut self) {
        while self.entries.back().is_some_and(|entry| entry.position > self.synced) {
            self.entries.pop_back();
        }
        self.last = self.entries.back().map_or(self.trimmed, |entry| entry.position);
    }

    pub(super) fn tail(&self) -> Option<Position> {
        (self.last > 0).then(|| Position::from(self.last))
    }

    pub(super) fn count_after(&self, after: Option<Position>) -> u64 {
        let before = self.entries.partition_point(|entry| Some(Position::from(entry.position)) <= after);
        (self.entries.len() - before) as u64
    }

    pub(super) fn trim(&mut self, through: Position) {
        while let Some(entry) = self.entries.pop_front() {
            if Position::from(entry.position) > through {
                self.entries.push_front(entry);
                break;
            }
            self.trimmed = entry.position;
        }
    }

    /// What a reader at `from` meets now.
    pub(super) fn next(&self, from: ReadFrom) -> Result<Next> {
        let start = match from {
            ReadFrom::Start => 0,
            ReadFrom::After(position) if position < Position::from(self.trimmed) => {
                let first = self.entries.front().map_or(self.next, |entry| entry.position);
                let error = Error::not_found("the entries behind this position were trimmed");
                return Err(error.with("shard", &self.id).with("after", position).with("first", Position::from(first)));
            }
            ReadFrom::After(position) => {
                self.entries.partition_point(|entry| Position::from(entry.position) <= position)
            }
        };
        let mut batch = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.range(start..).take(BATCH_ENTRIES_MAX) {
            bytes += entry.payload.len();
            if bytes > BATCH_BYTES_MAX && !batch.is_empty() {
                break;
            }
            batch.push(Delivery {
                tenant: entry.tenant.clone(),
                position: Position::from(entry.position),
                payload: entry.payload.clone(),
            });
        }
        Ok(match (batch.is_empty(), self.is_closed) {
            (false, true | false) => Next::Batch(batch),
            (true, true) => Next::End,
            (true, false) => Next::Later,
        })
    }
}
