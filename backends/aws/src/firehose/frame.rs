//! The framing: parts of segments, which stand one behind another in whatever order Firehose wrote them.
//!
//! `FnS1`, the length of the body and its CRC-32C (four bytes each, big-endian as all numbers), the body: the segment's path
//! behind its length (two bytes), the length of the segment (eight) and its CRC-32C (four), how many parts it has, how many bytes
//! each but the last, and which this one is (four each), the bytes of the part.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};
use fineo_core::{Error, Result, archive::SegmentName};

const MAGIC: &[u8; 4] = b"FnS1";
const HEAD_LEN: usize = MAGIC.len() + 4 + 4;
/// What stands before a part's bytes, but for the segment's path.
const FIXED_LEN: usize = HEAD_LEN + 2 + 8 + 4 + 4 + 4 + 4;
/// No segment has more bytes, or more parts.
const BYTES_MAX: u64 = 1 << 30;
const PARTS_MAX: u32 = 4_096;
/// The largest record that Firehose takes: 1,000 KiB.
/// <https://docs.aws.amazon.com/firehose/latest/dev/limits.html>
pub(super) const RECORD_BYTES_MAX: usize = 1_000 << 10;

/// Which bytes a part belongs to: two segments of one name and different bytes do not get mixed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whole {
    pub(super) name: SegmentName,
    pub(super) bytes: u64,
    pub(super) checksum: u32,
    pub(super) parts: u32,
    /// How many bytes each part has but the last.
    pub(super) part_bytes: u32,
}

/// A part of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) whole: Whole,
    pub(super) index: u32,
    pub(super) bytes: Bytes,
}

/// The segment `name` in frames, none of which is larger than a record.
pub(super) fn frames(name: &SegmentName, bytes: &Bytes) -> Vec<Bytes> {
    let path = name.path();
    let room = RECORD_BYTES_MAX - FIXED_LEN - path.len();
    let checksum = crc32c::crc32c(bytes);
    let ranges = ranges(bytes.len(), room);
    let parts = u32::try_from(ranges.len()).expect("a segment has a gigabyte at most");
    let frame = |(index, range): (u32, Range<usize>)| {
        let mut out = Vec::with_capacity(FIXED_LEN + path.len() + range.len());
        out.put_slice(MAGIC);
        out.put_u64(0);
        out.put_u16(u16::try_from(path.len()).expect("a path is short"));
        out.put_slice(path.as_bytes());
        out.put_u64(bytes.len() as u64);
        out.put_u32(checksum);
        out.put_u32(parts);
        out.put_u32(u32::try_from(room).expect("a record is small"));
        out.put_u32(index);
        out.put_slice(&bytes[range]);
        let body = &out[HEAD_LEN..];
        let (length, checksum) = (u32::try_from(body.len()).expect("a record is small"), crc32c::crc32c(body));
        out[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&length.to_be_bytes());
        out[MAGIC.len() + 4..HEAD_LEN].copy_from_slice(&checksum.to_be_bytes());
        Bytes::from(out)
    };
    (0..).zip(ranges).map(frame).collect()
}

/// `length` in ranges of `room` each; an empty segment has one.
fn ranges(length: usize, room: usize) -> Vec<Range<usize>> {
    if length == 0 {
        return std::iter::once(0..0).collect();
    }
    (0..length).step_by(room).map(|from| from..length.min(from + room)).collect()
}

/// Reads the frame that `bytes` begin with, and leaves what stands behind it.
///
/// # Errors
///
/// `Corrupt` when it is none, or not as it was written.
pub(super) fn read(bytes: &mut Bytes) -> Result<Part> {
    let corrupt = || Error::corrupt("not a part of a segment, or not as it was written");
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(corrupt().with("hint", "the delivery stream compresses: turn that off"));
    }
    if bytes.len() < HEAD_LEN || !bytes.starts_with(MAGIC) {
        return Err(corrupt());
    }
    let mut rest = bytes.slice(MAGIC.len()..);
    let (length, checksum) = (rest.get_u32() as usize, rest.get_u32());
    if rest.len() < length {
        return Err(corrupt());
    }
    let body = rest.split_to(length);
    if crc32c::crc32c(&body) != checksum {
        return Err(corrupt());
    }
    let part = part(body).ok_or_else(corrupt)?;
    *bytes = rest;
    Ok(part)
}

fn part(mut body: Bytes) -> Option<Part> {
    let length = usize::from(body.try_get_u16().ok()?);
    if body.len() < length {
        return None;
    }
    let path = body.split_to(length);
    let name = SegmentName::from_path(std::str::from_utf8(&path).ok()?).ok()?;
    let (bytes, checksum) = (body.try_get_u64().ok()?, body.try_get_u32().ok()?);
    let (parts, part_bytes, index) = (body.try_get_u32().ok()?, body.try_get_u32().ok()?, body.try_get_u32().ok()?);
    let is_bounded = bytes <= BYTES_MAX && parts <= PARTS_MAX && index < parts;
    is_bounded.then_some(Part { whole: Whole { name, bytes, checksum, parts, part_bytes }, index, bytes: body })
}

/// Where in `bytes` the next frame begins, behind the first byte; none when there is none.
pub(super) fn next(bytes: &Bytes) -> Option<usize> {
    let begins = |at: &usize| bytes[*at..].starts_with(MAGIC) && read(&mut bytes.slice(*at..)).is_ok();
    (1..bytes.len()).find(begins)
}
