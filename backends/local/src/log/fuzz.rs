//! Frames that are fed to the reader.

use bytes::Bytes;
use fineo_core::{TenantId, stream::Entry};

use super::frame::{Frame, encode};

/// A frame of two tenants' entries.
pub fn frames() -> Vec<Vec<u8>> {
    let tenant = |name| TenantId::new(name).expect("a legal id");
    let entry =
        |name, payload: &'static [u8]| Entry { tenant: tenant(name), key: 0, payload: Bytes::from_static(payload) };
    vec![encode(&[entry("acme", b"first"), entry("beta", b""), entry("acme", b"third")], &[0, 1, 2], 7, 0)]
}

/// What a frame's bytes say is delivered whole or not at all.
pub fn frame(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let _ = Frame::decode(&bytes);
    if bytes.len() >= super::frame::HEADER_BYTES
        && let Some(frame) = Frame::of_encoded(bytes)
    {
        let mut deliveries = Vec::new();
        if frame.deliver(0, &mut deliveries).is_ok() {
            assert!(deliveries.len() <= frame.count as usize);
        }
    }
}
