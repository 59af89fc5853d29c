//! What a proxy was asked, and what it let go wrong.

use std::{collections::BTreeMap, fmt};

/// Calls of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many.
    pub requests: u64,
    /// The bytes of their bodies.
    pub bytes_sent: u64,
    /// The bytes of the answers' bodies.
    pub bytes_received: u64,
}

/// What a proxy was asked, and what it let go wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By operation, such as `TransactWriteItems`; of Kinesis with the stream, `PutRecords acme-raw`, and of S3 the method.
    pub calls: BTreeMap<String, Calls>,
    /// How often what went wrong.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// The calls together whose names begin in this way.
    pub fn of(&self, beginning: &str) -> Calls {
        let mut sum = Calls::default();
        for (_, calls) in self.calls.iter().filter(|(name, _)| name.starts_with(beginning)) {
            sum.requests += calls.requests;
            sum.bytes_sent += calls.bytes_sent;
            sum.bytes_received += calls.bytes_received;
        }
        sum
    }

    /// How often this went wrong.
    pub fn fault(&self, name: &str) -> u64 {
        self.faults.get(name).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (operation, calls) in &self.calls {
            let Calls { requests, bytes_sent, bytes_received } = calls;
            writeln!(f, "{operation}: {requests} requests, {bytes_sent} bytes sent, {bytes_received} received")?;
        }
        for (name, count) in &self.faults {
            writeln!(f, "{name}: {count} times")?;
        }
        Ok(())
    }
}
