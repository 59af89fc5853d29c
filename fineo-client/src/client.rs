//! Speaks HTTP with a server in the name of one token.

use std::{fmt, iter, sync::Arc, time::Duration};

use fineo_core::Result;
use hyper::Method;
use serde_json::Value;

use crate::{
    ClientOptions, Query, SendError, Sent,
    event::{self, FineoEvent},
    http::{Call, Http},
    tries::Tries,
};

/// The most events of one request, and about the most bytes: what servers take in by default.
const EVENTS_MAX: usize = 10_000;
const BODY_BYTES_MAX: usize = 8 << 20;

/// A client of one tenant, over `http` or `https`, for use within a tokio runtime. Cloning is cheap, and clones share their
/// connections.
///
/// What fails for a reason that may pass is tried again: when there is no connection, when the answer does not come or
/// breaks off, when the server asks for patience (429, 503 and their like). [`ClientOptions`] say how often and how long.
/// Nothing is done twice by that: questions change nothing, and what changes something bears an `Idempotency-Key`.
#[derive(Clone)]
pub struct Client {
    http: Http,
    options: Arc<ClientOptions>,
}

impl Client {
    /// A client of the server at `url`, such as `https://fineo.example:8443`, that shows `token`.
    ///
    /// # Errors
    ///
    /// `Invalid` when the URL or the token cannot be one, or the system has no certificates to trust.
    pub fn new(url: &str, token: &str) -> Result<Self> {
        Self::with_options(url, token, ClientOptions::default())
    }

    /// As [`Client::new`], with other `options`.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn with_options(url: &str, token: &str, options: ClientOptions) -> Result<Self> {
        let http = Http::new(url, token, &options)?;
        Ok(Self { http, options: Arc::new(options) })
    }

    /// Declares the metric that `E` is, as far as it is not declared yet. It takes the scope `schema`.
    ///
    /// # Errors
    ///
    /// What the server says, with its [code](fineo_core::Error::code), such as `schema_conflict` when others kept changing the
    /// schema; `Unavailable` or `Throttled` when tries and time were not enough.
    pub async fn declare<E: FineoEvent>(&self) -> Result<()> {
        let call = Call::new(Method::PUT, "/v1/schema", event::declaration::<E>()).with_key(&self.key())?;
        let _plan: Value = self.tries(self.options.time_max).run(&call, |answer| answer.read()).await?;
        Ok(())
    }

    /// Sends `events`, in requests of a size that servers take in, one after another, and says what became of each: it was
    /// accepted, or rejected for good.
    ///
    /// # Errors
    ///
    /// What the server says, with its [code](fineo_core::Error::code); `Unavailable` or `Throttled` when tries and time were
    /// not enough. The error tells what became of the events before, and the key under which all of them can be sent again
    /// without any being stored twice.
    pub async fn send<E: FineoEvent>(&self, events: &[E]) -> Result<Sent, SendError> {
        self.send_under(&self.key(), events).await
    }

    /// As [`Client::send`], under a `key` of the caller's, of visible ASCII characters: whoever sends the same events in the
    /// same order again under the same key, after an error or when the program was started anew, stores none of them twice.
    /// That also holds for events of metrics whose identity is `arrival`, and for those without a time of their own. Other
    /// events take another key.
    ///
    /// # Errors
    ///
    /// As [`Client::send`]; `Invalid` when it cannot be a key.
    pub async fn send_under<E: FineoEvent>(&self, key: &str, events: &[E]) -> Result<Sent, SendError> {
        let mut sent = Sent::default();
        for (number, (body, count)) in bodies(events).enumerate() {
            let mut known = Sent::default();
            let outcome = self.send_body(&format!("{key}-{number}"), body, count, &mut known).await;
            sent.extend(known);
            if let Err(error) = outcome {
                return Err(SendError { sent, key: key.into(), error });
            }
        }
        Ok(sent)
    }

    async fn send_body(&self, key: &str, body: String, count: usize, known: &mut Sent) -> Result<()> {
        let is_packed = body.len() >= self.options.gzip_bytes_min;
        let call = Call::new(Method::POST, "/v1/events", body).with_key(key)?;
        let call = if is_packed { call.packed()? } else { call };
        // What the stream did not take of a body is sent again with all of it: the events are told by their place in it.
        self.tries(self.options.time_max).run(&call, |answer| answer.read_sent(count, known)).await
    }

    /// A question in SQL; [`Query::rows`] asks it.
    pub fn query(&self, sql: &str) -> Query<'_> {
        Query::new(self, sql)
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    pub(crate) fn tries(&self, time_max: Duration) -> Tries<'_> {
        Tries::new(&self.http, &self.options, time_max)
    }

    /// A key that nobody else has.
    fn key(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.options.entropy.id()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.http.base).finish_non_exhaustive()
    }
}

/// The bodies that `events` are sent in, each with how many it has.
fn bodies<E: FineoEvent>(events: &[E]) -> impl Iterator<Item = (String, usize)> {
    let mut lines = events.iter().map(event::to_json).peekable();
    iter::from_fn(move || {
        let (mut body, mut count) = (lines.next()?, 1);
        body.push('\n');
        while count < EVENTS_MAX
            && let Some(line) = lines.next_if(|line| body.len() + line.len() < BODY_BYTES_MAX)
        {
            body.push_str(&line);
            body.push('\n');
            count += 1;
        }
        Some((body, count))
    })
}
