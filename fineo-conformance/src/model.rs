//! Random operations on a store and on a naive model of it, compared at each step.

pub(crate) mod archive;
pub(crate) mod nearline;
pub(crate) mod repo;
pub(crate) mod stream;

use std::fmt::Debug;

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// How many operations one seed makes.
const STEPS: usize = 150;

/// The seeds to run: eight of them, or as many as `FINEO_CONFORMANCE_SEEDS` says.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("FINEO_CONFORMANCE_SEEDS").ok().and_then(|text| text.parse().ok());
    0..asked.unwrap_or(8)
}

/// The chance of one seed, and what was done with it, which is printed unless the run ends well.
struct Trace {
    seed: u64,
    chance: SmallRng,
    operations: Vec<String>,
    is_done: bool,
}

impl Trace {
    fn new(seed: u64) -> Self {
        Self { seed, chance: SmallRng::seed_from_u64(seed), operations: Vec::new(), is_done: false }
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.chance.random_range(0..bound.max(1))
    }

    fn index(&mut self, len: usize) -> usize {
        self.chance.random_range(0..len.max(1))
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn say(&mut self, operation: impl Debug) {
        self.operations.push(format!("{operation:?}"));
    }

    fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.is_done {
            eprintln!("seed {}, after {} operations, the last of them:", self.seed, self.operations.len());
            for operation in self.operations.iter().rev().take(20).rev() {
                eprintln!("  {operation}");
            }
        }
    }
}
