//! What makes two events the same: hashes of what was sent, whatever the order of its keys.
//!
//! The content hash covers a digest of the tenant and the length-prefixed, name-sorted names, then every value
//! in that order, with its kind and its length. No two different events write the same bytes.

use fineo_core::{ContentHash, EventId, TenantId};

use crate::scan::event::Kind;

/// The digest of a tenant and of sorted names; every event of these names shares it.
pub(crate) fn names_digest<'a>(tenant: &TenantId, sorted_names: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"fineo names 1");
    update(&mut hasher, tenant.as_str());
    for name in sorted_names {
        update(&mut hasher, name);
    }
    *hasher.finalize().as_bytes()
}

/// Begins the bytes of a content hash.
pub(crate) fn begin_content(digest: &[u8; 32], default_metric: Option<&str>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(digest);
    if let Some(metric) = default_metric {
        // No kind of value has this number.
        push(0, metric, out);
    }
}

/// Adds a value.
pub(crate) fn push_value(kind: Kind, text: &str, out: &mut Vec<u8>) {
    push(kind as u8, text, out);
}

fn push(kind: u8, text: &str, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&length(text).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
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
