//! The contract of an archive: segments that are written once and kept.

mod cold;

use std::{
    fmt::{self, Debug, Display},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Durability, Error, Outcome, Position, Result, ShardId, Timestamp};
pub use cold::{Availability, Restore, RestoreTier};

/// A step of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Event to record: applies the schema.
    Raw,
    /// Record to row: fills the nearline store.
    Staged,
}

impl Stage {
    /// Every stage, in the order of the pipeline.
    pub const ALL: [Self; 2] = [Self::Raw, Self::Staged];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Staged => "staged",
        }
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a segment holds of its stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// What the stage received. The input of `staged` is the output of `raw`, kept once.
    Received,
    /// What the stage refused because of the tenant's data.
    Malformed,
    /// What the stage could not pass on because of us.
    Commit,
}

impl SegmentKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Received, Self::Malformed, Self::Commit];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Malformed => "malformed",
            Self::Commit => "commit",
        }
    }
}

/// The name of a segment: says what is in it, and orders by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The stage that wrote it.
    pub stage: Stage,
    /// What of the stage.
    pub kind: SegmentKind,
    /// When the first of its records arrived.
    pub time: Timestamp,
    /// The shard of the stage's input.
    pub shard: ShardId,
    /// The position of its first record.
    pub first: Position,
    /// The position of its last record.
    pub last: Position,
}

impl SegmentName {
    /// The path under the archive's root: `stage/kind/yyyy/mm/dd/time-shard-first-last.avro`, time in
    /// microseconds, padded so that names order as times do.
    pub fn path(&self) -> String {
        let begin = begin_of_path(self.stage, self.kind, self.time);
        format!("{begin}_{}_{}_{}.avro", self.shard, self.first, self.last)
    }

    /// Reads a path made by [`SegmentName::path`].
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Invalid`] when it is no such path.
    pub fn from_path(path: &str) -> Result<Self> {
        let invalid = || Error::invalid("not the path of a segment").with("path", path);
        let parts: Vec<&str> = path.split('/').collect();
        let [stage, kind, _, _, _, file] = parts.as_slice() else { return Err(invalid()) };
        let stage = Stage::ALL.into_iter().find(|known| known.as_str() == *stage).ok_or_else(invalid)?;
        let kind = SegmentKind::ALL.into_iter().find(|known| known.as_str() == *kind).ok_or_else(invalid)?;
        let stem = file.strip_suffix(".avro").ok_or_else(invalid)?;
        // A shard id may hold `_`, so the fixed parts are taken from both ends.
        let (micros, rest) = stem.split_once('_').ok_or_else(invalid)?;
        let (rest, last) = rest.rsplit_once('_').ok_or_else(invalid)?;
        let (shard, first) = rest.rsplit_once('_').ok_or_else(invalid)?;
        let since_min: i64 = micros.parse().map_err(|_| invalid())?;
        let name = Self {
            stage,
            kind,
            time: Timestamp::MIN.plus_micros(since_min),
            shard: ShardId::new(shard)?,
            first: first.parse()?,
            last: last.parse()?,
        };
        if name.path() == path { Ok(name) } else { Err(invalid()) }
    }
}

/// What the paths of all segments of an instant begin with.
fn begin_of_path(stage: Stage, kind: SegmentKind, time: Timestamp) -> String {
    let text = time.to_string();
    let date = text.get(0..10).unwrap_or("0001-01-01").replace('-', "/");
    let micros = time.micros().abs_diff(Timestamp::MIN.micros());
    format!("{stage}/{}/{date}/{micros:018}", kind.as_str())
}

/// A segment as [`Archive::segments`] tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its name.
    pub name: SegmentName,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Which segments [`Archive::segments`] lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentQuery {
    /// Of this stage.
    pub stage: Stage,
    /// Of this kind.
    pub kind: SegmentKind,
    /// Only those whose first record arrived at this instant or later; whenever it arrived for none.
    pub from: Option<Timestamp>,
}

impl SegmentQuery {
    /// All segments of this kind of this stage.
    pub const fn new(stage: Stage, kind: SegmentKind) -> Self {
        Self { stage, kind, from: None }
    }

    /// Only those whose first record arrived at this instant or later; all for none.
    #[must_use]
    pub const fn with_from(mut self, from: Option<Timestamp>) -> Self {
        self.from = from;
        self
    }

    /// Whether it lists the segment `name`.
    pub fn asks_for(&self, name: &SegmentName) -> bool {
        name.stage == self.stage && name.kind == self.kind && self.from.is_none_or(|from| name.time >= from)
    }

    /// What the paths of the segments that it lists order behind, and those of earlier ones before; none where it lists all.
    pub fn begins_behind(&self) -> Option<String> {
        self.from.map(|from| begin_of_path(self.stage, self.kind, from))
    }
}

/// What [`Archive::write`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The segment was not there and is now.
    New,
    /// The same bytes were there already.
    Same,
    /// Other bytes are there under this name; they were left alone.
    Conflict,
}

/// Limits and powers of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveCapabilities {
    /// What a done write survives.
    pub durability: Durability,
    /// The largest segment in bytes.
    pub segment_bytes_max: u64,
    /// How long a done write may take to be listed, where somebody else delivers it; none for an archive that lists a segment
    /// as soon as its write is done. See guarantee 6.
    pub listed_within: Option<Duration>,
}

/// Segments that are written once and kept until somebody takes them away whole.
///
/// A segment may hold records of several tenants, in blocks of one tenant each; who reads a segment for a
/// tenant reads only that tenant's blocks (the format is `fineo-ingest`'s).
///
/// # Guarantees
///
/// 1. **Once.** [`write`](Self::write) creates and never overwrites. Of two writers of one name with
///    different bytes exactly one finds [`Created::New`], the other [`Created::Conflict`].
/// 2. **Idempotence.** Writing the same bytes again answers [`Created::Same`].
/// 3. **Atomicity.** No reader and no listing ever meets a part of a segment.
/// 4. **Durability.** A done write survives the faults of [`ArchiveCapabilities::durability`].
/// 5. **Fidelity.** [`read`](Self::read) answers the bytes as written, or
///    [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt); ranges likewise.
/// 6. **Listing.** [`segments`](Self::segments) lists every done segment of the query once, in order of
///    names, that is of time. With [`ArchiveCapabilities::listed_within`] it may do so only after that time, and of two
///    segments the later one first: who reads everything looks whether each segment begins where one before it ends. Such an
///    archive answers every write with [`Created::New`]; guarantees 1, 2 and 7 hold of what is listed: of two segments of one
///    name the first that was delivered stands.
/// 7. **Absence.** Reading a segment that is not there fails with
///    [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
/// 8. **Cancellation.** A dropped write or removal leaves the whole segment or none.
/// 9. **Removal.** After a done [`remove`](Self::remove) the segment is neither read nor listed, also after a crash.
///    Nothing but `remove` takes a segment away, and never a part of it.
/// 10. **Cold.** A segment in a class that has to be restored before it is read stays listed and can be removed. Reading it
///     fails with [`ErrorKind::Cold`](crate::ErrorKind::Cold) until [`availability`](Self::availability) says
///     [`Availability::Ready`]; then it is what it was. Asking again for what was asked for changes nothing.
#[async_trait]
pub trait Archive: Debug + Display + Send + Sync + 'static {
    /// Limits and powers.
    fn capabilities(&self) -> ArchiveCapabilities;

    /// Creates the segment `name`.
    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created>;

    /// Lists segments in order of names. Errors end the stream.
    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>>;

    /// The bytes of `name`, or those of `range` (from, to) of them.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Corrupt`, `Invalid` for a range beyond the segment, `Cold` before it is restored, or a failure of the
    /// backend.
    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes>;

    /// Takes the segment `name` away; says whether it was there.
    async fn remove(&self, name: &SegmentName) -> Outcome<bool>;

    /// Whether the segment `name`, which was listed, can be read. With `restore`, has the store bring it back if it is cold;
    /// that takes hours, and may be asked for as often as one likes.
    ///
    /// An archive without cold classes has nothing to add. Wrappers pass it on.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Invalid` for a pace that the class does not know, or a failure of the backend.
    async fn availability(&self, name: &SegmentName, restore: Option<Restore>) -> Result<Availability> {
        let _ = (name, restore);
        Ok(Availability::Ready)
    }
}

#[cfg(test)]
mod tests;
