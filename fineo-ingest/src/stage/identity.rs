//! What makes two events the same: hashes of what was sent, whatever the order of its keys.
//!
//! The content hash covers a digest of the tenant and of the set of names, then every value in the order of the names,
//! with its kind and its length. No two different events write the same bytes.

use fineo_core::{ContentHash, EventId, TenantId};

use crate::scan::event::Kind;

/// The digest of a tenant and of some names, whatever their order: the sum of their hashes, modulo 2^256. A name occurs
/// once in an event, so a sum tells a set. Two halves, the lower first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NamesDigest([u128; 2]);

impl NamesDigest {
    /// That of a tenant without names.
    pub(crate) fn of_tenant(tenant: &TenantId) -> Self {
        Self::of(b"fineo tenant 1", tenant.as_str())
    }

    /// The part of a name.
    pub(crate) fn of_name(name: &str) -> Self {
        Self::of(b"fineo name 1", name)
    }

    fn of(kind: &[u8], text: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind);
        update(&mut hasher, text);
        let mut halves = [0; 2];
        for (half, bytes) in halves.iter_mut().zip(hasher.finalize().as_bytes().chunks_exact(16)) {
            *half = u128::from_le_bytes(bytes.try_into().expect("sixteen bytes"));
        }
        Self(halves)
    }

    /// With one part more.
    #[inline]
    pub(crate) fn add(&mut self, part: &Self) {
        let (low, carry) = self.0[0].overflowing_add(part.0[0]);
        self.0 = [low, self.0[1].wrapping_add(part.0[1]).wrapping_add(u128::from(carry))];
    }
}

/// Begins the bytes of a content hash.
pub(crate) fn begin_content(digest: &NamesDigest, default_metric: Option<&str>, out: &mut Vec<u8>) {
    out.clear();
    for half in digest.0 {
        out.extend_from_slice(&half.to_le_bytes());
    }
    if let Some(metric) = default_metric {
        // No kind of value has this number.
        push(0, metric.as_bytes(), out);
    }
}

/// Adds a value.
#[inline]
pub(crate) fn push_value(kind: Kind, text: &[u8], out: &mut Vec<u8>) {
    push(kind as u8, text, out);
}

/// The kind and the length as one number of as many bytes as it takes, seven bits in each.
#[inline]
fn push(kind: u8, text: &[u8], out: &mut Vec<u8>) {
    let mut rest = (text.len() as u64) << 3 | u64::from(kind);
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
    out.extend_from_slice(text);
}

/// The hash of what was pushed.
pub(crate) fn content(bytes: &[u8]) -> ContentHash {
    ContentHash(first_half(&blake3::hash(bytes)))
}

/// The id of the event that its client calls `key`.
pub(crate) fn of_key(tenant: &TenantId, key: &str) -> EventId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"fineo key 1");
    update(&mut hasher, tenant.as_str());
    update(&mut hasher, key);
    EventId(first_half(&hasher.finalize()))
}

/// The first half of a hash.
pub(crate) fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

fn update(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&length(text).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).expect("events are much smaller than 4 GiB")
}
