//! What went wrong, as RFC 9457 says it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use fineo::{
    Error, ErrorKind,
    core::{Code, on_one_line},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Entrance, batches::BatchTaken, events::EventsAnswer, taken::Taken};
use crate::{Scope, auth::Refusal, strangers::shown};

/// The media type of a problem.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// The most characters of a message in a trailer.
const TRAILER_CHARACTERS_MAX: usize = 2_000;

/// What went wrong (RFC 9457). `code` is stable: programs branch on it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemDetails {
    /// A name of the kind of problem.
    #[serde(rename = "type")]
    pub kind_name: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable code in lower snake case.
    pub code: String,
    /// What is wrong with this request.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the SQL text, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// Of a body of events that was not taken to its end: what became of the first of them. The others are to be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<EventsAnswer>,
    /// Of a batch that ended early: what was taken in of it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchTaken>,
}

/// A request that is not answered as it hoped to be.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    details: Box<ProblemDetails>,
    retry_after: Option<Duration>,
    /// What the operator may see of it, and strangers may not.
    inner: Option<Error>,
    /// What was taken of a body of events all the same.
    taken: Option<Arc<Taken>>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let details = ProblemDetails {
            kind_name: format!("urn:fineo:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            hint: None,
            position: None,
            taken: None,
            batch: None,
        };
        Self { details: Box::new(details), retry_after: None, inner: None, taken: None }
    }

    pub(super) fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.details.hint = Some(hint.into());
        self
    }

    /// With what was taken of a body of events all the same.
    pub(super) fn with_taken(mut self, taken: Taken) -> Self {
        self.taken = Some(Arc::new(taken));
        self
    }

    /// With what was taken of a batch all the same.
    pub(super) fn with_batch(mut self, batch: Option<BatchTaken>) -> Self {
        self.details.batch = batch;
        self
    }

    pub(super) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "the request needs a valid token")
            .with_hint("send the header Authorization: Bearer TOKEN")
    }

    pub(super) fn without_scope(scope: Scope) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "the token does not allow this")
            .with_hint(format!("it takes a token with the scope {scope}"))
    }

    pub(super) fn too_many_requests() -> Self {
        let mut problem =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "too many requests of the tenant at a time");
        problem.retry_after = Some(Duration::from_secs(1));
        problem
    }

    pub(super) fn too_large(max: usize) -> Self {
        let detail = format!("the body has more than {max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", detail)
            .with_hint("send it in parts; /v1/batches takes files")
    }

    /// What is sent under a key that names something else.
    pub(super) fn key_reused(detail: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
            .with_hint("send what is new under a key of its own")
    }

    /// A request whose body is refused as a whole.
    pub(super) fn rejected(code: Code, detail: &str) -> Self {
        let status = match code {
            Code::RequestTooLarge | Code::TooManyEvents => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, code.as_str(), detail)
    }

    /// Its code.
    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.details.code
    }

    /// As one line of JSON that is short enough for a header.
    pub(super) fn for_operator(self) -> Vec<u8> {
        let mut details = *self.details;
        if let Some(inner) = &self.inner {
            details.detail = told(inner, &["hint", "position"]).chars().take(TRAILER_CHARACTERS_MAX).collect();
        }
        serde_json::to_vec(&details).unwrap_or_default()
    }

    fn into_response_for(self, entrance: Entrance) -> Response {
        let mut details = *self.details;
        if let (Entrance::Socket, Some(inner)) = (entrance, &self.inner) {
            // The client puts the hint and the position back in their places.
            details.detail = told(inner, &["hint", "position"]);
        }
        let status = StatusCode::from_u16(details.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self.taken {
            None => (status, Json(details)).into_response(),
            Some(taken) => {
                // The members of one object, those of the details and then one more.
                let members = serde_json::to_string(&details).unwrap_or_default();
                let before = format!("{},\"taken\":", members.strip_suffix('}').unwrap_or_default());
                (status, taken.write(&before, "}")).into_response()
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Refused => Self::unauthenticated(),
            Refusal::Throttled { retry_after } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                let mut problem = Self::new(status, "too_many_attempts", "too many invalid tokens from this address");
                problem.retry_after = Some(retry_after);
                problem
            }
            Refusal::Unavailable(error) => Self::from(error),
        }
    }
}

/// What the status and the code of an error are.
fn status_of(error: &Error) -> (StatusCode, &'static str) {
    match error.kind() {
        ErrorKind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        ErrorKind::AlreadyExists => (StatusCode::CONFLICT, "already_exists"),
        ErrorKind::Unsupported => (StatusCode::UNPROCESSABLE_ENTITY, "unsupported"),
        ErrorKind::LimitExceeded => (StatusCode::UNPROCESSABLE_ENTITY, "limit_exceeded"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        ErrorKind::Throttled => (StatusCode::SERVICE_UNAVAILABLE, "throttled"),
        ErrorKind::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
        ErrorKind::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "cancelled"),
        ErrorKind::Cold => (StatusCode::CONFLICT, "cold"),
        ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let of =
            |wanted: &str| error.context().iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
        let (mut status, default_code) = status_of(&error);
        let code = of("code").unwrap_or_else(|| default_code.to_owned());
        match code.as_str() {
            "freshness_timeout" => status = StatusCode::GATEWAY_TIMEOUT,
            "permission_revoked" | "role_missing" => status = StatusCode::FORBIDDEN,
            "schema_conflict" => status = StatusCode::PRECONDITION_FAILED,
            _ => {}
        }
        let mut problem = Self::new(status, &code, told(&shown(&error), &["code", "hint", "position"]));
        problem.details.hint = of("hint");
        problem.details.position = of("position");
        let is_retryable = status == StatusCode::SERVICE_UNAVAILABLE;
        problem.retry_after = error.retry_after().or(is_retryable.then_some(Duration::from_secs(1)));
        problem.inner = Some(error);
        problem
    }
}

/// The message and its context, without what has a `place` of its own.
fn told(error: &Error, places: &[&str]) -> String {
    let mut text = error.message().to_owned();
    let context = error.context().iter().filter(|(name, _)| !places.contains(name));
    for (index, (name, value)) in context.enumerate() {
        let separator = if index == 0 { ": " } else { ", " };
        text.push_str(&format!("{separator}{name}={}", on_one_line(value)));
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes problems as those at `entrance` may see them.
pub(super) async fn show(entrance: Entrance, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem.into_response_for(entrance),
        // What the router itself refuses, such as a path that is not UTF-8.
        None if response.status().is_client_error() => {
            Problem::new(response.status(), "invalid", "the request has no meaning").into_response_for(entrance)
        }
        None => response,
    }
}

/// The answer where there is nothing.
pub(super) async fn no_such_resource() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "no such resource")
}

/// The answer where something is, but not under that method.
pub(super) async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the resource has no such method")
}
