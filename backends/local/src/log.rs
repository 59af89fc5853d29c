//! A durable stream: one segment log per shard, appended at once, synced together.

mod file;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod read;
mod recover;
mod shard;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use fineo_core::{
    Error, ErrorKind, Outcome, Position, Result, ShardId, Stream,
    stream::{Appended, Delivery, Entry, ReadFrom, Shard, StreamCapabilities},
};
use futures::stream::BoxStream;
use tokio::sync::Mutex as AsyncMutex;

use crate::root::Root;
use shard::ShardLog;

pub(crate) use shard::EPOCH_SHIFT;

/// The largest payload of an entry.
const ENTRY_BYTES_MAX: usize = 16 << 20;
/// The most entries of an append.
const ENTRIES_MAX: usize = 65_536;

/// A stream in a directory.
#[derive(Debug)]
pub(crate) struct Log {
    name: String,
    root: Arc<Root>,
    shards: Vec<Arc<ShardLog>>,
    /// How many of the shards take entries; the others are left from a time with more.
    open_shards: usize,
    gate: Arc<AsyncMutex<()>>,
    /// Counts what a sync has to reach, before anybody can read it.
    appends: AtomicU64,
    /// How many of them are on disk.
    synced: AtomicU64,
}

impl Log {
    /// Opens the stream `name`; positions handed out now begin with `epoch`.
    pub(crate) fn open(root: &Arc<Root>, name: &str, shards: u32, epoch: u64) -> Result<Self> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(legal) {
            return Err(Error::invalid("not the name of a stream: 1-64 of a-z 0-9 -").with("name", name));
        }
        if !(1..=1024).contains(&shards) {
            return Err(Error::invalid("a stream has 1 to 1024 shards").with("shards", shards));
        }
        let path = root.path.join("log").join(name);
        let known = (0..1024).take_while(|number| path.join(format!("s{number}")).is_dir()).count();
        let open_shards = shards as usize;
        let mut logs = Vec::new();
        for number in 0..known.max(open_shards) {
            let id = ShardId::new(&format!("s{number}"))?;
            let folder = path.join(id.as_str());
            logs.push(Arc::new(ShardLog::open(root, id, folder, epoch, number >= open_shards)?));
        }
        Ok(Self {
            name: name.to_owned(),
            root: Arc::clone(root),
            shards: logs,
            open_shards,
            gate: Arc::default(),
            appends: AtomicU64::new(0),
            synced: AtomicU64::new(0),
        })
    }

    /// The name and number of open shards it was opened with.
    pub(crate) fn open_shards(&self) -> usize {
        self.open_shards
    }

    fn shard(&self, id: &ShardId) -> Result<&Arc<ShardLog>> {
        let found = self.shards.iter().find(|shard| shard.id() == id);
        found.ok_or_else(|| Error::not_found("no such shard").with("stream", &self.name).with("shard", id))
    }

    /// Makes everything appended before this call durable. Blocks.
    pub(crate) fn sync_blocking(&self) -> Result<()> {
        let appends = self.appends.load(Ordering::Acquire);
        if self.synced.load(Ordering::Acquire) >= appends {
            return Ok(());
        }
        self.root.check_writable()?;
        for shard in &self.shards {
            shard.sync()?;
        }
        self.synced.fetch_max(appends, Ordering::AcqRel);
        Ok(())
    }

    /// Says in each shard's file that all of it is on disk, so that damage is told from a torn end.
    pub(crate) fn seal(&self) -> Result<()> {
        for shard in &self.shards {
            shard.seal()?;
        }
        self.appends.fetch_add(1, Ordering::AcqRel);
        self.sync_blocking()
    }

    fn refusal(&self, entry: &Entry, index: usize) -> Option<Error> {
        if entry.payload.len() > ENTRY_BYTES_MAX {
            let bytes = entry.payload.len();
            return Some(Error::invalid("entry too large").with("bytes", bytes).with("bytes_max", ENTRY_BYTES_MAX));
        }
        (index >= ENTRIES_MAX).then(|| Error::invalid("too many entries").with("entries_max", ENTRIES_MAX))
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local stream {} in {}", self.name, self.root.path.display())
    }
}

#[async_trait]
impl Stream for Log {
    fn capabilities(&self) -> StreamCapabilities {
        StreamCapabilities {
            durability: self.root.durability(),
            entry_bytes_max: ENTRY_BYTES_MAX,
            entries_max: ENTRIES_MAX,
            can_trim: true,
        }
    }

    /// Writes to the page cache without leaving the caller's thread: one write per shard and call.
    async fn append(&self, entries: Vec<Entry>) -> Vec<Outcome<Appended>> {
        if let Err(error) = self.root.check_writable() {
            return entries.iter().map(|_| Outcome::NotDone(error.clone())).collect();
        }
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut by_shard: Vec<Vec<u32>> = vec![Vec::new(); self.open_shards];
        for (index, entry) in entries.iter().enumerate() {
            match self.refusal(entry, index) {
                Some(error) => outcomes.push(Some(Outcome::NotDone(error))),
                None => {
                    let shard = usize::try_from(entry.key % self.open_shards as u64).expect("few shards");
                    by_shard[shard].push(u32::try_from(index).expect("ENTRIES_MAX is small"));
                    outcomes.push(None);
                }
            }
        }
        for (shard, indexes) in self.shards.iter().zip(&by_shard).filter(|(_, indexes)| !indexes.is_empty()) {
            shard.append(&entries, indexes, &mut outcomes, &self.appends);
        }
        let not_appended = || Outcome::NotDone(Error::internal("entry was not appended"));
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(not_appended)).collect()
    }

    async fn sync(&self) -> Outcome<()> {
        // Callers queue here; who comes after a flush that began after his append finds his work done.
        let guard = Arc::clone(&self.gate).lock_owned().await;
        if self.synced.load(Ordering::Acquire) >= self.appends.load(Ordering::Acquire) {
            return self.root.check_writable().into();
        }
        let shards = self.shards.clone();
        let root = Arc::clone(&self.root);
        let appends = self.appends.load(Ordering::Acquire);
        let flush = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = guard;
            root.check_writable()?;
            shards.iter().try_for_each(|shard| shard.sync())
        });
        match flush.await {
            Ok(Ok(())) => {
                self.synced.fetch_max(appends, Ordering::AcqRel);
                Outcome::Done(())
            }
            Ok(Err(error)) => Outcome::of_error(error),
            Err(error) => {
                Outcome::Unknown(Error::new(ErrorKind::Cancelled, "the flush was cut off").with_source(error))
            }
        }
    }

    async fn shards(&self) -> Result<Vec<Shard>> {
        let shard = |(number, shard): (usize, &Arc<ShardLog>)| Shard {
            id: shard.id().clone(),
            parents: Vec::new(),
            is_closed: number >= self.open_shards,
        };
        Ok(self.shards.iter().enumerate().map(shard).collect())
    }

    fn read(&self, shard: &ShardId, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
        match self.shard(shard) {
            Ok(shard) => read::deliveries(Arc::clone(shard), from),
            Err(error) => Box::pin(futures::stream::iter([Err(error)])),
        }
    }

    async fn tail(&self, shard: &ShardId) -> Result<Option<Position>> {
        Ok(self.shard(shard)?.tail().map(Position::from))
    }

    async fn count_after(&self, shard: &ShardId, after: Option<Position>) -> Result<Option<u64>> {
        Ok(self.shard(shard)?.count_after(after.map_or(0, read::number)))
    }

    async fn trim(&self, shard: &ShardId, through: Position) -> Outcome<()> {
        let shard = match self.shard(shard) {
            Ok(shard) => Arc::clone(shard),
            Err(error) => return Outcome::NotDone(error),
        };
        let root = Arc::clone(&self.root);
        // It syncs, removes files and fills the ballast.
        let trim = tokio::task::spawn_blocking(move || -> Result<()> {
            root.check_writable()?;
            shard.trim(read::number(through))?;
            root.ballast.refill();
            Ok(())
        });
        match trim.await {
            Ok(trimmed) => Outcome::from(trimmed),
            Err(error) => Outcome::Unknown(Error::new(ErrorKind::Cancelled, "the trim was cut off").with_source(error)),
        }
    }
}
