//! Segments in a cold storage class: they are there, and have to be restored before they are read.

use std::fmt::{self, Display};

use crate::{Error, Result, Timestamp};

/// Whether a segment can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It can be read now.
    Ready,
    /// It lies in a cold storage class, and nobody has asked for it.
    Cold {
        /// When it was written: no record in it arrived later.
        written_at: Timestamp,
    },
    /// It was asked for, and is on its way.
    Restoring {
        /// When it was written: no record in it arrived later.
        written_at: Timestamp,
    },
}

/// How what is cold is to be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restore {
    days: u32,
    tier: RestoreTier,
}

impl Restore {
    /// For so many days, at the pace of [`RestoreTier::Standard`].
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Invalid`] for no day at all.
    pub fn for_days(days: u32) -> Result<Self> {
        if days == 0 {
            return Err(Error::invalid("what is restored stays for a day at least").with("days", days));
        }
        Ok(Self { days, tier: RestoreTier::Standard })
    }

    /// At another pace.
    #[must_use]
    pub fn with_tier(mut self, tier: RestoreTier) -> Self {
        self.tier = tier;
        self
    }

    /// For how many days it stays readable, counted from when it is back.
    pub fn days(self) -> u32 {
        self.days
    }

    /// At which pace it comes.
    pub fn tier(self) -> RestoreTier {
        self.tier
    }
}

/// At which pace what is cold is restored: the faster, the dearer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestoreTier {
    /// Within hours.
    #[default]
    Standard,
    /// Within half a day or two days, for the least money.
    Bulk,
    /// Within minutes; not of every class.
    Expedited,
}

impl Display for RestoreTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Bulk => "bulk",
            Self::Expedited => "expedited",
        })
    }
}
