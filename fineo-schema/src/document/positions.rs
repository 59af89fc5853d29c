//! Positions of the staged stream in a document.

use std::collections::BTreeMap;

use fineo_core::{Cover, Error, Position, Result, ShardId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Per shard, the last position that counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Positions(pub(crate) Cover);

impl Positions {
    pub(crate) fn to_texts(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(shard, position)| (shard.as_str().to_owned(), position.to_string())).collect()
    }

    pub(crate) fn from_texts(texts: &BTreeMap<String, String>) -> Result<Self> {
        let pairs = texts.iter().map(|(shard, position)| Ok((ShardId::new(shard)?, position.parse::<Position>()?)));
        let cover: Result<Cover, Error> = pairs.collect();
        Ok(Self(cover?))
    }
}

impl Serialize for Positions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_texts().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_texts(&BTreeMap::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
