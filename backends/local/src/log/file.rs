//! A file of a log: where it begins and what came before it.

use std::path::{Path, PathBuf};

/// Magic, version, checksum of the numbers, position before the file, first position of the file.
pub(super) const HEADER_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"FineoLog";
const VERSION: u32 = 1;

/// A file as the log remembers it.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    /// The first position that it may hold.
    pub(super) first: u64,
    /// The last position before it; 0 when there was none. Unknown when the header is damaged.
    pub(super) previous: Option<u64>,
    /// How many bytes of it hold frames, the header included.
    pub(super) len: u64,
    /// Where it is.
    pub(super) path: PathBuf,
}

impl LogFile {
    /// The path of the file that begins with `first`.
    pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
        folder.join(format!("{first:016x}.log"))
    }

    /// Reads a name made by [`LogFile::path`].
    pub(super) fn first_of_name(name: &str) -> Option<u64> {
        let stem = name.strip_suffix(".log").filter(|stem| stem.len() == 16)?;
        u64::from_str_radix(stem, 16).ok()
    }
}

/// The bytes that begin a file.
pub(super) fn header(previous: u64, first: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&previous.to_le_bytes());
    bytes[24..32].copy_from_slice(&first.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[16..]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The last position before a file, from the bytes that begin it; none when they are damaged.
pub(super) fn previous_of_header(bytes: &[u8; HEADER_BYTES], first: u64) -> Option<u64> {
    let previous = u64::from_le_bytes(bytes[16..24].try_into().ok()?);
    (*bytes == header(previous, first)).then_some(previous)
}
