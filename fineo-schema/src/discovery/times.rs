//! What the times of a metric's rows tell of how devices write them.

use fineo_core::Timestamp;

/// As milliseconds, the seconds of 1997-05-19 and of 2131-07-15: the 11th of January and the 28th of February 1970.
const SECONDS: std::ops::Range<i64> = 864_000_000..5_097_600_000;

/// How many rows were counted, and how many of them look as if seconds had been read as milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimesSeen {
    /// All rows.
    pub rows: u64,
    /// Those at the begin of 1970, where the seconds of our days lie as milliseconds.
    pub early: u64,
}

impl TimesSeen {
    /// Counts a row of that time.
    pub(crate) fn count(&mut self, time: Timestamp) {
        self.rows += 1;
        self.early += u64::from(SECONDS.contains(&time.micros().div_euclid(1000)));
    }

    /// The larger of both counts.
    #[must_use]
    pub(crate) fn max(self, other: Self) -> Self {
        if other.rows > self.rows { other } else { self }
    }
}

impl std::iter::Sum for TimesSeen {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, next| Self { rows: sum.rows + next.rows, early: sum.early + next.early })
    }
}
