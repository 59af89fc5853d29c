//! What a scan asks for and the form of what it answers.

use std::{ops::Range, sync::Arc};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::Latest;
use crate::{Cover, MetricId, Position, TenantId, TimeRange};

/// When the event happened: `Timestamp(µs, UTC)`, in every batch.
pub const COLUMN_TIMESTAMP: &str = "_fineo_timestamp";
/// Which event it is: `FixedSizeBinary(16)`.
pub const COLUMN_EVENT_ID: &str = "_fineo_event_id";
/// The metric's name as sent: `Utf8View`.
pub const COLUMN_ALIAS: &str = "_fineo_alias";
/// When it arrived at the edge: `Timestamp(µs, UTC)`.
pub const COLUMN_INGESTED_AT: &str = "_fineo_ingested_at";
/// The shard of its staged record: `Utf8View`.
pub const COLUMN_SHARD: &str = "_fineo_shard";
/// The position of its staged record: `FixedSizeBinary(24)`.
pub const COLUMN_POSITION: &str = "_fineo_position";
/// The hash of what the event said: `FixedSizeBinary(16)`.
pub const COLUMN_CONTENT: &str = "_fineo_content";

/// Which columns a scan answers beside the timestamp and the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SystemColumns {
    /// [`COLUMN_EVENT_ID`].
    pub event_id: bool,
    /// [`COLUMN_ALIAS`].
    pub alias: bool,
    /// [`COLUMN_INGESTED_AT`].
    pub ingested_at: bool,
    /// [`COLUMN_SHARD`] and [`COLUMN_POSITION`].
    pub position: bool,
    /// [`COLUMN_CONTENT`].
    pub content: bool,
}

/// A test that a store may apply while it scans. It sees stored texts, no types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// One of the stored names has one of the texts.
    AnyText {
        /// The stored names.
        names: Vec<Arc<str>>,
        /// The texts, each to be met exactly.
        texts: Vec<Arc<str>>,
    },
    /// One of the stored names has a value.
    AnyPresent {
        /// The stored names.
        names: Vec<Arc<str>>,
    },
}

/// How far a store applies a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushdown {
    /// Exactly: nobody needs to check again.
    Exact,
    /// It keeps at least the rows that satisfy it.
    Inexact,
    /// Not at all.
    Unsupported,
}

/// What a scan asks for: one tenant, one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanRequest {
    /// Whose rows.
    pub tenant: TenantId,
    /// Of which metric.
    pub metric: MetricId,
    /// Whose timestamps lie here.
    pub time: TimeRange,
    /// The stored names whose cells are wanted, each once; they become columns in this order.
    pub names: Vec<Arc<str>>,
    /// Places in `names` of names that stand for one thing: of each range, the first that a row has a text under answers
    /// for it, and who asks does not look at the others.
    pub ranked: Vec<Range<usize>>,
    /// What else is wanted.
    pub system: SystemColumns,
    /// All of them hold for a row that is wanted.
    pub predicates: Vec<Predicate>,
    /// Rows whose position this contains are not wanted: something else answers for them.
    pub beyond: Cover,
    /// Rows that this makes old need not be answered, and newer ones had better come first.
    pub latest: Option<Arc<Latest>>,
    /// The most rows of a batch.
    pub batch_rows_max: usize,
}

impl ScanRequest {
    /// All rows of `metric`, timestamps only.
    pub fn new(tenant: TenantId, metric: MetricId) -> Self {
        Self {
            tenant,
            metric,
            time: TimeRange::ALL,
            names: Vec::new(),
            ranked: Vec::new(),
            system: SystemColumns::default(),
            predicates: Vec::new(),
            beyond: Cover::default(),
            latest: None,
            batch_rows_max: 8192,
        }
    }

    /// Only rows whose timestamps lie in `time`.
    #[must_use]
    pub fn with_time(mut self, time: TimeRange) -> Self {
        self.time = time;
        self
    }

    /// The cells under these stored names too.
    #[must_use]
    pub fn with_names(mut self, names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Of the names at each of these places, which do not overlap, only the first that a row has a text under.
    #[must_use]
    pub fn with_ranked(mut self, ranked: Vec<Range<usize>>) -> Self {
        self.ranked = ranked;
        self
    }

    /// These system columns too.
    #[must_use]
    pub fn with_system(mut self, system: SystemColumns) -> Self {
        self.system = system;
        self
    }

    /// Only rows that satisfy `predicate` too.
    #[must_use]
    pub fn with_predicate(mut self, predicate: Predicate) -> Self {
        self.predicates.push(predicate);
        self
    }

    /// Only rows whose position `cover` does not contain.
    #[must_use]
    pub fn beyond(mut self, cover: Cover) -> Self {
        self.beyond = cover;
        self
    }

    /// The newest rows of each key first, and old ones not at all if that is cheaper.
    #[must_use]
    pub fn with_latest(mut self, latest: Arc<Latest>) -> Self {
        self.latest = Some(latest);
        self
    }
}

/// The columns of a scan's batches: the timestamp, the system columns asked for in the order of
/// [`SystemColumns`], then one nullable `Utf8View` per name.
pub fn scan_schema(request: &ScanRequest) -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let position_len = i32::try_from(Position::LEN).expect("a position is short");
    let mut fields = vec![Field::new(COLUMN_TIMESTAMP, instant(), false)];
    let system = request.system;
    if system.event_id {
        fields.push(Field::new(COLUMN_EVENT_ID, DataType::FixedSizeBinary(16), false));
    }
    if system.alias {
        fields.push(Field::new(COLUMN_ALIAS, DataType::Utf8View, false));
    }
    if system.ingested_at {
        fields.push(Field::new(COLUMN_INGESTED_AT, instant(), false));
    }
    if system.position {
        fields.push(Field::new(COLUMN_SHARD, DataType::Utf8View, false));
        fields.push(Field::new(COLUMN_POSITION, DataType::FixedSizeBinary(position_len), false));
    }
    if system.content {
        fields.push(Field::new(COLUMN_CONTENT, DataType::FixedSizeBinary(16), false));
    }
    let cells = request.names.iter().map(|name| Field::new(name.as_ref(), DataType::Utf8View, true));
    Arc::new(Schema::new(fields.into_iter().chain(cells).collect::<Vec<_>>()))
}
