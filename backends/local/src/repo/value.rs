//! The stored form of a version: checksum, number, time, body. What is kept for ever is packed where that saves much.

use std::{cell::RefCell, fmt};

use bytes::Bytes;
use fineo_core::{
    Error, Result, Timestamp,
    repo::{Subject, Version, Versioned},
};
use zstd::bulk::{Compressor, Decompressor};

use super::BODY_BYTES_MAX;

const HEAD_BYTES: usize = 20;
/// Of the number: the body is its length and then packed by zstd.
const PACKED: u64 = 1 << 63;
/// What is smaller stays as it is.
const PACKED_BYTES_MIN: usize = 512;
const LEVEL: i32 = 1;

thread_local! {
    /// To make one costs more than what it unpacks.
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::default();
}

/// Packs bodies, one after another.
#[derive(Default)]
pub(super) struct Packer(Option<Compressor<'static>>);

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    /// `body`, if it is large and so packed is smaller.
    fn pack(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        if body.len() < PACKED_BYTES_MIN {
            return None;
        }
        if self.0.is_none() {
            self.0 = Compressor::new(LEVEL).ok();
        }
        let packed = self.0.as_mut()?.compress(body).ok()?;
        (packed.len() + 4 < body.len()).then_some(packed)
    }
}

/// The bytes to store; packed where there is a `packer` for it.
pub(super) fn encode(version: Version, written_at: Timestamp, body: &[u8], packer: Option<&mut Packer>) -> Vec<u8> {
    let packed = packer.and_then(|packer| packer.pack(body));
    let number = version.0 | packed.as_ref().map_or(0, |_| PACKED);
    let mut bytes = Vec::with_capacity(HEAD_BYTES + 4 + packed.as_deref().unwrap_or(body).len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&written_at.micros().to_le_bytes());
    match packed {
        Some(packed) => {
            let length = u32::try_from(body.len()).expect("a body is bounded");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&packed);
        }
        None => bytes.extend_from_slice(body),
    }
    let checksum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The version that `bytes` tell, or `Corrupt`.
pub(super) fn decode(bytes: &[u8], subject: &Subject) -> Result<Versioned> {
    let damaged = || damaged(subject);
    let (number, rest) = checked(bytes).ok_or_else(damaged)?;
    let (micros, body) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let body = match number & PACKED {
        0 => Bytes::copy_from_slice(body),
        _ => unpacked(body).ok_or_else(damaged)?,
    };
    let written_at = Timestamp::from_micros(i64::from_le_bytes(*micros))?;
    Ok(Versioned { version: Version(number & !PACKED), written_at, body })
}

/// The number alone.
pub(super) fn version(bytes: &[u8], subject: &Subject) -> Result<Version> {
    let (number, _) = checked(bytes).ok_or_else(|| damaged(subject))?;
    Ok(Version(number & !PACKED))
}

fn damaged(subject: &Subject) -> Error {
    Error::corrupt("version of a subject is damaged").with("subject", subject)
}

/// The number and what stands behind it, if the checksum is that of both.
fn checked(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (checksum, rest) = bytes.split_first_chunk::<4>()?;
    let (number, behind) = rest.split_first_chunk::<8>()?;
    (u32::from_le_bytes(*checksum) == crc32c::crc32c(rest)).then_some((u64::from_le_bytes(*number), behind))
}

fn unpacked(body: &[u8]) -> Option<Bytes> {
    let (length, packed) = body.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let unpacked = (length <= BODY_BYTES_MAX)
        .then(|| DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.decompress(packed, length)))?
        .ok()?;
    (unpacked.len() == length).then(|| unpacked.into())
}

#[cfg(test)]
mod tests {
    use fineo_core::repo::Keep;
    use proptest::prelude::*;

    use super::*;

    fn subject() -> Subject {
        Subject::system("a", Keep::History).unwrap()
    }

    proptest! {
        #[test]
        fn a_version_comes_back_packed_or_not(number in 0..=u64::MAX >> 1, seed: u8, length in 0..5_000_usize) {
            let body: Vec<u8> = (0..length).map(|at| seed.wrapping_add((at * at / 97) as u8)).collect();
            let written_at = Timestamp::from_micros(i64::from(seed)).unwrap();
            let mut packer = Packer::default();
            for packer in [None, Some(&mut packer)] {
                let bytes = encode(Version(number), written_at, &body, packer);
                let expected = Versioned { version: Version(number), written_at, body: body.clone().into() };
                prop_assert_eq!(decode(&bytes, &subject()).unwrap(), expected);
                prop_assert_eq!(version(&bytes, &subject()).unwrap(), Version(number));
            }
        }
    }

    #[test]
    fn text_that_repeats_takes_a_tenth() {
        let body = r#"{"name":"f","type":["null","double"],"default":null}"#.repeat(200);
        let bytes = encode(Version(1), Timestamp::MIN, body.as_bytes(), Some(&mut Packer::default()));
        assert!(bytes.len() * 10 < body.len(), "{}", bytes.len());
    }

    #[test]
    fn what_is_not_what_was_written_is_damaged_whatever_length_it_tells() {
        let body = "one and the same ".repeat(100);
        let bytes = encode(Version(1), Timestamp::MIN, body.as_bytes(), Some(&mut Packer::default()));
        for length in [0, 1, body.len() as u32 - 1, body.len() as u32 + 1, u32::MAX] {
            let mut other = bytes.clone();
            other[HEAD_BYTES..HEAD_BYTES + 4].copy_from_slice(&length.to_le_bytes());
            let checksum = crc32c::crc32c(&other[4..]);
            other[..4].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(decode(&other, &subject()).unwrap_err().kind(), fineo_core::ErrorKind::Corrupt, "{length}");
        }
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            assert_eq!(decode(&other, &subject()).unwrap_err().kind(), fineo_core::ErrorKind::Corrupt, "{at}");
            assert!(version(&other, &subject()).is_err(), "{at}");
        }
    }
}
