//! A record on its way to a file: its fixed head, then the record as it was staged.

use fineo_core::{Error, EventId, Position, Result, Timestamp};

/// The shard number of rows that a committed file had.
pub(crate) const COMMITTED: u16 = u16::MAX;
/// The bytes before the record.
pub(crate) const HEAD_BYTES: usize = 4 + 4 + 2 + Position::LEN + 16 + 8;

/// A record and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// Which layout it has, by its number in the run.
    pub(crate) layout: u32,
    /// Its shard, by its number in the run; [`COMMITTED`] for a row of a file.
    pub(crate) shard: u16,
    /// Its position in the shard.
    pub(crate) position: Position,
    /// Which event it is.
    pub(crate) id: EventId,
    /// When the event happened.
    pub(crate) timestamp: Timestamp,
    /// The record.
    pub(crate) record: &'a [u8],
}

impl Entry<'_> {
    /// Appends it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.record.len()).expect("a record is smaller than its block");
        out.reserve(HEAD_BYTES + self.record.len());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.layout.to_le_bytes());
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&self.position.to_bytes());
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.timestamp.micros().to_le_bytes());
        out.extend_from_slice(self.record);
    }
}

/// The entries of bytes that [`Entry::write`] made.
pub(crate) fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Result<Entry<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        match split(bytes) {
            Some((entry, rest)) => {
                bytes = rest;
                Some(Ok(entry))
            }
            None => {
                bytes = &[];
                Some(Err(Error::corrupt("a scratch file of compaction is not what was written")))
            }
        }
    })
}

fn split(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (layout, rest) = rest.split_first_chunk::<4>()?;
    let (shard, rest) = rest.split_first_chunk::<2>()?;
    let (position, rest) = rest.split_first_chunk::<{ Position::LEN }>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (timestamp, rest) = rest.split_first_chunk::<8>()?;
    let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let entry = Entry {
        layout: u32::from_le_bytes(*layout),
        shard: u16::from_le_bytes(*shard),
        position: Position::from_bytes(*position),
        id: EventId(*id),
        timestamp: Timestamp::from_micros(i64::from_le_bytes(*timestamp)).ok()?,
        record,
    };
    Some((entry, rest))
}
