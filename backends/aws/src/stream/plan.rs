//! Which entries go into which request: limits by bytes as sent.

use fineo_core::{Error, Result, stream::Entry};

use super::{ENTRIES_MAX, ENTRY_BYTES_MAX};

/// The most records of one request.
const REQUEST_RECORDS_MAX: usize = 500;
/// The most bytes of one request, with partition keys; AWS takes 5 MiB.
const REQUEST_BYTES_MAX: usize = (5 << 20) - (64 << 10);

/// Why an entry cannot be sent at all.
pub(super) fn refusal(index: usize, entry: &Entry) -> Option<Error> {
    if index >= ENTRIES_MAX {
        return Some(Error::invalid("too many entries at once").with("entries_max", ENTRIES_MAX));
    }
    let bytes = entry.payload.len();
    (bytes > ENTRY_BYTES_MAX)
        .then(|| Error::invalid("the entry is too large").with("bytes", bytes).with("bytes_max", ENTRY_BYTES_MAX))
}

/// The indexes of `entries` that can be sent, request by request, in their order.
pub(super) fn requests(entries: &[Entry]) -> Vec<Vec<usize>> {
    let mut requests: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, entry) in entries.iter().enumerate() {
        if refusal(index, entry).is_some() {
            continue;
        }
        let size = entry.payload.len() + entry.tenant.as_str().len() + hash_key(entry.key).len();
        match requests.last_mut() {
            Some(request) if request.len() < REQUEST_RECORDS_MAX && bytes + size <= REQUEST_BYTES_MAX => {
                request.push(index);
                bytes += size;
            }
            Some(_) | None => {
                requests.push(vec![index]);
                bytes = size;
            }
        }
    }
    requests
}

/// The hash key that sends a key to its shard. Its bits in reverse order: so any numbers in a row are spread evenly over all shards.
pub(super) fn hash_key(key: u64) -> String {
    (u128::from(key.reverse_bits()) << 64).to_string()
}

/// The tenant of a record, which is its partition key.
pub(super) fn tenant(partition_key: &str) -> Result<fineo_core::TenantId> {
    fineo_core::TenantId::new(partition_key).map_err(|error| {
        Error::corrupt("a record's partition key is no tenant: something else writes to this stream").with_source(error)
    })
}
