//! An immutable segment: read section by section, every block checked before a byte of it is used.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use arrow_buffer::{ArrowNativeType, Buffer, MutableBuffer, ScalarBuffer};
use fineo_core::{
    Error, ErrorKind, Position, Result, ShardId,
    nearline::{RowHead, Written},
};

use super::{
    bloom::Bloom,
    cache::Cache,
    codec::Take,
    footer::{Footer, HeadPlaces},
    hash::id_hash,
    image::{BLOCK_BYTES, Section},
    manifest::SegmentEntry,
    pack::Pack,
};
use crate::{blocks, failure};

/// Every so many rows the tail keeps a timestamp.
pub(super) const ROWS_PER_MARK: usize = 512;

/// How far a read may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadReach {
    /// To what is in memory: never blocks, and fails where something is not.
    Memory,
    /// To the disk; what was read is kept in memory.
    Kept,
    /// To the disk.
    Disk,
}

/// A live segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) entry: SegmentEntry,
    /// Per shard the first and last position.
    pub(super) covered: Vec<(ShardId, Position, Position)>,
    pub(super) pack: Arc<Pack>,
    checksums: Vec<u32>,
    bloom: Bloom,
    marks: Vec<i64>,
    pub(super) cache: Arc<Cache>,
    /// What the first read found that met damage: from then on nothing of it is read.
    damage: OnceLock<Error>,
    heads: OnceLock<HeadPlaces>,
}

impl Segment {
    /// Opens the segment of `entry` in `pack`.
    pub(super) fn open(entry: SegmentEntry, pack: Arc<Pack>, cache: &Arc<Cache>) -> Result<Self> {
        let damaged = || failure::corrupt(&pack.path, "segment is damaged").with("segment", entry.number);
        let len = usize::try_from(entry.tail.bytes).map_err(|_| damaged())?;
        let file_len = pack.file.len().map_err(|source| failure::disk_error("open", &pack.path, source))?;
        if entry.start.saturating_add(entry.tail.offset).saturating_add(entry.tail.bytes) > file_len {
            return Err(damaged().with("bytes", file_len));
        }
        let mut tail = vec![0; len];
        let read = pack.file.read_at(&mut tail, entry.start + entry.tail.offset);
        read.map_err(|source| failure::disk_error("read", &pack.path, source))?;
        if crc32c::crc32c(&tail) != entry.tail_checksum {
            return Err(damaged().with("from", entry.start + entry.tail.offset).with("bytes", len));
        }
        let (checksums, bloom, marks) = parse_tail(&tail, &entry).ok_or_else(damaged)?;
        let covered =
            entry.positions()?.into_iter().map(|(shard, first, last)| Ok((ShardId::new(shard)?, first, last)));
        let covered = covered.collect::<Result<_>>()?;
        let (cache, damage, heads) = (Arc::clone(cache), OnceLock::new(), OnceLock::new());
        Ok(Self { entry, covered, pack, checksums, bloom, marks, cache, damage, heads })
    }

    /// Its number; never used again.
    pub(super) fn number(&self) -> u64 {
        self.entry.number
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.entry.rows as usize
    }

    /// The bytes of its image, about.
    pub(super) fn image_bytes(&self) -> u64 {
        self.entry.tail.offset
    }

    /// What was found damaged in it, if anything was.
    pub(super) fn damage(&self) -> Option<&Error> {
        self.damage.get()
    }

    /// Sets the segment aside where `error` says that it is damaged.
    pub(super) fn set_aside(&self, error: &Error) {
        if error.kind() == ErrorKind::Corrupt && self.damage.set(error.clone()).is_ok() {
            tracing::error!(%error, "a segment is damaged and set aside");
        }
    }

    /// The error of one that is.
    pub(super) fn damaged(&self) -> Error {
        failure::corrupt(&self.pack.path, "segment is damaged")
            .with("segment", self.entry.number)
            .with("tenant", &self.entry.tenant)
            .with("metric", &self.entry.metric)
    }

    /// The bytes from `from` to `to` of `section`, checked.
    pub(super) fn read(&self, reach: ReadReach, section: Section, from: u64, to: u64) -> Result<Buffer> {
        self.reached(reach, section, from, to).inspect_err(|error| self.set_aside(error))
    }

    fn reached(&self, reach: ReadReach, section: Section, from: u64, to: u64) -> Result<Buffer> {
        if from > to || to > section.bytes {
            return Err(self.damaged().with("reason", "read beyond a section"));
        }
        let place = |offset: u64| usize::try_from(section.offset + offset).map_err(|_| self.damaged());
        let (from, to) = (place(from)?, place(to)?);
        let blocks = from / BLOCK_BYTES..to.div_ceil(BLOCK_BYTES);
        if blocks.end > self.checksums.len() {
            return Err(self.damaged().with("reason", "section beyond the segment"));
        }
        if reach != ReadReach::Disk
            && let Some(kept) = self.kept(blocks.clone(), from, to)
        {
            return Ok(kept);
        }
        if reach == ReadReach::Memory {
            return Err(Error::new(ErrorKind::Unavailable, "what is asked for is not in memory"));
        }
        let begin = blocks.start * BLOCK_BYTES;
        let mut buffer = MutableBuffer::from_len_zeroed(blocks.len() * BLOCK_BYTES);
        let read = self.pack.file.read_at(buffer.as_slice_mut(), self.entry.start + begin as u64);
        read.map_err(|source| failure::disk_error("read", &self.pack.path, source))?;
        if let Some(bad) = blocks::first_bad(buffer.as_slice(), BLOCK_BYTES, blocks.start, &self.checksums) {
            let from = self.entry.start + (bad * BLOCK_BYTES) as u64;
            return Err(self.damaged().with("from", from).with("to", from + BLOCK_BYTES as u64));
        }
        if reach == ReadReach::Kept {
            for (number, block) in blocks.zip(buffer.as_slice().chunks_exact(BLOCK_BYTES)) {
                self.cache.keep_block(self.number(), number, block);
            }
        }
        Ok(Buffer::from(buffer).slice_with_length(from - begin, to - from))
    }

    /// The bytes from `from` to `to`, which lie in `blocks`, if all of these are in memory.
    fn kept(&self, blocks: Range<usize>, from: usize, to: usize) -> Option<Buffer> {
        let mut bytes = MutableBuffer::new(to - from);
        for number in blocks.clone() {
            let block = self.cache.block(self.number(), number)?;
            let begin = number * BLOCK_BYTES;
            let (first, last) = (from.saturating_sub(begin), (to - begin).min(BLOCK_BYTES));
            if blocks.len() == 1 {
                return Some(block.slice_with_length(first, last - first));
            }
            bytes.extend_from_slice(&block[first..last]);
        }
        Some(bytes.into())
    }

    /// The bytes of all blocks.
    pub(super) fn blocks_bytes(&self) -> u64 {
        (self.checksums.len() * BLOCK_BYTES) as u64
    }

    /// The whole `section`.
    pub(super) fn read_all(&self, reach: ReadReach, section: Section) -> Result<Buffer> {
        self.read(reach, section, 0, section.bytes)
    }

    /// Numbers of `section` from the place `from` to before `to`.
    pub(super) fn numbers<T: ArrowNativeType>(
        &self,
        reach: ReadReach,
        section: Section,
        from: usize,
        to: usize,
    ) -> Result<ScalarBuffer<T>> {
        let width = size_of::<T>();
        let buffer = self.read(reach, section, (from * width) as u64, (to * width) as u64)?;
        Ok(ScalarBuffer::new(buffer, 0, to - from))
    }

    /// Where everything is.
    pub(super) fn footer(&self, reach: ReadReach) -> Result<Footer> {
        let bytes = self.read_all(reach, self.entry.footer)?;
        Footer::decode(&bytes).filter(|footer| footer.heads.rows == self.entry.rows).ok_or_else(|| self.damaged())
    }

    /// Where what rows have beside their cells is. It is read once: the footer may be large, and look-ups need no more.
    fn heads(&self) -> Result<&HeadPlaces> {
        if let Some(heads) = self.heads.get() {
            return Ok(heads);
        }
        let bytes = self.read(ReadReach::Disk, self.entry.footer, 0, HeadPlaces::BYTES)?;
        let heads = HeadPlaces::take(&mut Take(&bytes)).filter(|heads| heads.rows == self.entry.rows);
        let heads = heads.ok_or_else(|| self.damaged())?;
        Ok(self.heads.get_or_init(|| heads))
    }

    /// Which of the timestamps every [`ROWS_PER_MARK`] rows is the first at or behind `instant`.
    pub(super) fn mark_at(&self, instant: i64) -> usize {
        self.marks.partition_point(|mark| *mark < instant)
    }

    /// Whether the id of `hash` may be here.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.bloom.may_contain(hash)
    }

    /// What a row with this id and content would be here; none when the id is not here, or when nobody can say.
    pub(super) fn find(&self, head: &RowHead) -> Result<Option<Written>> {
        if self.damage().is_some() {
            return Ok(None);
        }
        let found = self.find_whole(head).inspect_err(|error| self.set_aside(error));
        if self.damage().is_some() { Ok(None) } else { found }
    }

    fn find_whole(&self, head: &RowHead) -> Result<Option<Written>> {
        let places = self.heads()?;
        let hash = id_hash(&head.id);
        for row in self.rows_of_hash(places, hash)? {
            let row = row as usize;
            let id = self.read(ReadReach::Disk, places.ids, 16 * row as u64, 16 * (row as u64 + 1))?;
            if id.as_slice() != head.id.0 {
                continue;
            }
            let content = if places.contents.bytes == 0 {
                id
            } else {
                self.read(ReadReach::Disk, places.contents, 16 * row as u64, 16 * (row as u64 + 1))?
            };
            let is_same = content.as_slice() == head.content.0;
            return Ok(Some(if is_same { Written::Duplicate } else { Written::Conflict }));
        }
        Ok(None)
    }

    /// The rows whose ids have `hash`: guesses the place, for hashes are spread evenly.
    fn rows_of_hash(&self, places: &HeadPlaces, hash: u64) -> Result<Vec<u32>> {
        const HALF_WINDOW: usize = 256;
        let rows = self.rows();
        let guess = usize::try_from((u128::from(hash) * rows as u128) >> 64).map_err(|_| self.damaged())?;
        let mut from = guess.saturating_sub(HALF_WINDOW);
        let mut to = (guess + HALF_WINDOW).min(rows);
        let hashes = loop {
            let hashes: ScalarBuffer<u64> = self.numbers(ReadReach::Disk, places.hashes, from, to)?;
            let is_low_enough = from == 0 || hashes.first().is_some_and(|first| *first < hash);
            let is_high_enough = to == rows || hashes.last().is_some_and(|last| *last > hash);
            if is_low_enough && is_high_enough {
                break hashes;
            }
            let len = (to - from).max(HALF_WINDOW);
            from = if is_low_enough { from } else { from.saturating_sub(2 * len) };
            to = if is_high_enough { to } else { (to + 2 * len).min(rows) };
        };
        let begin = from + hashes.partition_point(|known| *known < hash);
        let end = from + hashes.partition_point(|known| *known <= hash);
        if begin == end {
            return Ok(Vec::new());
        }
        let found: ScalarBuffer<u32> = self.numbers(ReadReach::Disk, places.hash_rows, begin, end)?;
        if found.iter().any(|row| *row as usize >= rows) {
            return Err(self.damaged());
        }
        Ok(found.to_vec())
    }
}

pub(super) fn parse_tail(tail: &[u8], entry: &SegmentEntry) -> Option<(Vec<u32>, Bloom, Vec<i64>)> {
    let mut take = Take(tail);
    let checksums = take.bytes(entry.blocks.checked_mul(4)?)?;
    let checksums = checksums.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let checksums = checksums.collect();
    let words = usize::try_from(take.u64()?).ok()?;
    let words = take.bytes(words.checked_mul(8)?)?;
    let words = words.chunks_exact(8).map(|eight| u64::from_le_bytes(eight.try_into().expect("8 bytes")));
    let bloom = Bloom::from_words(words.collect())?;
    let mut marks = Vec::new();
    for _ in 0..(entry.rows as usize).div_ceil(ROWS_PER_MARK) {
        marks.push(take.i64()?);
    }
    Some((checksums, bloom, marks))
}
