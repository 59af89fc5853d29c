//! Checksums of a file's blocks.

/// The checksum of each block of `block_bytes` of `bytes`; the last may be shorter.
pub(crate) fn checksums(bytes: &[u8], block_bytes: usize) -> Vec<u32> {
    bytes.chunks(block_bytes).map(crc32c::crc32c).collect()
}

/// The first block of `bytes`, counted from `first_block`, whose checksum is another.
pub(crate) fn first_bad(bytes: &[u8], block_bytes: usize, first_block: usize, checksums: &[u32]) -> Option<usize> {
    bytes
        .chunks(block_bytes)
        .enumerate()
        .map(|(index, block)| (first_block + index, block))
        .find(|(number, block)| checksums.get(*number) != Some(&crc32c::crc32c(block)))
        .map(|(number, _)| number)
}
