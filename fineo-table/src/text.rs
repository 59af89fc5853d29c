//! Ids, types, days and positions as text in JSON documents.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use fineo_core::{Cover, Error, Position, Result, ShardId};
use jiff::{Span, civil::Date};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const EPOCH: Date = Date::constant(1970, 1, 1);

/// The day, counted from 1970-01-01, as `yyyy-mm-dd`.
pub(crate) fn day_text(day: i32) -> Result<String> {
    let date = Span::new().try_days(day).and_then(|span| EPOCH.checked_add(span));
    date.map(|date| date.to_string())
        .map_err(|source| Error::invalid("no such day").with("day", day).with_source(source))
}

/// The day that `text` names, counted from 1970-01-01.
pub(crate) fn day_of_text(text: &str) -> Result<i32> {
    let invalid = || Error::invalid("not a day like 2026-11-22").with("day", text);
    let date: Date = text.parse().map_err(|_| invalid())?;
    let days = date.since((jiff::Unit::Day, EPOCH)).map_err(|_| invalid())?.get_days();
    if day_text(days)? == text { Ok(days) } else { Err(invalid()) }
}

/// Serialises by `Display`, reads by `FromStr`.
pub(crate) mod shown {
    use super::{Deserialize, Deserializer, Display, FromStr, Serialize, Serializer};
    use serde::de::Error as _;

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_string().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err = fineo_core::Error>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// As [`shown`], for a value that may be missing.
pub(crate) mod maybe_shown {
    use super::{Deserialize, Deserializer, Display, FromStr, Serialize, Serializer};
    use serde::de::Error as _;

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err = fineo_core::Error>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse()).transpose().map_err(D::Error::custom)
    }
}

/// A metric id, which is not `FromStr`.
pub(crate) mod metric {
    use fineo_core::MetricId;

    use super::{Deserialize, Deserializer, Serialize, Serializer};
    use serde::de::Error as _;

    pub(crate) fn serialize<S: Serializer>(value: &MetricId, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_str().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MetricId, D::Error> {
        MetricId::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A day as its date.
pub(crate) mod day {
    use super::{Deserialize, Deserializer, Serialize, Serializer};
    use serde::{de::Error as _, ser::Error as _};

    pub(crate) fn serialize<S: Serializer>(day: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        super::day_text(*day).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        super::day_of_text(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A cover as an object from shards to positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CoverText(pub(crate) Cover);

impl Serialize for CoverText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = self.0.iter().map(|(shard, position)| (shard.as_str().to_owned(), position.to_string()));
        texts.collect::<BTreeMap<String, String>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CoverText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let pairs = texts.iter().map(|(shard, position)| Ok((ShardId::new(shard)?, position.parse::<Position>()?)));
        let cover: Result<Cover> = pairs.collect();
        Ok(Self(cover.map_err(D::Error::custom)?))
    }
}

#[cfg(test)]
mod tests;
