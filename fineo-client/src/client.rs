//! Speaks HTTP with a server in the name of one token.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Sent,
    event::{self, FineoEvent},
};

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// The most events of one request, and about the most bytes: what servers take in by default.
const EVENTS_MAX: usize = 10_000;
const BODY_BYTES_MAX: usize = 8 << 20;

type Connector = HttpsConnector<legacy::connect::HttpConnector>;

/// A client of one tenant, over `http` or `https`. Cloning is cheap, and clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    base: Arc<str>,
    /// The value of the header, which is never shown.
    authorization: header::HeaderValue,
}

impl Client {
    /// A client of the server at `url`, such as `https://fineo.example:8443`, that shows `token`.
    ///
    /// # Errors
    ///
    /// `Invalid` when the URL or the token cannot be one, or the system has no certificates to trust.
    pub fn new(url: &str, token: &str) -> Result<Self> {
        let base = url.trim_end_matches('/');
        let uri: Uri =
            base.parse().map_err(|source| Error::invalid("not a URL").with("url", url).with_source(source))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(Error::invalid("a server's URL begins with http:// or https://").with("url", url));
        }
        let bearer = format!("Bearer {token}");
        let mut authorization =
            header::HeaderValue::from_str(&bearer).map_err(|_| Error::invalid("not a token that can be sent"))?;
        authorization.set_sensitive(true);
        let untrusting = |source| Error::invalid("the system's certificates cannot be read").with_source(source);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(untrusting)?
            .https_or_http()
            .enable_http1()
            .build();
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, base: base.into(), authorization })
    }

    /// Declares the metric that `E` is, as far as it is not declared yet. It takes the scope `schema`.
    ///
    /// # Errors
    ///
    /// What the server says, such as `schema_conflict` as the code of its context, or `Unavailable`.
    pub async fn declare<E: FineoEvent>(&self) -> Result<()> {
        let _plan: Value = self.call(Method::PUT, "/v1/schema", event::declaration::<E>()).await?;
        Ok(())
    }

    /// Sends `events`, in requests of a size that servers take in, and says what became of each.
    ///
    /// # Errors
    ///
    /// What the server says, or `Unavailable`; then all of them may be sent again: the same event is stored once.
    pub async fn send<E: FineoEvent>(&self, events: &[E]) -> Result<Vec<Sent>> {
        let mut answers = Vec::new();
        let (mut body, mut count) = (String::new(), 0);
        for event in events {
            let line = event::to_json(event);
            if count == EVENTS_MAX || (count > 0 && body.len() + line.len() > BODY_BYTES_MAX) {
                answers.push(self.call(Method::POST, "/v1/events", std::mem::take(&mut body)).await?);
                count = 0;
            }
            body.push_str(&line);
            body.push('\n');
            count += 1;
        }
        if count > 0 {
            answers.push(self.call(Method::POST, "/v1/events", body).await?);
        }
        Ok(answers)
    }

    /// A question in SQL; [`Query::rows`] asks it.
    pub fn query(&self, sql: &str) -> Query<'_> {
        let asked = Asked { sql: sql.to_owned(), params: Vec::new(), min_position: None };
        Query { client: self, asked }
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<T> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Full::new(body.into()))
            .map_err(|source| Error::internal("a request cannot be made").with_source(source))?;
        let unanswered =
            |source| Error::unavailable("the server does not answer").with("url", &self.base).with_source(source);
        let response = self.http.request(request).await.map_err(unanswered)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let broken = |reason: Box<dyn std::error::Error + Send + Sync>| {
            Error::unavailable("the answer broke off").with("reason", reason)
        };
        let body = body.map_err(broken)?.to_bytes();
        if !status.is_success() {
            return Err(refused(status, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|source| Error::internal("the answer is not what this client knows").with_source(source))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
struct Asked {
    sql: String,
    params: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_position: Option<String>,
}

#[derive(Deserialize)]
struct Rows<T> {
    rows: Vec<T>,
}

/// A question in SQL.
#[derive(Debug)]
pub struct Query<'a> {
    client: &'a Client,
    asked: Asked,
}

impl Query<'_> {
    /// With the value of the next of `$1`, `$2`, …: null, a boolean, a number or a text.
    #[must_use]
    pub fn with_parameter(mut self, value: impl Into<Value>) -> Self {
        self.asked.params.push(value.into());
        self
    }

    /// That waits until it sees what was sent; said again, all that was.
    #[must_use]
    pub fn with_min_position(mut self, sent: &Sent) -> Self {
        self.asked.min_position = Some(match &self.asked.min_position {
            Some(known) => both(known, &sent.token),
            None => sent.token.clone(),
        });
        self
    }

    /// The rows, each a `T` by the names of its columns.
    ///
    /// # Errors
    ///
    /// What the server says of the statement, with its `code`, `hint` and `position` as context; `Unavailable`; `Internal`
    /// when a row is no `T`.
    pub async fn rows<T: DeserializeOwned>(self) -> Result<Vec<T>> {
        let body = serde_json::to_vec(&self.asked)
            .map_err(|source| Error::internal("the question cannot be written as JSON").with_source(source))?;
        Ok(self.client.call::<Rows<T>>(Method::POST, "/v1/query", body).await?.rows)
    }
}

/// The token of what either stands for: of each shard, `shard:position`, the later position.
fn both(one: &str, other: &str) -> String {
    let mut positions: BTreeMap<&str, &str> = BTreeMap::new();
    for (shard, digits) in one.split(',').chain(other.split(',')).filter_map(|part| part.split_once(':')) {
        let known = positions.entry(shard).or_default();
        if (digits.len(), digits) > (known.len(), known) {
            *known = digits;
        }
    }
    // Without any it stands for nothing, and so do both.
    if positions.is_empty() {
        return one.to_owned();
    }
    let parts: Vec<String> = positions.into_iter().map(|(shard, digits)| format!("{shard}:{digits}")).collect();
    parts.join(",")
}

/// What a problem (RFC 9457) means to the caller.
fn refused(status: StatusCode, body: &[u8]) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Problem {
        code: Option<String>,
        detail: Option<String>,
        hint: Option<String>,
        position: Option<String>,
    }
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let kind = match status.as_u16() {
        404 => ErrorKind::NotFound,
        413 | 422 => ErrorKind::LimitExceeded,
        429 => ErrorKind::Throttled,
        500 => ErrorKind::Internal,
        503 | 504 => ErrorKind::Unavailable,
        507 => ErrorKind::StorageFull,
        _ => ErrorKind::Invalid,
    };
    let mut error = Error::new(kind, problem.detail.unwrap_or_else(|| "the server refused".to_owned()));
    error = error.with("status", status.as_u16());
    for (name, value) in [("code", problem.code), ("hint", problem.hint), ("position", problem.position)] {
        if let Some(value) = value {
            error = error.with(name, value);
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::both;

    #[test]
    fn the_token_of_two_is_that_of_the_later_position_of_each_shard() {
        for (one, other, expected) in [
            ("s0:1f", "s0:a", "s0:1f"),
            ("s0:1f", "s1:a,s0:20", "s0:20,s1:a"),
            ("none", "s0:1", "s0:1"),
            ("s0:1", "none", "s0:1"),
            ("none", "none", "none"),
        ] {
            assert_eq!(both(one, other), expected, "{one} {other}");
        }
    }
}
