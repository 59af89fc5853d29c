//! What became of the events of a body, and how it is told: however many they are, in little memory.

use std::{convert::Infallible, fmt::Write, sync::Arc};

use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use fineo::{
    Cover, Durability, Error, ErrorKind, FreshnessToken, Receipt,
    core::{Code, Rejection},
    ingest::EventResult,
};

use super::{
    events::{AckLevel, durability_name},
    problem::Problem,
};

/// The most stretches of events of the same outcome that are remembered.
const STRETCHES_MAX: usize = 1 << 15;
/// About how much of an answer is written at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Rejected(Rejection),
    Failed(Failing),
}

/// Why the stream did not take an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    /// It does not answer, or not well.
    Unavailable,
    /// It has no room.
    Full,
}

impl Failing {
    /// The status of an answer of which this is all.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// What a body is refused with whose rest is not read.
    pub(super) fn problem(self) -> Problem {
        let (kind, message) = match self {
            Self::Unavailable => (ErrorKind::Unavailable, "the stream takes no more events"),
            Self::Full => (ErrorKind::StorageFull, "the stream has no room for more events"),
        };
        Problem::from(Error::new(kind, message))
    }
}

/// What became of the events of a body, in their order.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    stretches: Vec<(Outcome, u64)>,
    accepted: u64,
    rejected: u64,
    failed: u64,
    position: Cover,
    durability: Durability,
    ack: AckLevel,
}

impl Taken {
    /// Nothing yet, of events that survive what `durability` says.
    pub(super) fn new(durability: Durability) -> Self {
        Self {
            stretches: Vec::new(),
            accepted: 0,
            rejected: 0,
            failed: 0,
            position: Cover::default(),
            durability,
            ack: AckLevel::Accepted,
        }
    }

    /// Adds what became of the next events. Fails once it would take too much to remember.
    pub(super) fn add(&mut self, receipt: &Receipt) -> Result<(), Problem> {
        self.position.merge(receipt.token());
        for result in receipt.results() {
            let (outcome, count) = match result {
                EventResult::Accepted(_) => (Outcome::Accepted, &mut self.accepted),
                // Nothing is wrong with the event: it may be sent again.
                EventResult::Rejected(rejection) if rejection.code == Code::StorageFull => {
                    (Outcome::Failed(Failing::Full), &mut self.failed)
                }
                EventResult::Rejected(rejection) => (Outcome::Rejected(rejection.clone()), &mut self.rejected),
                EventResult::Failed(error) if error.kind() == ErrorKind::StorageFull => {
                    (Outcome::Failed(Failing::Full), &mut self.failed)
                }
                EventResult::Failed(_) => (Outcome::Failed(Failing::Unavailable), &mut self.failed),
            };
            *count += 1;
            match self.stretches.last_mut() {
                Some((last, length)) if *last == outcome => *length += 1,
                Some(_) | None => self.stretches.push((outcome, 1)),
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), Problem> {
        if self.stretches.len() <= STRETCHES_MAX {
            return Ok(());
        }
        let detail = "too many events of the body were refused, each for a reason of its own";
        Err(Problem::from(fineo::Error::new(fineo::ErrorKind::LimitExceeded, detail)))
    }

    /// Whether there was no event.
    pub(super) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Why the stream did not take the last one, where it did not.
    pub(super) fn failing(&self) -> Option<Failing> {
        match self.stretches.last() {
            Some((Outcome::Failed(failing), _)) => Some(*failing),
            Some((Outcome::Accepted | Outcome::Rejected(_), _)) | None => None,
        }
    }

    /// Why the stream took none of the events, where it took none of those that it could have taken.
    pub(super) fn failed(&self) -> Option<Failing> {
        let mut failings = self.stretches.iter().filter_map(|(outcome, _)| match outcome {
            Outcome::Failed(failing) => Some(*failing),
            Outcome::Accepted | Outcome::Rejected(_) => None,
        });
        failings.next().filter(|_| self.accepted == 0)
    }

    /// Adds it to the counters of the server.
    pub(super) fn count(&self) {
        metrics::counter!("fineo_events_accepted_total").increment(self.accepted);
        metrics::counter!("fineo_events_rejected_total").increment(self.rejected);
    }

    /// Where the accepted events stand.
    pub(super) fn token(&self) -> FreshnessToken {
        FreshnessToken::from(self.position.clone())
    }

    /// Says that `ack` was waited for.
    pub(super) fn waited_for(&mut self, ack: AckLevel) {
        self.ack = ack;
    }

    /// Writes it as JSON between `before` and `after`.
    pub(super) fn write(self: Arc<Self>, before: &str, after: &'static str) -> Body {
        let mut text = before.to_owned();
        let durability = durability_name(self.durability);
        let (accepted, rejected, failed) = (self.accepted, self.rejected, self.failed);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{{\"ack\":\"{}\",\"durability\":\"{durability}\",\"token\":\"{}\",\"accepted\":{accepted},\
             \"rejected\":{rejected},\"failed\":{failed},\"results\":[",
            self.ack.as_str(),
            self.token(),
        );
        let mut writer = Writer { taken: self, stretch: 0, told: 0, text, after: Some(after) };
        let Some(first) = writer.next() else { return Body::empty() };
        if writer.after.is_none() {
            return Body::from(first);
        }
        Body::from_stream(futures::stream::iter(std::iter::once(first).chain(writer).map(Ok::<_, Infallible>)))
    }
}

/// Writes an answer by hand, piece by piece: there is a result for each event, and nearly all are the same.
struct Writer {
    taken: Arc<Taken>,
    /// The stretch that is being told, and how many of its events were.
    stretch: usize,
    told: u64,
    text: String,
    /// What comes at the end; none once it is written.
    after: Option<&'static str>,
}

impl Iterator for Writer {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let after = self.after?;
        while self.text.len() < PIECE_BYTES {
            let Some((outcome, length)) = self.taken.stretches.get(self.stretch) else {
                self.text.push_str("]}");
                self.text.push_str(after);
                self.after = None;
                break;
            };
            if self.stretch > 0 || self.told > 0 {
                self.text.push(',');
            }
            push(&mut self.text, outcome);
            self.told += 1;
            if self.told == *length {
                (self.stretch, self.told) = (self.stretch + 1, 0);
            }
        }
        Some(Bytes::from(std::mem::take(&mut self.text)))
    }
}

fn push(text: &mut String, outcome: &Outcome) {
    match outcome {
        Outcome::Accepted => text.push_str("{\"status\":\"accepted\"}"),
        Outcome::Rejected(rejection) => push_refusal(text, "rejected", rejection.code.as_str(), &rejection.message),
        Outcome::Failed(Failing::Unavailable) => {
            push_refusal(text, "failed", "unavailable", "the stream did not take it; send it again");
        }
        Outcome::Failed(Failing::Full) => {
            push_refusal(text, "failed", "storage_full", "the store has no room for it; send it again when it has");
        }
    }
}

fn push_refusal(text: &mut String, status: &str, code: &str, message: &str) {
    let message = serde_json::Value::from(message);
    let _ = write!(text, "{{\"status\":\"{status}\",\"code\":\"{code}\",\"message\":{message}}}");
}

#[cfg(test)]
mod tests;
