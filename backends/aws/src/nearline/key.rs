//! How the keys of the rows' table are spelt. Tenants and metrics have no colon, so no two of anything share a key.

use fineo_core::{Error, EventId, MetricId, Result, TenantId, Timestamp};

use crate::dynamo::{Item, text};

/// The partition key. Our attributes begin with `_fineo`; names as sent that do so too are escaped.
pub(crate) const PARTITION: &str = "_fineo_pk";
/// The sort key.
pub(crate) const SORT: &str = "_fineo_sk";

const DAY: i64 = 24 * 3_600_000_000;

/// The day that a row stands in, counted from the first of the year 1.
pub(super) fn day(timestamp: Timestamp) -> u64 {
    micros(timestamp) / DAY.unsigned_abs()
}

fn micros(timestamp: Timestamp) -> u64 {
    timestamp.micros().abs_diff(Timestamp::MIN.micros())
}

/// The directory of a metric's days.
pub(super) fn directory(tenant: &TenantId, metric: &MetricId) -> String {
    format!("d:{tenant}:{metric}")
}

/// The list of a tenant's metrics.
pub(super) fn metrics(tenant: &TenantId) -> String {
    format!("m:{tenant}")
}

/// A day in the directory; days order as their texts do.
pub(super) fn day_name(day: u64) -> String {
    format!("{day:010}")
}

/// The rows of a day that fall to one of its partitions.
pub(super) fn rows(tenant: &TenantId, metric: &MetricId, day: u64, part: u32) -> String {
    format!("r:{tenant}:{metric}:{day:010}:{part:03}")
}

/// The partition of its day that a row falls to.
pub(super) fn part(id: EventId, spread: u32) -> u32 {
    let [first, second, ..] = id.0;
    // Ids may be counted numbers in tests and keys: all bytes take part.
    let mixed = id.0.iter().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    mixed.wrapping_add(u32::from(first) << 8 | u32::from(second)) % spread.max(1)
}

/// Where a row stands in its partition: by time, then by event.
pub(super) fn row_name(timestamp: Timestamp, id: EventId) -> String {
    format!("{:018}:{id}", micros(timestamp))
}

/// What [`row_name`] says.
pub(super) fn parse_row_name(name: &str) -> Result<(Timestamp, EventId)> {
    let invalid = || Error::corrupt("not the key of a row").with("key", name);
    let (time, id) = name.split_once(':').ok_or_else(invalid)?;
    let time: i64 = time.parse().map_err(|_| invalid())?;
    Ok((Timestamp::MIN.plus_micros(time), id.parse()?))
}

/// The first row name at or after an instant, and the first behind it; ends beyond all times are cut.
pub(super) fn row_bound(instant: i64) -> String {
    let instant = instant.clamp(Timestamp::MIN.micros(), Timestamp::MAX.micros().saturating_add(1));
    format!("{:018}", instant.abs_diff(Timestamp::MIN.micros()))
}

/// The guard of an event id.
pub(super) fn guard(tenant: &TenantId, metric: &MetricId, id: EventId) -> Item {
    item(format!("g:{tenant}:{metric}:{id}"), "g")
}

/// The parts of a row that is too large for an item, as one write made them.
pub(super) fn parts(tenant: &TenantId, metric: &MetricId, id: EventId, nonce: &str) -> String {
    format!("p:{tenant}:{metric}:{id}:{nonce}")
}

pub(super) fn item(partition: impl Into<String>, sort: impl Into<String>) -> Item {
    Item::from([(PARTITION.to_owned(), text(partition)), (SORT.to_owned(), text(sort))])
}
