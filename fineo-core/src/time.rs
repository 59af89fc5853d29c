//! Instants in microseconds and ranges of them.

use std::fmt;

use crate::{Error, Result};

/// An instant in microseconds since 1970-01-01T00:00:00Z, within the years 0001–9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The instant `micros` after the epoch.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Invalid`] outside the years 0001–9999.
    pub fn from_micros(micros: i64) -> Result<Self> {
        if !(Self::MIN.0..=Self::MAX.0).contains(&micros) {
            return Err(Error::invalid("time outside the years 0001-9999").with("micros", micros));
        }
        Ok(Self(micros))
    }

    /// The instant `micros` after the epoch, moved to the nearest end when outside the years 0001–9999.
    pub fn saturating_from_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant `micros` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::saturating_from_micros(self.0.saturating_add(micros))
    }
}

/// RFC 3339 with `Z` and as many digits of a second as the value has.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A civil date-time, because jiff's own instants end 26 hours before the year 9999 does.
        let epoch = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        match epoch.checked_add(jiff::SignedDuration::from_micros(self.0)) {
            Ok(civil) => write!(f, "{civil}Z"),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

/// The instants from `from` to before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant, in microseconds.
    pub from: i64,
    /// The first instant that is no longer in the range, in microseconds.
    pub to: i64,
}

impl TimeRange {
    /// Every instant.
    pub const ALL: Self = Self { from: i64::MIN, to: i64::MAX };

    /// Whether `instant` lies in the range.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.from <= instant.micros() && instant.micros() < self.to
    }

    /// Whether some instant from `first` to `last` (both included) lies in the range.
    pub fn overlaps(&self, first: i64, last: i64) -> bool {
        self.from <= last && first < self.to
    }

    /// The instants that are in both ranges.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Whether no instant lies in the range.
    pub fn is_empty(&self) -> bool {
        self.to <= self.from
    }
}

impl Default for TimeRange {
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests;
