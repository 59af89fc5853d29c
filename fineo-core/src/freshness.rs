//! Positions of events as a text that a client keeps and gives back: read your own write.

use std::{fmt, str::FromStr};

use crate::{Cover, Error, Position, Result, ShardId};

/// The most shards of a token.
const SHARDS_MAX: usize = 1_024;
/// The text of no position at all.
const NONE: &str = "none";

/// Where some events stand, as a text: the answer to sending them, and the condition of a later query.
///
/// ```
/// # use fineo_core::FreshnessToken;
/// let token: FreshnessToken = "raw-0:1f".parse()?;
/// assert_eq!(token.to_string(), "raw-0:1f");
/// assert!("raw-0:".parse::<FreshnessToken>().is_err());
/// # Ok::<(), fineo_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreshnessToken(Cover);

impl FreshnessToken {
    /// The most bytes of its text.
    pub const TEXT_BYTES_MAX: usize = 16 * 1024;

    /// The positions in the raw stream.
    pub fn cover(&self) -> &Cover {
        &self.0
    }

    /// Makes it stand for what `other` stands for, too.
    pub fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }
}

impl From<Cover> for FreshnessToken {
    fn from(cover: Cover) -> Self {
        Self(cover)
    }
}

impl fmt::Display for FreshnessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(NONE);
        }
        for (index, (shard, position)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let digits = position.to_string();
            let significant = digits.trim_start_matches('0');
            write!(f, "{separator}{shard}:{}", if significant.is_empty() { "0" } else { significant })?;
        }
        Ok(())
    }
}

impl FromStr for FreshnessToken {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::invalid("not a freshness token").with("code", "token_invalid");
        if text == NONE {
            return Ok(Self::default());
        }
        if text.len() > Self::TEXT_BYTES_MAX || text.split(',').count() > SHARDS_MAX {
            return Err(invalid());
        }
        let mut cover = Cover::default();
        for part in text.split(',') {
            let (shard, digits) = part.split_once(':').ok_or_else(invalid)?;
            let shard = ShardId::new(shard).map_err(|_| invalid())?;
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            if digits.is_empty() || digits.len() > 2 * Position::LEN || !digits.bytes().all(is_digit) {
                return Err(invalid());
            }
            let position: Position = format!("{digits:0>width$}", width = 2 * Position::LEN).parse()?;
            cover.advance(&shard, position);
        }
        Ok(Self(cover))
    }
}

#[cfg(test)]
mod tests {
    use super::FreshnessToken;

    #[test]
    fn the_token_of_two_is_that_of_the_later_position_of_each_shard() {
        for (one, other, expected) in [
            ("s0:1f", "s0:a", "s0:1f"),
            ("s0:1f", "s1:a,s0:20", "s0:20,s1:a"),
            ("none", "s0:1", "s0:1"),
            ("s0:1", "none", "s0:1"),
            ("none", "none", "none"),
        ] {
            let mut token: FreshnessToken = one.parse().unwrap();
            token.merge(&other.parse().unwrap());
            assert_eq!(token.to_string(), expected, "{one} {other}");
        }
    }
}
