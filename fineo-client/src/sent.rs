//! What became of events that were sent.

use serde::Deserialize;

/// What became of the events of one call.
#[must_use = "events may be rejected or failed in it: look at `results`, and send what failed again"]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Sent {
    /// What the accepted events survive: `volatile`, `process_crash`, `power_loss` or `zone_loss`.
    pub durability: String,
    /// Where they stand: a query that waits for it sees them.
    pub token: String,
    /// How many were accepted: they are in the stream. What the stages reject of them later has its row in `errors.stream`.
    pub accepted: u64,
    /// How many were refused at once, and are not kept: they can never be accepted.
    pub rejected: u64,
    /// How many may be sent again.
    pub failed: u64,
    /// What became of each, in order.
    pub results: Vec<EventOutcome>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct EventOutcome {
    /// `accepted`, `rejected` or `failed`.
    pub status: String,
    /// Why not, as a stable code.
    #[serde(default)]
    pub code: Option<String>,
    /// Why not, in words.
    #[serde(default)]
    pub message: Option<String>,
}
