//! Hashes of ids and texts.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use fineo_core::EventId;

const ONE: u64 = 0x9e37_79b9_7f4a_7c15;
const TWO: u64 = 0xe703_7ed1_a0b4_28db;

fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

/// A hash of an id. Ids are hashes or chance, so nobody can choose many of one hash.
pub(super) fn id_hash(id: &EventId) -> u64 {
    let (high, low) = id.0.split_at(8);
    let number = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of 16 bytes"));
    fold(number(high) ^ ONE, number(low) ^ TWO)
}

/// A hash of a text; tenants choose texts, so `seed` must be chance.
#[inline]
pub(super) fn text_hash(text: &[u8], seed: u64) -> u64 {
    let mut hash = seed ^ (text.len() as u64);
    // Beginning and end, overlapping where the text is short: together they are all of it.
    let (first, last) = match text {
        [] => (0, 0),
        [.., last] if text.len() < 4 => (u64::from(text[0]) << 8 | u64::from(text[text.len() / 2]), u64::from(*last)),
        _ if text.len() < 8 => ends::<4>(text, |four| u32::from_le_bytes(four).into()),
        _ => ends::<8>(text, u64::from_le_bytes),
    };
    if text.len() > 16 {
        for chunk in text.chunks_exact(8) {
            hash = fold(hash ^ u64::from_le_bytes(chunk.try_into().expect("8 bytes")), ONE);
        }
    } else {
        hash = fold(hash ^ first, ONE);
    }
    fold(hash ^ last, TWO)
}

/// The numbers that the first and the last `N` bytes are.
#[inline]
fn ends<const N: usize>(text: &[u8], number: impl Fn([u8; N]) -> u64) -> (u64, u64) {
    let of = |bytes: Option<&[u8; N]>| bytes.map_or(0, |bytes| number(*bytes));
    (of(text.first_chunk()), of(text.last_chunk()))
}

/// Hashes [`EventId`]s for a map.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        match bytes.try_into() {
            Ok(id) => self.0 = id_hash(&EventId(id)),
            // The length, which an array's hash writes first.
            Err(_) => self.0 = text_hash(bytes, self.0),
        }
    }

    fn write_usize(&mut self, _len: usize) {}
}

/// Hashes names for a map; tenants choose names, so it begins with chance.
#[derive(Debug)]
pub(super) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = text_hash(bytes, self.0);
    }

    /// The byte that ends a text: its length was hashed.
    fn write_u8(&mut self, _end: u8) {}
}

/// Builds [`NameHasher`]s that begin with this.
#[derive(Debug)]
pub(super) struct BuildNameHasher(pub(super) u64);

impl BuildHasher for BuildNameHasher {
    type Hasher = NameHasher;

    fn build_hasher(&self) -> NameHasher {
        NameHasher(self.0)
    }
}

/// Builds [`IdHasher`]s.
pub(super) type BuildIdHasher = BuildHasherDefault<IdHasher>;
