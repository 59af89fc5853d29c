//! For how long a metric's rows are kept.

use std::{fmt, num::NonZeroU32, str::FromStr};

use fineo_core::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const FOREVER: &str = "forever";

/// For how many days rows are kept, counted from the day of their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RetainDays {
    /// None is ever too old.
    #[default]
    Forever,
    /// Rows of days that are further back than this go.
    Days(NonZeroU32),
}

impl RetainDays {
    /// The first day, counted from 1970-01-01, whose rows are kept on the day `today`; none when all are.
    pub fn first_day(self, today: i32) -> Option<i32> {
        match self {
            Self::Forever => None,
            Self::Days(days) => Some(today.saturating_sub(i32::try_from(days.get()).unwrap_or(i32::MAX))),
        }
    }
}

impl fmt::Display for RetainDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str(FOREVER),
            Self::Days(days) => days.fmt(f),
        }
    }
}

impl FromStr for RetainDays {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text == FOREVER {
            return Ok(Self::Forever);
        }
        let invalid = || Error::invalid("not a number of days from 1 on, nor forever").with("given", text);
        text.parse().map(Self::Days).map_err(|_| invalid())
    }
}

/// As a number, or as `forever`.
impl Serialize for RetainDays {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Forever => serializer.serialize_str(FOREVER),
            Self::Days(days) => serializer.serialize_u32(days.get()),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u32),
    Text(String),
}

impl<'de> Deserialize<'de> for RetainDays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Written::deserialize(deserializer)? {
            Written::Number(days) => days.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
