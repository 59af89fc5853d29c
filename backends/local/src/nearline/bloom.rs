//! Says which ids a segment certainly does not hold: one cache line per question.

const BITS_PER_ID: usize = 12;
const WORDS_PER_LINE: usize = 8;

/// A blocked Bloom filter over hashes of ids.
#[derive(Debug, Clone)]
pub(super) struct Bloom {
    words: Vec<u64>,
}

impl Bloom {
    /// A filter of `hashes`.
    pub(super) fn of(hashes: &[u64]) -> Self {
        let lines = (hashes.len() * BITS_PER_ID).div_ceil(64 * WORDS_PER_LINE).max(1);
        let mut bloom = Self { words: vec![0; lines * WORDS_PER_LINE] };
        for hash in hashes {
            let (line, bits) = bloom.place(*hash);
            for (word, bit) in bits {
                bloom.words[line + word] |= bit;
            }
        }
        bloom
    }

    /// A filter from its stored words; none when there is no whole line.
    pub(super) fn from_words(words: Vec<u64>) -> Option<Self> {
        (!words.is_empty() && words.len().is_multiple_of(WORDS_PER_LINE)).then_some(Self { words })
    }

    /// The words to store.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether the id of `hash` may be there.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let (line, bits) = self.place(hash);
        bits.into_iter().all(|(word, bit)| self.words[line + word] & bit != 0)
    }

    /// The line, and in it six bits.
    #[expect(clippy::cast_possible_truncation, reason = "a line number is below the number of lines")]
    fn place(&self, hash: u64) -> (usize, [(usize, u64); 6]) {
        let lines = (self.words.len() / WORDS_PER_LINE) as u64;
        let line = ((u128::from(hash) * u128::from(lines)) >> 64) as usize * WORDS_PER_LINE;
        // The high bits chose the line; mixed again they choose the bits.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = std::array::from_fn(|index| {
            let nine = (mixed >> (10 * index)) as usize & 511;
            (nine / 64, 1_u64 << (nine % 64))
        });
        (line, bits)
    }
}
