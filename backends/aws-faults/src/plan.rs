//! What goes wrong, and how often.

use std::sync::{Mutex, PoisonError};

use rand::{Rng, SeedableRng, rngs::StdRng};

/// What goes wrong, and how often: of a thousand calls, or parts of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// What chance begins with.
    pub seed: u64,
    /// Calls that are refused because there were too many.
    pub throttled: u32,
    /// Calls that end with an error of the service, and are not carried out.
    pub failed: u32,
    /// Calls that are carried out, and whose connection breaks before the answer.
    pub lost: u32,
    /// As `lost`, of the calls that append to a stream: their repetition makes entries twice.
    pub lost_appends: u32,
    /// Records and items of a call that are not taken while others are.
    pub partial: u32,
    /// Iterators that have expired when they are used.
    pub expired: u32,
    /// Writes under a condition that meet another write under way.
    pub conflicting: u32,
    /// Parts of large objects that are refused for good.
    pub refused_parts: u32,
    /// Whether each shard takes 1,000 records and 1 MiB a second, and answers 5 reads with 2 MiB.
    pub has_quotas: bool,
}

impl Plan {
    /// Nothing goes wrong: calls are only counted.
    pub fn quiet() -> Self {
        Self {
            seed: 0,
            throttled: 0,
            failed: 0,
            lost: 0,
            lost_appends: 0,
            partial: 0,
            expired: 0,
            conflicting: 0,
            refused_parts: 0,
            has_quotas: false,
        }
    }

    /// Everything goes wrong now and then.
    pub fn hard(seed: u64) -> Self {
        Self {
            seed,
            throttled: 30,
            failed: 20,
            lost: 20,
            lost_appends: 20,
            partial: 30,
            expired: 50,
            conflicting: 50,
            refused_parts: 0,
            has_quotas: true,
        }
    }

    /// As it is, with so many lost replies to appends.
    #[must_use]
    pub fn with_lost_appends(mut self, lost_appends: u32) -> Self {
        self.lost_appends = lost_appends;
        self
    }

    /// As it is, with so many refused parts of large objects.
    #[must_use]
    pub fn with_refused_parts(mut self, refused_parts: u32) -> Self {
        self.refused_parts = refused_parts;
        self
    }
}

/// Chance, from a seed.
#[derive(Debug)]
pub(crate) struct Chance(Mutex<StdRng>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Whether it happens to one of whom it happens to `of_thousand` of a thousand.
    pub(crate) fn strikes(&self, of_thousand: u32) -> bool {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chance.random_range(0..1000) < of_thousand
    }
}
