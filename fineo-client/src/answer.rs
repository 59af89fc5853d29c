//! What a server said, and what a problem (RFC 9457) of it means to the caller.

use std::time::Duration;

use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Result};
use hyper::{HeaderMap, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};

use crate::Sent;

/// What a server said.
pub(crate) struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<String>,
    taken: Option<Sent>,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { status, retry_after: seconds.map(Duration::from_secs), body }
    }

    /// What was asked for.
    ///
    /// # Errors
    ///
    /// What the server says of it; `Internal` when this client does not know the form.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        if !self.status.is_success() {
            return Err(self.refusal(self.problem()));
        }
        serde_json::from_slice(&self.body)
            .map_err(|source| Error::internal("the answer is not what this client knows").with_source(source))
    }

    /// What became of `count` events that were sent, in addition to what is `known` of them from former tries.
    ///
    /// # Errors
    ///
    /// What the server says of the request; `Unavailable` when the stream did not take all of them.
    pub(crate) fn read_sent(&self, count: usize, known: &mut Sent) -> Result<()> {
        // The status of an answer that tells of all events depends on how many were taken, its form does not.
        match serde_json::from_slice(&self.body) {
            Ok(sent) => known.improve(sent),
            Err(_) if self.status.is_success() => return self.read::<Sent>().map(drop),
            Err(_) => {
                let mut problem = self.problem();
                if let Some(taken) = problem.taken.take() {
                    known.improve(taken);
                }
                return Err(self.refusal(problem));
            }
        }
        if known.results.len() != count {
            return Err(Error::internal("the answer tells of another number of events than were sent")
                .with("sent", count)
                .with("told", known.results.len()));
        }
        match known.first_failed() {
            None => Ok(()),
            Some(first) => {
                let error = Error::unavailable("the stream did not take all events").with("failed", known.failed);
                let error = self.patient(error);
                Err(first.code.iter().fold(error, |error, code| error.with("code", code)))
            }
        }
    }

    fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn refusal(&self, problem: Problem) -> Error {
        let kind = kind(self.status, problem.code.as_deref());
        let mut error = Error::new(kind, problem.detail.unwrap_or_else(|| "the server refused".to_owned()));
        error = error.with("status", self.status.as_u16());
        for (name, value) in [("code", problem.code), ("hint", problem.hint), ("position", problem.position)] {
            if let Some(value) = value {
                error = error.with(name, value);
            }
        }
        self.patient(error)
    }

    /// `error`, with how long the server asked to be left alone.
    fn patient(&self, error: Error) -> Error {
        match self.retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}

/// What the caller can do about a problem. Where several share a status, its code tells them apart.
fn kind(status: StatusCode, code: Option<&str>) -> ErrorKind {
    match (status.as_u16(), code) {
        (_, Some("corrupt")) => ErrorKind::Corrupt,
        (_, Some("unsupported")) => ErrorKind::Unsupported,
        (_, Some("idempotency_key_reused")) => ErrorKind::Invalid,
        (404, _) => ErrorKind::NotFound,
        (408 | 502..=504, _) => ErrorKind::Unavailable,
        (413 | 422, _) => ErrorKind::LimitExceeded,
        (429, _) => ErrorKind::Throttled,
        (500, _) => ErrorKind::Internal,
        (507, _) => ErrorKind::StorageFull,
        _ => ErrorKind::Invalid,
    }
}
