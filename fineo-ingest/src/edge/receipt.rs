//! What the edge answers.

use fineo_core::{Code, Cover, Durability, Error, Rejection, stream::Appended};

/// What became of one event of a request.
#[derive(Debug, Clone, Copy)]
pub enum EventResult<'a> {
    /// It is in the stream, here.
    Accepted(&'a Appended),
    /// It was refused; nothing of it was stored.
    Rejected(&'a Rejection),
    /// The stream did not take it, or did not say so. Sending it again is safe.
    Failed(&'a Error),
}

/// The answer to a request: one result per event, in order of the request.
#[must_use = "events may be rejected or failed in it: look at them, and send what failed again"]
#[derive(Debug, Clone)]
pub struct Receipt {
    pub(crate) token: Cover,
    pub(crate) durability: Durability,
    pub(crate) accepted: Vec<Appended>,
    pub(crate) rejected: Vec<(usize, Rejection)>,
    pub(crate) failed: Vec<(usize, Error)>,
}

impl Receipt {
    /// Where the accepted events stand: whoever waits for it sees them.
    pub fn token(&self) -> &Cover {
        &self.token
    }

    /// What the accepted events survive.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// How many events are in the stream. What the stages reject of them later has its row in `errors.stream`.
    pub fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// The events that were refused, by their index in the request.
    pub fn rejected(&self) -> &[(usize, Rejection)] {
        &self.rejected
    }

    /// The events that the stream did not take, by their index in the request.
    pub fn failed(&self) -> &[(usize, Error)] {
        &self.failed
    }

    /// How many events the request had.
    pub fn len(&self) -> usize {
        self.accepted.len() + self.rejected.len() + self.failed.len()
    }

    /// Whether the request had no event.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One result per event, in order of the request.
    pub fn results(&self) -> impl Iterator<Item = EventResult<'_>> {
        let mut accepted = self.accepted.iter();
        let mut rejected = self.rejected.iter().peekable();
        let mut failed = self.failed.iter().peekable();
        (0..self.len()).filter_map(move |index| {
            if let Some((_, rejection)) = rejected.next_if(|(at, _)| *at == index) {
                return Some(EventResult::Rejected(rejection));
            }
            if let Some((_, error)) = failed.next_if(|(at, _)| *at == index) {
                return Some(EventResult::Failed(error));
            }
            accepted.next().map(EventResult::Accepted)
        })
    }

    /// The answer to a request that was refused as a whole.
    pub(crate) fn refused(durability: Durability, code: Code, message: String) -> Self {
        Self {
            token: Cover::default(),
            durability,
            accepted: Vec::new(),
            rejected: vec![(0, Rejection::new(code, message))],
            failed: Vec::new(),
        }
    }
}
