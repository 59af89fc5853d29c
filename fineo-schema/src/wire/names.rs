//! The names of a metric and shard as the Avro record `Names`.

use bytes::Bytes;
use fineo_core::{Error, Position, Result, ShardId, Timestamp};
use serde::{Deserialize, Serialize};

use super::NAMES;
use crate::{NameStats, avro, document::Name};

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
    /// Of what was written before these two were counted they are not told.
    #[serde(default)]
    pub(crate) rows: i64,
    #[serde(default)]
    pub(crate) early: i64,
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

/// The branch of `head` that chunks of names have.
const NO_HEAD: i64 = 0;

pub(crate) fn encode_head(head: NamesHead) -> Result<Bytes> {
    NAMES.encode(&Names { head: Some(head), names: Vec::new() })
}

pub(crate) fn decode_head(body: &[u8]) -> Result<NamesHead> {
    let wire: Names = NAMES.decode(body)?;
    wire.head.ok_or_else(|| Error::corrupt("the names of a metric have no head"))
}

/// What a name takes, about.
const NAME_BYTES: usize = 128;

/// Names are saved with every checkpoint, thousands of them at a time: they are written as they lie.
pub(crate) fn encode_names<'a>(names: impl ExactSizeIterator<Item = &'a NameStats>) -> Bytes {
    let mut body = NAMES.latest.header.to_vec();
    body.reserve(names.len() * NAME_BYTES);
    avro::write_long(NO_HEAD, &mut body);
    write_array(names, &mut body, write_name);
    body.into()
}

pub(crate) fn decode_names(body: &[u8], shard: &ShardId) -> Result<Vec<NameStats>> {
    let wire: Names = NAMES.decode(body)?;
    wire.names.into_iter().map(|name| name.into_stats(shard)).collect()
}

fn write_name(stats: &NameStats, out: &mut Vec<u8>) {
    avro::write_bytes(stats.name.as_bytes(), out);
    avro::write_long(stats.count.cast_signed(), out);
    avro::write_long(stats.first.micros(), out);
    avro::write_long(stats.last.micros(), out);
    let position = stats.last_position.as_ref().map(|(_, position)| position.to_string());
    avro::write_optional(position.as_deref(), out);
    write_array(stats.samples.iter(), out, |sample, out| avro::write_bytes(sample.as_bytes(), out));
    avro::write_long(stats.tried.into(), out);
    write_array(stats.fits.iter(), out, |fits, out| avro::write_long(i64::from(*fits), out));
    for bound in [stats.range.map(|(least, _)| least), stats.range.map(|(_, greatest)| greatest)] {
        avro::write_long(i64::from(bound.is_some()), out);
        bound.into_iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
    }
}

/// An array in one block.
fn write_array<T>(items: impl ExactSizeIterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    let count = i64::try_from(items.len()).expect("what is in memory can be counted");
    if count > 0 {
        avro::write_long(count, out);
        items.for_each(|item| write(item, out));
    }
    avro::write_long(0, out);
}

impl NameRecord {
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
