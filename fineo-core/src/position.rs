//! Where an entry stands in a stream, and which positions something covers.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use crate::{Error, Result};

/// A part of a stream within which positions are ordered. 1–128 of `A-Za-z0-9._-`.
#[expect(clippy::derived_hash_with_manual_eq, reason = "equal is equal by text, only found out sooner")]
#[derive(Clone, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(Arc<str>);

impl PartialEq for ShardId {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Most are clones of one another, on paths where a comparison of texts would cost as much as the rest.
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl ShardId {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Invalid`] when it is not a shard id.
    pub fn new(text: &str) -> Result<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=128).contains(&text.len()) || !text.bytes().all(legal) || text.starts_with('.') {
            return Err(Error::invalid("not a shard id").with("shard", text));
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardId({})", self.0)
    }
}

/// Where an entry stands in its shard: opaque, ordered, storable, never reused.
///
/// A big-endian number of 192 bits, wide enough for Kinesis' sequence numbers (56 decimal digits, 186 bits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position([u8; Self::LEN]);

impl Position {
    /// The number of bytes of a stored position.
    pub const LEN: usize = 24;
    /// Before every entry.
    pub const ZERO: Self = Self([0; Self::LEN]);
    /// Behind every entry.
    pub const MAX: Self = Self([u8::MAX; Self::LEN]);

    /// A position from its stored bytes.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes to store; they order as the position does.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }

    /// The position as a number, where it is small enough.
    pub fn to_u128(self) -> Option<u128> {
        let (high, low) = self.0.split_at(8);
        let low = low.try_into().ok()?;
        high.iter().all(|byte| *byte == 0).then(|| u128::from_be_bytes(low))
    }
}

impl From<u128> for Position {
    fn from(number: u128) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        Self(bytes)
    }
}

impl From<u64> for Position {
    fn from(number: u64) -> Self {
        Self::from(u128::from(number))
    }
}

impl From<i32> for Position {
    fn from(number: i32) -> Self {
        Self::from(u128::from(number.unsigned_abs()))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written with every checkpoint, many times: digit by digit would be slow.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 2 * Self::LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_u128() {
            Some(number) => write!(f, "Position({number})"),
            None => write!(f, "Position(0x{self})"),
        }
    }
}

impl FromStr for Position {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::invalid("not a position of 48 hexadecimal digits").with("position", text);
        if text.len() != 2 * Self::LEN || !text.is_ascii() {
            return Err(invalid());
        }
        let mut bytes = [0; Self::LEN];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

/// Per shard, the last position that something answers for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cover(BTreeMap<ShardId, Position>);

impl Cover {
    /// Whether `position` of `shard` is at or before the last covered one.
    pub fn contains(&self, shard: &ShardId, position: Position) -> bool {
        self.0.get(shard).is_some_and(|last| position <= *last)
    }

    /// Whether everything that `other` covers is covered here.
    pub fn includes(&self, other: &Self) -> bool {
        other.iter().all(|(shard, position)| self.contains(shard, position))
    }

    /// Moves the cover of `shard` forward to `position`; never backward.
    pub fn advance(&mut self, shard: &ShardId, position: Position) {
        match self.0.get_mut(shard) {
            Some(last) => *last = position.max(*last),
            None => {
                self.0.insert(shard.clone(), position);
            }
        }
    }

    /// Moves this cover forward to include `other`.
    pub fn merge(&mut self, other: &Self) {
        for (shard, position) in other.iter() {
            self.advance(shard, position);
        }
    }

    /// The last covered position of `shard`.
    pub fn last(&self, shard: &ShardId) -> Option<Position> {
        self.0.get(shard).copied()
    }

    /// Every shard with its last covered position, in order of shard ids.
    pub fn iter(&self) -> impl Iterator<Item = (&ShardId, Position)> {
        self.0.iter().map(|(shard, position)| (shard, *position))
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(ShardId, Position)> for Cover {
    fn from_iter<I: IntoIterator<Item = (ShardId, Position)>>(items: I) -> Self {
        let mut cover = Self::default();
        for (shard, position) in items {
            cover.advance(&shard, position);
        }
        cover
    }
}

#[cfg(test)]
mod tests;
