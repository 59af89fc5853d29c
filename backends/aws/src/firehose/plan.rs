//! Which entries go into which record, and which records into which call.

use bytes::Bytes;
use fineo_core::Error;

use super::{SinkEntry, frame};

/// The largest record: 1,000 KiB.
pub(super) const RECORD_BYTES_MAX: usize = 1_000 << 10;
/// The most records of one call.
pub(super) const CALL_RECORDS_MAX: usize = 500;
/// The most bytes of one call.
pub(super) const CALL_BYTES_MAX: usize = 4 << 20;

/// A record, and which entries are in it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) bytes: Bytes,
    pub(super) entries: Vec<usize>,
}

/// What can be sent, and the entries that cannot.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) records: Vec<Record>,
    pub(super) refused: Vec<(usize, Error)>,
}

/// As many entries in a record as fit: Firehose counts each record as five kilobytes at least.
pub(super) fn records(entries: &[SinkEntry]) -> Planned {
    let mut planned = Planned::default();
    let (mut bytes, mut inside) = (Vec::new(), Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        let size = frame::len(entry);
        if size > RECORD_BYTES_MAX {
            let error = Error::invalid("the entry is larger than a record of Firehose").with("bytes", size);
            planned.refused.push((index, error.with("bytes_max", RECORD_BYTES_MAX)));
            continue;
        }
        if bytes.len() + size > RECORD_BYTES_MAX {
            planned
                .records
                .push(Record { bytes: std::mem::take(&mut bytes).into(), entries: std::mem::take(&mut inside) });
        }
        frame::write(entry, &mut bytes);
        inside.push(index);
    }
    if !inside.is_empty() {
        planned.records.push(Record { bytes: bytes.into(), entries: inside });
    }
    planned
}

/// Records call by call, in their order.
pub(super) fn calls(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut calls: Vec<Vec<Record>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        bytes += record.bytes.len();
        match calls.last_mut() {
            Some(call) if call.len() < CALL_RECORDS_MAX && bytes <= CALL_BYTES_MAX => call.push(record),
            Some(_) | None => {
                bytes = record.bytes.len();
                calls.push(vec![record]);
            }
        }
    }
    calls
}
