//! The bytes of one append: a header with a checksum, the tenants, the lengths, the payloads.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use fineo_core::{Error, Position, Result, TenantId, stream::Delivery, stream::Entry};
use foldhash::fast::RandomState;

/// How a frame begins.
pub(super) const MAGIC: [u8; 4] = *b"FnFr";
/// Magic, checksum of all that follows, bytes of the body, number of entries, first position, durable length.
pub(super) const HEADER_BYTES: usize = 32;
/// A frame takes no further entry beyond this many bytes of payload.
pub(super) const PAYLOAD_BYTES_MAX: usize = 4 << 20;
/// No frame is larger: one entry beyond the bound, its tables, and the header.
pub(super) const FRAME_BYTES_MAX: usize = 48 << 20;

/// A checked frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The position of the first entry; the others follow without gaps.
    pub(super) first: u64,
    /// How many entries; none in a seal.
    pub(super) count: u32,
    /// How much of the file was on disk when this frame was written.
    pub(super) durable: u64,
    bytes: Bytes,
    tenants: Arc<[TenantId]>,
    table: usize,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// How many bytes the frame that begins `bytes` has, if a frame begins there.
pub(super) fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER_BYTES)?;
    let body = u32_at(header, 8)? as usize;
    (header[..4] == MAGIC && body <= FRAME_BYTES_MAX - HEADER_BYTES).then_some(HEADER_BYTES + body)
}

/// Packs those of `entries` that `indexes` names.
pub(super) fn encode(entries: &[Entry], indexes: &[u32], first: u64, durable: u64) -> Vec<u8> {
    let mut tenants: Vec<&TenantId> = Vec::new();
    let mut known: HashMap<&TenantId, usize, RandomState> = HashMap::default();
    let mut numbers = Vec::with_capacity(indexes.len());
    let mut payload_bytes = 0;
    let mut last: Option<(&TenantId, usize)> = None;
    for index in indexes {
        let entry = &entries[*index as usize];
        payload_bytes += entry.payload.len();
        // Neighbours mostly have one tenant.
        let number = match last {
            Some((tenant, number)) if *tenant == entry.tenant => number,
            Some(_) | None => *known.entry(&entry.tenant).or_insert(tenants.len()),
        };
        if number == tenants.len() {
            tenants.push(&entry.tenant);
        }
        last = Some((&entry.tenant, number));
        numbers.push(number);
    }
    let tenant_bytes: usize = tenants.iter().map(|tenant| 1 + tenant.as_str().len()).sum();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 4 + tenant_bytes + 8 * indexes.len() + payload_bytes);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&u32::try_from(indexes.len()).expect("an append is bounded").to_le_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&durable.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(tenants.len()).expect("an append is bounded").to_le_bytes());
    for tenant in tenants {
        bytes.push(u8::try_from(tenant.as_str().len()).expect("a tenant id is short"));
        bytes.extend_from_slice(tenant.as_str().as_bytes());
    }
    for (index, number) in indexes.iter().zip(numbers) {
        let len = entries[*index as usize].payload.len();
        bytes.extend_from_slice(&u32::try_from(len).expect("an entry is bounded").to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(number).expect("an append is bounded").to_le_bytes());
    }
    for index in indexes {
        bytes.extend_from_slice(&entries[*index as usize].payload);
    }
    let body = u32::try_from(bytes.len() - HEADER_BYTES).expect("a frame is bounded");
    bytes[8..12].copy_from_slice(&body.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

impl Frame {
    /// Reads the frame that begins `bytes`; none when its bytes are not as written.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let len = frame_bytes(bytes)?;
        let bytes = bytes.get(..len).map(|_| bytes.slice(..len))?;
        if u32_at(&bytes, 4)? != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        Self::of_encoded(bytes)
    }

    /// The frame whose bytes, and no others, these are: [`encode`] made them, or they were checked.
    pub(super) fn of_encoded(bytes: Bytes) -> Option<Self> {
        let count = u32_at(&bytes, 12)?;
        let mut at = HEADER_BYTES + 4;
        let mut tenants = Vec::new();
        for _ in 0..u32_at(&bytes, HEADER_BYTES)? {
            let len = usize::from(*bytes.get(at)?);
            let text = std::str::from_utf8(bytes.get(at + 1..at + 1 + len)?).ok()?;
            tenants.push(TenantId::new(text).ok()?);
            at += 1 + len;
        }
        (bytes.len() >= at + 8 * count as usize).then_some(())?;
        let first = u64_at(&bytes, 16)?;
        let durable = u64_at(&bytes, 24)?;
        Some(Self { first, count, durable, bytes, tenants: tenants.into(), table: at })
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The position after its last entry.
    pub(super) fn next(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Appends its entries behind `after`; payloads share the frame's bytes.
    pub(super) fn deliver(&self, after: u64, deliveries: &mut Vec<Delivery>) -> Result<()> {
        let wrong = || Error::corrupt("frame of a log does not add up").with("first", self.first);
        let mut payload = self.table + 8 * self.count as usize;
        deliveries.reserve(self.count as usize);
        for index in 0..self.count {
            let at = self.table + 8 * index as usize;
            let len = u32_at(&self.bytes, at).ok_or_else(wrong)? as usize;
            let tenant = u32_at(&self.bytes, at + 4).ok_or_else(wrong)? as usize;
            let position = self.first + u64::from(index);
            if position > after {
                let tenant = self.tenants.get(tenant).ok_or_else(wrong)?.clone();
                if payload + len > self.bytes.len() {
                    return Err(wrong());
                }
                let payload = self.bytes.slice(payload..payload + len);
                deliveries.push(Delivery { tenant, position: Position::from(position), payload });
            }
            payload += len;
        }
        Ok(())
    }
}
