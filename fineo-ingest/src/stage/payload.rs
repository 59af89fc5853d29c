//! An entry of the staged stream: a record and what is needed to read it.

use fineo_core::{Error, EventId, MetricId, Result, Timestamp, repo::Version};

const VERSION: u8 = 2;

/// What stands before the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StagedEntry<'a> {
    pub(crate) metric: &'a str,
    pub(crate) schema: Version,
    pub(crate) id: EventId,
    pub(crate) arrived_at: Timestamp,
    pub(crate) record: &'a [u8],
}

/// Appends everything but the record.
pub(crate) fn write_head(metric: &MetricId, schema: Version, id: EventId, arrived_at: Timestamp, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.push(u8::try_from(metric.as_str().len()).expect("a metric id is short"));
    out.extend_from_slice(metric.as_str().as_bytes());
    out.extend_from_slice(&schema.0.to_be_bytes());
    out.extend_from_slice(&id.0);
    out.extend_from_slice(&arrived_at.micros().to_be_bytes());
}

/// What the entries of one metric and schema begin with, and no others, if it is an entry at all.
#[inline]
pub(crate) fn kind(payload: &[u8]) -> Option<&[u8]> {
    let metric = usize::from(*payload.get(1)?);
    payload.get(..2 + metric + 8)
}

/// Reads an entry.
///
/// # Errors
///
/// `Corrupt` when the bytes are no such entry.
pub(crate) fn read(payload: &[u8]) -> Result<StagedEntry<'_>> {
    split(payload).ok_or_else(|| Error::corrupt("not a staged entry"))
}

fn split(payload: &[u8]) -> Option<StagedEntry<'_>> {
    let ([version, length], rest) = payload.split_first_chunk::<2>()?;
    let (metric, rest) = rest.split_at_checked(usize::from(*length))?;
    let (schema, rest) = rest.split_first_chunk::<8>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (arrived_at, record) = rest.split_first_chunk::<8>()?;
    if *version != VERSION {
        return None;
    }
    Some(StagedEntry {
        metric: std::str::from_utf8(metric).ok()?,
        schema: Version(u64::from_be_bytes(*schema)),
        id: EventId(*id),
        arrived_at: Timestamp::from_micros(i64::from_be_bytes(*arrived_at)).ok()?,
        record,
    })
}
