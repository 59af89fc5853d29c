//! The stored form of a version: checksum, number, time, body.

use bytes::Bytes;
use fineo_core::{
    Error, Result, Timestamp,
    repo::{Subject, Version, Versioned},
};

const HEAD_BYTES: usize = 20;

/// The bytes to store.
pub(super) fn encode(version: Version, written_at: Timestamp, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&version.0.to_le_bytes());
    bytes.extend_from_slice(&written_at.micros().to_le_bytes());
    bytes.extend_from_slice(body);
    let checksum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The version that `bytes` tell, or `Corrupt`.
pub(super) fn decode(bytes: &[u8], subject: &Subject) -> Result<Versioned> {
    let damaged = || Error::corrupt("version of a subject is damaged").with("subject", subject);
    let (checksum, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(rest) {
        return Err(damaged());
    }
    let (version, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (micros, body) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    Ok(Versioned {
        version: Version(u64::from_le_bytes(*version)),
        written_at: Timestamp::from_micros(i64::from_le_bytes(*micros))?,
        body: Bytes::copy_from_slice(body),
    })
}

/// The number alone.
pub(super) fn version(bytes: &[u8], subject: &Subject) -> Result<Version> {
    Ok(decode(bytes, subject)?.version)
}
