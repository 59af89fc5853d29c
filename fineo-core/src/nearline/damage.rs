//! What of a store cannot be read any more.

use crate::{Error, MetricId, Position, ShardId, TenantId};

/// A unit of a store whose bytes are not what was written.
#[derive(Debug, Clone)]
pub struct Damage {
    /// Whose rows it has.
    pub tenant: TenantId,
    /// Of which metric.
    pub metric: MetricId,
    /// Which unit of the store; never another's.
    pub unit: u64,
    /// How many rows it has; 0 where nobody knows.
    pub rows: u64,
    /// Where their records stand: per shard the first and the last position. The last is [`Position::MAX`] where they are
    /// from the first on whatever was there when the store was opened.
    pub positions: Vec<(ShardId, Position, Position)>,
    /// What was found, and where.
    pub error: Error,
}
