//! Puts numbers and texts into bytes and takes them out again, checking every length.

use std::sync::Arc;

/// Adds to bytes.
pub(super) trait Put {
    /// A number of four bytes.
    fn put_u32(&mut self, number: u32);
    /// A number of eight bytes.
    fn put_u64(&mut self, number: u64);
    /// A text with its length.
    fn put_text(&mut self, text: &str);
}

impl Put for Vec<u8> {
    fn put_u32(&mut self, number: u32) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_u64(&mut self, number: u64) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_text(&mut self, text: &str) {
        self.put_u32(u32::try_from(text.len()).expect("a text is bounded"));
        self.extend_from_slice(text.as_bytes());
    }
}

/// Takes from bytes; none when they do not suffice.
#[derive(Debug)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    /// The next `len` bytes.
    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (now, later) = self.0.split_at_checked(len)?;
        self.0 = later;
        Some(now)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// A number of four bytes.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of eight bytes.
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A signed number of eight bytes.
    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A text with its length.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.bytes(len)?).ok()
    }

    /// A text with its length, to keep.
    pub(super) fn shared_text(&mut self) -> Option<Arc<str>> {
        self.text().map(Arc::from)
    }
}
