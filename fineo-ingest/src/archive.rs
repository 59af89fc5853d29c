//! Segments: what the stages received, in Avro object container files (`docs/formats/archive.md`).
//!
//! Every block holds one tenant's records, column by column, and the header's index says where each tenant's blocks are, so that
//! one tenant is read without touching another's bytes. The same records make the same bytes: no clock and no
//! chance goes in.

mod chain;
mod columns;
mod errors;
mod expired;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod noted;
mod read;
mod record;
mod staged;
mod write;

pub use chain::{Chain, Listing, Missing};
pub use expired::Expired;
pub use noted::Noted;
pub use read::{ArchivedRecord, SegmentReader};
pub use staged::{StagedBlock, StagedRecord};
pub(crate) use write::{Received, Segment, encode_errors};

/// The metadata key of the position behind which a segment of what was received begins.
const AFTER_KEY: &str = "fineo.after";
/// The metadata key of the index.
const INDEX_KEY: &str = "fineo.index";
/// The metadata key of the schemas of staged records, by `tenant/metric/version`.
const RECORDS_KEY: &str = "fineo.records";
/// Records are compressed in blocks of about so many bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// No block may be larger when it is unpacked: a block, the largest event, and room.
const BLOCK_BYTES_MAX: usize = 64 << 20;
const MAGIC: &[u8; 4] = b"Obj\x01";
const SYNC_LEN: usize = 16;

/// Where a block is and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct BlockInfo {
    tenant: String,
    /// Where it begins, counted from the end of the header.
    offset: u64,
    bytes: u64,
    records: u64,
    /// Arrival times, in microseconds.
    time_first: i64,
    time_last: i64,
}

/// The sync marker of a segment: it binds the header to its name, so that a reader notices when either is broken.
fn sync_marker<'a>(path: &str, metadata: impl Iterator<Item = (&'a str, &'a [u8])>) -> [u8; SYNC_LEN] {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(path.as_bytes()).chain(metadata.flat_map(|(key, value)| [key.as_bytes(), value])) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut marker = [0; SYNC_LEN];
    marker.copy_from_slice(&hasher.finalize().as_bytes()[..SYNC_LEN]);
    marker
}

#[cfg(test)]
mod tests;
