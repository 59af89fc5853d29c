//! What a shard takes and gives in a second.

use std::collections::BTreeMap;

use fineo_core::Timestamp;

const RECORDS: f64 = 1_000.0;
const BYTES_IN: f64 = 1_048_576.0;
const READS: f64 = 5.0;
const BYTES_OUT: f64 = 2.0 * 1_048_576.0;

/// Fills up with time, to what one second brings.
#[derive(Debug)]
struct Bucket {
    left: f64,
    a_second: f64,
    at: Timestamp,
}

impl Bucket {
    fn new(a_second: f64, at: Timestamp) -> Self {
        Self { left: a_second, a_second, at }
    }

    fn fill(&mut self, now: Timestamp) {
        let seconds = (now.micros() - self.at.micros()).max(0) as f64 / 1e6;
        self.left = (self.left + seconds * self.a_second).min(self.a_second);
        self.at = now;
    }
}

/// What one shard has left.
#[derive(Debug)]
struct Shard {
    records: Bucket,
    bytes_in: Bucket,
    reads: Bucket,
    bytes_out: Bucket,
}

/// What every shard has left.
#[derive(Debug, Default)]
pub(crate) struct Quotas(BTreeMap<String, Shard>);

impl Quotas {
    fn shard(&mut self, name: &str, now: Timestamp) -> &mut Shard {
        let shard = self.0.entry(name.to_owned()).or_insert_with(|| Shard {
            records: Bucket::new(RECORDS, now),
            bytes_in: Bucket::new(BYTES_IN, now),
            reads: Bucket::new(READS, now),
            bytes_out: Bucket::new(BYTES_OUT, now),
        });
        for bucket in [&mut shard.records, &mut shard.bytes_in, &mut shard.reads, &mut shard.bytes_out] {
            bucket.fill(now);
        }
        shard
    }

    /// Whether `shard` takes another record of so many bytes now.
    pub(crate) fn takes(&mut self, shard: &str, bytes: usize, now: Timestamp) -> bool {
        let shard = self.shard(shard, now);
        let bytes = bytes as f64;
        let takes = shard.records.left >= 1.0 && shard.bytes_in.left >= bytes;
        if takes {
            shard.records.left -= 1.0;
            shard.bytes_in.left -= bytes;
        }
        takes
    }

    /// Whether `shard` answers another read now.
    pub(crate) fn answers(&mut self, shard: &str, now: Timestamp) -> bool {
        let shard = self.shard(shard, now);
        let answers = shard.reads.left >= 1.0 && shard.bytes_out.left > 0.0;
        if answers {
            shard.reads.left -= 1.0;
        }
        answers
    }

    /// What a read of `shard` brought, which the next ones wait for.
    pub(crate) fn answered(&mut self, shard: &str, bytes: usize, now: Timestamp) {
        self.shard(shard, now).bytes_out.left -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    //! A second's worth, and no more.

    use fineo_core::Timestamp;

    use super::Quotas;

    fn at(millis: i64) -> Timestamp {
        Timestamp::saturating_from_micros(millis * 1_000)
    }

    #[test]
    fn a_shard_takes_a_thousand_records_a_second() {
        let mut quotas = Quotas::default();
        let mut taken = |millis| (0..2_000).filter(|_| quotas.takes("s", 1, at(millis))).count();
        assert_eq!([taken(0), taken(500), taken(5_000)], [1_000, 500, 1_000]);
    }

    #[test]
    fn a_shard_takes_a_mebibyte_a_second() {
        let mut quotas = Quotas::default();
        assert_eq!((0..100).filter(|_| quotas.takes("s", 100 << 10, at(0))).count(), 10);
        assert!(quotas.takes("other", 1 << 20, at(0)));
    }

    #[test]
    fn a_shard_answers_five_reads_a_second_and_pays_for_large_ones() {
        let mut quotas = Quotas::default();
        assert_eq!((0..9).filter(|_| quotas.answers("s", at(0))).count(), 5);
        quotas.answered("s", 10 << 20, at(0));
        assert!(!quotas.answers("s", at(3_900)));
        assert!(quotas.answers("s", at(4_100)));
    }
}
