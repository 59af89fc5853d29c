//! What a replay is asked for, and what it did.

use std::collections::{BTreeMap, HashSet};

use fineo_core::{TenantId, TimeRange, Timestamp, archive::Stage};

/// Under which schema events are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplayMode {
    /// Today's.
    #[default]
    ReDerive,
    /// The one that held when they arrived.
    AsRecorded,
}

/// What is to be replayed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReplayRequest {
    /// Through which stage.
    pub stage: Stage,
    /// Whose events.
    pub tenant: TenantId,
    /// Under which schema.
    pub mode: ReplayMode,
    /// Only events of this metric or alias.
    pub metric: Option<String>,
    /// Only events that arrived in this range.
    pub time: TimeRange,
    /// Only events with an error row of this stage that is not repaired.
    pub errors_only: bool,
    /// Only events to which one of these points, as `replay_pointer` of `errors.stream` does.
    pub pointers: Option<HashSet<String>>,
}

impl ReplayRequest {
    /// Everything of `tenant`, through `stage`, under today's schema.
    pub fn new(stage: Stage, tenant: TenantId) -> Self {
        Self {
            stage,
            tenant,
            mode: ReplayMode::default(),
            metric: None,
            time: TimeRange::ALL,
            errors_only: false,
            pointers: None,
        }
    }

    /// Under this schema.
    #[must_use]
    pub fn with_mode(mut self, mode: ReplayMode) -> Self {
        self.mode = mode;
        self
    }

    /// Only of this metric.
    #[must_use]
    pub fn with_metric(mut self, metric: Option<String>) -> Self {
        self.metric = metric;
        self
    }

    /// Only events that arrived in `time`.
    #[must_use]
    pub fn with_time(mut self, time: TimeRange) -> Self {
        self.time = time;
        self
    }

    /// Only what has an error row.
    #[must_use]
    pub fn with_errors_only(mut self, errors_only: bool) -> Self {
        self.errors_only = errors_only;
        self
    }

    /// Only what one of these points to.
    #[must_use]
    pub fn with_pointers(mut self, pointers: Option<HashSet<String>>) -> Self {
        self.pointers = pointers;
        self
    }
}

/// What a replay did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Events that were replayed.
    pub events: u64,
    /// Of these, those that the stage reads: they went on, or were rows already.
    pub passed: u64,
    /// Of these, those that were refused, by code.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Events that arrived before their metric was deleted, and records of deleted metrics: they were passed over.
    pub deleted: u64,
    /// Error rows that are repaired now.
    pub repaired: u64,
    /// Rows of the tenant that became new in the nearline store while the replay ran, by the stages of this process: its own, and
    /// those of events that came in meanwhile.
    pub rows: u64,
    /// Rows of the tenant that were there already, counted in the same way, and events that the replay knew to be rows.
    pub duplicates: u64,
    /// Of what was asked for, events that arrived until then are no longer in the archive; none while it has everything.
    pub expired_until: Option<Timestamp>,
}
