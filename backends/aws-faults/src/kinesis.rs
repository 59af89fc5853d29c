//! Which shard a call of Kinesis is about.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// Which shards there are, as far as calls told.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    /// Of each stream, from the first to the last hash key of every open shard.
    ranges: BTreeMap<String, Vec<(u128, u128, String)>>,
    iterators: HashMap<String, String>,
}

impl Shards {
    /// Whether the ranges of `stream` are known.
    pub(crate) fn knows(&self, stream: &str) -> bool {
        self.ranges.contains_key(stream)
    }

    /// Takes in an answer to `ListShards`.
    pub(crate) fn list(&mut self, stream: &str, answer: &Value) {
        let key = |shard: &Value, name: &str| shard["HashKeyRange"][name].as_str()?.parse().ok();
        let open = answer["Shards"].as_array().into_iter().flatten();
        let open = open.filter(|shard| shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null());
        let ranges = open.filter_map(|shard| {
            let (first, last) = (key(shard, "StartingHashKey")?, key(shard, "EndingHashKey")?);
            Some((first, last, format!("{stream} {}", shard["ShardId"].as_str()?)))
        });
        self.ranges.insert(stream.to_owned(), ranges.collect());
    }

    /// Forgets the ranges of `stream`: they change.
    pub(crate) fn forget(&mut self, stream: &str) {
        self.ranges.remove(stream);
    }

    /// The shard that takes a record with this hash key.
    pub(crate) fn of_record(&self, stream: &str, record: &Value) -> Option<&str> {
        let key: u128 = record["ExplicitHashKey"].as_str()?.parse().ok()?;
        let ranges = self.ranges.get(stream)?;
        ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&key)).map(|(_, _, shard)| shard.as_str())
    }

    /// The shard that an iterator reads.
    pub(crate) fn of_iterator(&self, iterator: &str) -> Option<&str> {
        self.iterators.get(iterator).map(String::as_str)
    }

    /// Says which shard `iterator` reads.
    pub(crate) fn begin(&mut self, iterator: &str, shard: String) {
        self.iterators.insert(iterator.to_owned(), shard);
    }

    /// Says that `next` takes the place of `iterator`.
    pub(crate) fn go_on(&mut self, iterator: &str, next: Option<&str>) {
        if let (Some(shard), Some(next)) = (self.iterators.get(iterator).cloned(), next) {
            // The former stays: an answer that was lost is asked for again.
            self.iterators.insert(next.to_owned(), shard);
        }
    }
}

/// About how many bytes Kinesis counts for a record.
pub(crate) fn record_bytes(record: &Value) -> usize {
    let text = |name: &str| record[name].as_str().map_or(0, str::len);
    text("Data") * 3 / 4 + text("PartitionKey")
}
