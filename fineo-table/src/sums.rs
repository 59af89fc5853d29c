//! Checksums of a file's blocks: what a reader compares every byte with.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use fineo_core::{Error, Result};

use crate::failure::REPAIR;

/// The bytes of a block.
pub(crate) const BLOCK_BYTES: u64 = 64 << 10;
const MAGIC: [u8; 8] = *b"FINEOSM1";
const HEAD_BYTES: usize = 8 + 4 + 8;

/// The length of a file and a CRC-32C of each of its blocks of 64 KiB.
///
/// Parquet files have no checksum that every engine writes and reads, so these stand in an object of their own
/// beside the file, written before the commit that names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSums {
    bytes: u64,
    /// Of the whole blocks; the last one is that of the unfinished block, where there is one.
    sums: Vec<u32>,
}

impl FileSums {
    /// The checksums of no bytes yet; [`FileSums::update`] takes the file's.
    pub fn new() -> Self {
        Self::default()
    }

    /// The checksums of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut sums = Self::new();
        sums.update(bytes);
        sums
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let within = self.bytes % BLOCK_BYTES;
            let room = usize::try_from(BLOCK_BYTES - within).expect("a block fits in memory");
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            match self.sums.last_mut() {
                Some(last) if within > 0 => *last = crc32c::crc32c_append(*last, part),
                Some(_) | None => self.sums.push(crc32c::crc32c(part)),
            }
            self.bytes += part.len() as u64;
            bytes = rest;
        }
    }

    /// How many bytes the file has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes that this value takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        4 * self.sums.len() + 64
    }

    /// The blocks that hold `range`, as bytes of the file.
    pub(crate) fn blocks_of(&self, range: &Range<u64>) -> Range<u64> {
        let end = range.end.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
        range.start / BLOCK_BYTES * BLOCK_BYTES..end.min(self.bytes)
    }

    /// Whether `bytes`, whole blocks that begin at `from`, are those of the file; else where the first bad block
    /// begins.
    pub(crate) fn check(&self, from: u64, bytes: &[u8]) -> Result<(), u64> {
        let first = from / BLOCK_BYTES;
        let blocks = bytes.chunks(usize::try_from(BLOCK_BYTES).expect("a block fits in memory"));
        for (number, block) in (first..).zip(blocks) {
            let known = usize::try_from(number).ok().and_then(|number| self.sums.get(number));
            if known != Some(&crc32c::crc32c(block)) {
                return Err(number * BLOCK_BYTES);
            }
        }
        Ok(())
    }

    /// The object to write: a mark, the checksum of what follows, the length of the file, the checksums.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut body = self.bytes.to_le_bytes().to_vec();
        for sum in &self.sums {
            body.extend_from_slice(&sum.to_le_bytes());
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes.into()
    }

    /// Reads what [`FileSums::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Arc<Self>> {
        let damaged = || Error::corrupt(format!("checksums of a file are damaged: {REPAIR}"));
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (sum, body) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        if *magic != MAGIC || u32::from_le_bytes(*sum) != crc32c::crc32c(body) {
            return Err(damaged());
        }
        let (len, sums) = body.split_first_chunk::<8>().ok_or_else(damaged)?;
        let sums = sums.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        Ok(Arc::new(Self { bytes: u64::from_le_bytes(*len), sums: sums.collect() }))
    }
}

#[cfg(test)]
mod tests;
