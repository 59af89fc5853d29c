//! The framing: entries that stand one behind another in whatever order Firehose wrote them.
//!
//! `FnF1`, the length of the body and its CRC-32C (four bytes each, big-endian), the body: stage, kind, the tenant behind its
//! length (one byte each), the shard behind its length (two bytes), the position, the payload.

use bytes::{Buf, BufMut, Bytes};
use fineo_core::{
    Error, Position, Result, ShardId, TenantId,
    archive::{SegmentKind, Stage},
    stream::Delivery,
};

use super::SinkEntry;

const MAGIC: &[u8; 4] = b"FnF1";
const HEAD_LEN: usize = MAGIC.len() + 4 + 4;

/// How many bytes the frame of `entry` has.
pub(super) fn len(entry: &SinkEntry) -> usize {
    let texts = entry.delivery.tenant.as_str().len() + entry.shard.as_str().len();
    HEAD_LEN + 2 + 1 + 2 + texts + Position::LEN + entry.delivery.payload.len()
}

/// Appends the frame of `entry`.
pub(super) fn write(entry: &SinkEntry, out: &mut Vec<u8>) {
    let SinkEntry { stage, kind, shard, delivery } = entry;
    let begin = out.len();
    out.put_slice(MAGIC);
    out.put_u64(0);
    out.put_u8(index_of(&Stage::ALL, stage));
    out.put_u8(index_of(&SegmentKind::ALL, kind));
    let tenant = delivery.tenant.as_str();
    out.put_u8(u8::try_from(tenant.len()).expect("a tenant's id has at most 128 bytes"));
    out.put_slice(tenant.as_bytes());
    out.put_u16(u16::try_from(shard.as_str().len()).expect("a shard's id is short"));
    out.put_slice(shard.as_str().as_bytes());
    out.put_slice(&delivery.position.to_bytes());
    out.put_slice(&delivery.payload);
    let body = &out[begin + HEAD_LEN..];
    let (length, checksum) = (u32::try_from(body.len()).expect("a record is small"), crc32c::crc32c(body));
    out[begin + 4..begin + 8].copy_from_slice(&length.to_be_bytes());
    out[begin + 8..begin + 12].copy_from_slice(&checksum.to_be_bytes());
}

fn index_of<T: PartialEq>(all: &[T], wanted: &T) -> u8 {
    let found = all.iter().position(|known| known == wanted);
    found.and_then(|index| u8::try_from(index).ok()).expect("there are few of them, and it is one")
}

/// Reads the frame that `bytes` begin with, and leaves what stands behind it.
///
/// # Errors
///
/// `Corrupt` when it is none, or not as it was written.
pub(super) fn read(bytes: &mut Bytes) -> Result<SinkEntry> {
    let corrupt = || Error::corrupt("not a frame of the sink, or not as it was written");
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(corrupt().with("hint", "the delivery stream compresses: turn that off"));
    }
    if bytes.len() < HEAD_LEN || !bytes.starts_with(MAGIC) {
        return Err(corrupt());
    }
    bytes.advance(MAGIC.len());
    let (length, checksum) = (bytes.get_u32() as usize, bytes.get_u32());
    if bytes.len() < length {
        return Err(corrupt());
    }
    let mut body = bytes.split_to(length);
    if crc32c::crc32c(&body) != checksum {
        return Err(corrupt());
    }
    let stage = body.try_get_u8().ok().and_then(|index| Stage::ALL.get(usize::from(index)).copied());
    let kind = body.try_get_u8().ok().and_then(|index| SegmentKind::ALL.get(usize::from(index)).copied());
    let tenant = body.try_get_u8().ok().and_then(|length| text(&mut body, usize::from(length)));
    let shard = body.try_get_u16().ok().and_then(|length| text(&mut body, usize::from(length)));
    let (Some(stage), Some(kind), Some(tenant), Some(shard)) = (stage, kind, tenant, shard) else {
        return Err(corrupt());
    };
    let mut position = [0; Position::LEN];
    body.try_copy_to_slice(&mut position).map_err(|_| corrupt())?;
    let position = Position::from_bytes(position);
    let delivery = Delivery { tenant: TenantId::new(&tenant)?, position, payload: body };
    Ok(SinkEntry { stage, kind, shard: ShardId::new(&shard)?, delivery })
}

fn text(body: &mut Bytes, length: usize) -> Option<String> {
    if body.len() < length {
        return None;
    }
    String::from_utf8(body.split_to(length).to_vec()).ok()
}
