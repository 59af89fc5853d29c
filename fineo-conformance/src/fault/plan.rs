//! A plan of faults: data that is printed with a failure and read back to repeat it.

use std::{fmt, str::FromStr, time::Duration};

use fineo_core::{Error, Result};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

/// A call of one of the contracts, or of the object store beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is named after its contract and method")]
pub enum Operation {
    StreamAppend,
    StreamSync,
    StreamShards,
    StreamRead,
    StreamTail,
    StreamTrim,
    ArchiveWrite,
    ArchiveSegments,
    ArchiveRead,
    ArchiveRemove,
    ArchiveAvailability,
    NearlineWrite,
    NearlineSync,
    NearlineScan,
    NearlineRemove,
    NearlineMetrics,
    NearlineDamages,
    NearlineMended,
    RepoLatest,
    RepoHistory,
    RepoAppend,
    RepoSubjects,
    RepoTenants,
    ObjectPut,
    ObjectGet,
    ObjectList,
    ObjectDelete,
}

impl Operation {
    /// Every operation of an object store.
    pub const OBJECTS: [Self; 4] = [Self::ObjectPut, Self::ObjectGet, Self::ObjectList, Self::ObjectDelete];

    /// Every operation of the four contracts.
    pub const ALL: [Self; 23] = [
        Self::StreamAppend,
        Self::StreamSync,
        Self::StreamShards,
        Self::StreamRead,
        Self::StreamTail,
        Self::StreamTrim,
        Self::ArchiveWrite,
        Self::ArchiveSegments,
        Self::ArchiveRead,
        Self::ArchiveRemove,
        Self::ArchiveAvailability,
        Self::NearlineWrite,
        Self::NearlineSync,
        Self::NearlineScan,
        Self::NearlineRemove,
        Self::NearlineMetrics,
        Self::NearlineDamages,
        Self::NearlineMended,
        Self::RepoLatest,
        Self::RepoHistory,
        Self::RepoAppend,
        Self::RepoSubjects,
        Self::RepoTenants,
    ];
}

/// Which calls of an operation are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The call of this number, counted from 0.
    Nth(u64),
    /// The calls from this number to before that: an outage.
    Between(u64, u64),
    /// So many of a thousand calls, chosen by the plan's seed.
    PerMille(u32),
    /// Every call.
    Always,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing happens, and the caller is told so.
    FailBefore,
    /// It happens, and the caller is told that it is unknown. A stream of answers breaks off after the first.
    FailAfter,
    /// Of a batch, the items whose bits are set fail: without effect, or as [`Fault::FailAfter`]. The item `n`
    /// has the bit `n % 64`. Other calls are not touched.
    Partial {
        /// The items that fail.
        mask: u64,
        /// Whether they take effect all the same.
        is_applied: bool,
    },
    /// Nothing happens, and the caller is asked to wait so many milliseconds.
    Throttle(u64),
    /// It happens so many milliseconds later.
    Late(u64),
    /// The caller is told at once that it is unknown; it happens so many milliseconds later. A read fails.
    LateApplication(u64),
    /// A read answers what it answered the last time, or leaves out the last item of a listing. The contracts
    /// forbid that; weak stores do it.
    Stale,
    /// Neither an effect nor an answer, ever.
    Hang,
    /// The process dies before the call has an effect.
    Crash,
}

impl Fault {
    pub(super) fn error(self, operation: Operation) -> Error {
        let error = match self {
            Self::Throttle(millis) => Error::new(fineo_core::ErrorKind::Throttled, "injected throttling")
                .with_retry_after(Duration::from_millis(millis)),
            Self::FailBefore
            | Self::FailAfter
            | Self::Partial { .. }
            | Self::Late(_)
            | Self::LateApplication(_)
            | Self::Stale
            | Self::Hang
            | Self::Crash => Error::unavailable("injected fault"),
        };
        error.with("operation", format!("{operation:?}"))
    }
}

/// One line of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The operation that goes wrong.
    pub operation: Operation,
    /// Which of its calls.
    pub when: When,
    /// How.
    pub fault: Fault,
}

/// What goes wrong and when. `Display` is one line of JSON, which `FromStr` reads. The first rule that fits
/// a call decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPlan {
    /// Where the chance of [`When::PerMille`] comes from.
    pub seed: u64,
    /// What goes wrong.
    pub rules: Vec<Rule>,
}

impl FaultPlan {
    /// A plan in which nothing goes wrong yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, rules: Vec::new() }
    }

    /// This goes wrong too.
    #[must_use]
    pub fn with_rule(mut self, operation: Operation, when: When, fault: Fault) -> Self {
        self.rules.push(Rule { operation, when, fault });
        self
    }

    /// A random subset of the faults that the contracts allow: no stale reads, no hanging, no crash. Some
    /// seeds have none. A [`Fault::Late`] needs a clock that moves.
    pub fn random(seed: u64) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let mut plan = Self::new(seed);
        for _ in 0..chance.random_range(0..6) {
            let operation = Operation::ALL[chance.random_range(0..Operation::ALL.len())];
            let when = match chance.random_range(0..3) {
                0 => When::Nth(chance.random_range(0..12)),
                1 => {
                    let first = chance.random_range(0..12);
                    When::Between(first, first + chance.random_range(1..6))
                }
                _ => When::PerMille(chance.random_range(10..300)),
            };
            let fault = match chance.random_range(0..6) {
                0 => Fault::FailBefore,
                1 => Fault::FailAfter,
                2 => Fault::Partial { mask: chance.random(), is_applied: chance.random() },
                3 => Fault::Throttle(chance.random_range(1..100)),
                4 => Fault::Late(chance.random_range(1..1000)),
                _ => Fault::LateApplication(chance.random_range(1..1000)),
            };
            plan = plan.with_rule(operation, when, fault);
        }
        plan
    }

    /// What goes wrong at the `call`-th call of `operation`.
    pub(super) fn fault(&self, operation: Operation, call: u64) -> Option<Fault> {
        let fits = |index: usize, rule: &Rule| {
            rule.operation == operation
                && match rule.when {
                    When::Nth(number) => number == call,
                    When::Between(from, to) => (from..to).contains(&call),
                    When::PerMille(count) => self.chance(operation, call, index) % 1000 < u64::from(count),
                    When::Always => true,
                }
        };
        self.rules.iter().enumerate().find(|(index, rule)| fits(*index, rule)).map(|(_, rule)| rule.fault)
    }

    /// Chance that depends on the call alone, not on what other tasks did before it.
    fn chance(&self, operation: Operation, call: u64, rule: usize) -> u64 {
        let mut state = self.seed;
        for part in [operation as u64, call, rule as u64] {
            state = state.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            state ^= state >> 31;
        }
        state
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for FaultPlan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|source| Error::invalid("not a fault plan").with_source(source))
    }
}
