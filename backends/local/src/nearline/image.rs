//! Writes the image of a segment: sections one behind the other, a checksum per block, a footer, a tail.

use std::sync::Arc;

use fineo_core::Result;

use super::pack::Pack;
use crate::failure;

/// The bytes that one checksum answers for, and what images begin at a multiple of.
pub(super) const BLOCK_BYTES: usize = 4096;
/// As wide as the widest number: a name that few rows have costs little more than its cells.
const ALIGN: u64 = 8;
const BUFFER_BYTES: usize = 256 << 10;

/// Where a section lies in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// An image being written, at the end of a pack.
#[derive(Debug)]
pub(super) struct ImageWriter {
    pack: Arc<Pack>,
    /// Where the image begins in the pack.
    start: u64,
    /// How many bytes of the image were written to the pack.
    flushed: u64,
    buffer: Vec<u8>,
    checksums: Vec<u32>,
}

impl ImageWriter {
    /// Begins an image at `start`.
    pub(super) fn new(pack: Arc<Pack>, start: u64) -> Self {
        Self { pack, start, flushed: 0, buffer: Vec::with_capacity(BUFFER_BYTES + BLOCK_BYTES), checksums: Vec::new() }
    }

    fn offset(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// Begins a section where numbers of any width may lie.
    pub(super) fn begin(&mut self) -> Result<u64> {
        let padding = usize::try_from(self.offset().next_multiple_of(ALIGN) - self.offset()).expect("below that");
        self.put(&[0; ALIGN as usize][..padding])?;
        Ok(self.offset())
    }

    /// Adds bytes to the section.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == BUFFER_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the section that began at `offset`.
    pub(super) fn end(&self, offset: u64) -> Section {
        Section { offset, bytes: self.offset() - offset }
    }

    /// A section of `bytes`.
    pub(super) fn section(&mut self, bytes: &[u8]) -> Result<Section> {
        let offset = self.begin()?;
        self.put(bytes)?;
        Ok(self.end(offset))
    }

    fn flush(&mut self) -> Result<()> {
        self.checksums.extend(crate::blocks::checksums(&self.buffer, BLOCK_BYTES));
        let write = self.pack.file.write_at(&self.buffer, self.start + self.flushed);
        write.map_err(|source| failure::disk_error("write", &self.pack.path, source))?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the image with its checksums and `tail`; answers the length of the blocks, and the tail's place and checksum.
    pub(super) fn finish(mut self, tail: &[u8]) -> Result<Finished> {
        let padding = self.offset().next_multiple_of(BLOCK_BYTES as u64) - self.offset();
        self.put(&vec![0; usize::try_from(padding).expect("below a block")])?;
        self.flush()?;
        let blocks = self.checksums.len();
        let mut bytes = Vec::with_capacity(4 * blocks + tail.len());
        for checksum in &self.checksums {
            bytes.extend_from_slice(&checksum.to_le_bytes());
        }
        bytes.extend_from_slice(tail);
        let tail = Section { offset: self.flushed, bytes: bytes.len() as u64 };
        let tail_checksum = crc32c::crc32c(&bytes);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        self.buffer = bytes;
        self.flush()?;
        Ok(Finished { blocks, tail, tail_checksum, next: self.start + self.flushed })
    }
}

/// What is known of an image once it is written.
#[derive(Debug)]
pub(super) struct Finished {
    /// How many blocks have a checksum.
    pub(super) blocks: usize,
    /// Where the checksums and what follows them lie.
    pub(super) tail: Section,
    /// The checksum of the tail.
    pub(super) tail_checksum: u32,
    /// Where the next image of the pack may begin.
    pub(super) next: u64,
}
