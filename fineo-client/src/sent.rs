//! What became of events that were sent.

use std::fmt;

use fineo_core::{Error, FreshnessToken};
use serde::{Deserialize, Deserializer, de};

/// What became of events that were sent.
#[must_use = "events may be rejected in it: look at `results`"]
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Sent {
    /// What the accepted events survive: `volatile`, `process_crash`, `power_loss` or `zone_loss`. Empty when there was none to
    /// send.
    pub durability: String,
    /// Where they stand: a query that waits for it sees them.
    #[serde(deserialize_with = "token")]
    pub token: FreshnessToken,
    /// How many were accepted: they are in the stream. What the stages reject of them later has its row in `errors.stream`.
    pub accepted: u64,
    /// How many were refused at once, and are not kept: they can never be accepted.
    pub rejected: u64,
    /// How many the stream did not take: they may be sent again. Only in a [`SendError`] there are any.
    pub failed: u64,
    /// What became of each, in order.
    pub results: Vec<EventOutcome>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct EventOutcome {
    /// What became of it.
    pub status: EventStatus,
    /// Why not, as a stable code.
    #[serde(default)]
    pub code: Option<String>,
    /// Why not, in words.
    #[serde(default)]
    pub message: Option<String>,
}

/// What may become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// It is in the stream.
    Accepted,
    /// It was refused at once and is not kept: it can never be accepted.
    Rejected,
    /// The stream did not take it: it may be sent again.
    Failed,
}

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FreshnessToken, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

impl Sent {
    /// Adds what was answered to the same events when they were sent `again`: what was accepted once is accepted.
    pub(crate) fn improve(&mut self, again: Self) {
        for (index, outcome) in again.results.into_iter().enumerate() {
            match self.results.get_mut(index) {
                Some(known) if known.status == EventStatus::Accepted => {}
                Some(known) => *known = outcome,
                None => self.results.push(outcome),
            }
        }
        self.token.merge(&again.token);
        self.durability = again.durability;
        let count = |status| self.results.iter().filter(|outcome| outcome.status == status).count() as u64;
        (self.accepted, self.rejected) = (count(EventStatus::Accepted), count(EventStatus::Rejected));
        self.failed = count(EventStatus::Failed);
    }

    /// Adds what became of the `next` events.
    pub(crate) fn extend(&mut self, next: Self) {
        if next.results.is_empty() {
            return;
        }
        self.durability = next.durability;
        self.token.merge(&next.token);
        self.accepted += next.accepted;
        self.rejected += next.rejected;
        self.failed += next.failed;
        self.results.extend(next.results);
    }

    pub(crate) fn first_failed(&self) -> Option<&EventOutcome> {
        self.results.iter().find(|outcome| outcome.status == EventStatus::Failed)
    }
}

/// Why events were not sent to the last one, and what became of those before.
///
/// As an [`Error`], for which `?` takes it, it tells no more than why.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SendError {
    /// What became of the first events, as many as `results` has. Some of those behind them may be in the stream, too.
    pub sent: Sent,
    /// The key of the call: [`Client::send_under`](crate::Client::send_under) it, all the events again are the same events, and
    /// none is stored twice.
    pub key: Box<str>,
    /// Why the others were not sent.
    pub error: Error,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        error.error
    }
}
