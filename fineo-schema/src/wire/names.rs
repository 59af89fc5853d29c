//! The names of a metric and shard as the Avro record `Names`.

use bytes::Bytes;
use fineo_core::{Error, Position, Result, ShardId, Timestamp};
use serde::{Deserialize, Serialize};

use super::NAMES;
use crate::{NameStats, document::Name};

#[derive(Debug, Serialize, Deserialize)]
struct Names {
    head: Option<NamesHead>,
    names: Vec<NameRecord>,
}

/// What holds for all names of a metric and shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamesHead {
    pub(crate) count: i64,
    pub(crate) is_full: bool,
    pub(crate) position: Option<String>,
    pub(crate) together: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename = "Name")]
struct NameRecord {
    name: Name,
    count: i64,
    first: i64,
    last: i64,
    position: Option<String>,
    samples: Vec<Name>,
    tried: i64,
    fits: Vec<i64>,
    least: Option<f64>,
    greatest: Option<f64>,
}

pub(crate) fn encode_head(head: NamesHead) -> Result<Bytes> {
    NAMES.encode(&Names { head: Some(head), names: Vec::new() })
}

pub(crate) fn decode_head(body: &[u8]) -> Result<NamesHead> {
    let wire: Names = NAMES.decode(body)?;
    wire.head.ok_or_else(|| Error::corrupt("the names of a metric have no head"))
}

pub(crate) fn encode_names<'a>(names: impl Iterator<Item = &'a NameStats>) -> Result<Bytes> {
    NAMES.encode(&Names { head: None, names: names.map(NameRecord::of).collect() })
}

pub(crate) fn decode_names(body: &[u8], shard: &ShardId) -> Result<Vec<NameStats>> {
    let wire: Names = NAMES.decode(body)?;
    wire.names.into_iter().map(|name| name.into_stats(shard)).collect()
}

impl NameRecord {
    fn of(stats: &NameStats) -> Self {
        Self {
            name: stats.name.clone(),
            count: stats.count.cast_signed(),
            first: stats.first.micros(),
            last: stats.last.micros(),
            position: stats.last_position.as_ref().map(|(_, position)| position.to_string()),
            samples: stats.samples.to_vec(),
            tried: stats.tried.into(),
            fits: stats.fits.iter().map(|fits| i64::from(*fits)).collect(),
            least: stats.range.map(|(least, _)| least),
            greatest: stats.range.map(|(_, greatest)| greatest),
        }
    }

    fn into_stats(self, shard: &ShardId) -> Result<NameStats> {
        let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let position: Option<Position> = self.position.map(|text| text.parse()).transpose()?;
        let mut fits = [0; NameStats::TYPES.len()];
        for (slot, value) in fits.iter_mut().zip(self.fits) {
            *slot = number(value);
        }
        Ok(NameStats {
            name: self.name,
            count: self.count.cast_unsigned(),
            first: Timestamp::saturating_from_micros(self.first),
            last: Timestamp::saturating_from_micros(self.last),
            last_position: position.map(|position| (shard.clone(), position)),
            samples: self.samples.into(),
            tried: number(self.tried),
            fits,
            range: self.least.zip(self.greatest),
        })
    }
}
