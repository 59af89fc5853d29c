//! `POST /v1/query`: SQL in, rows out as they are computed. `GET /v1/errors` is a query, too.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use fineo::{FreshnessToken, Parameter};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    Room,
    answer::{Form, stream},
    body,
    caller::Caller,
    problem::{Problem, ProblemDetails},
};
use crate::Scope;

/// The header that asks for a position, where the body does not.
const MIN_POSITION: &str = "fineo-min-position";
/// The header of the answer that says how far the stages had come.
const DATA_AS_OF: &str = "fineo-data-as-of";
/// The most errors that are listed at once.
const ERRORS_MAX: u64 = 10_000;

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryRequest {
    /// One statement.
    sql: String,
    /// The values of `$1`, `$2`, …: null, booleans, numbers and texts.
    #[serde(default)]
    pub(super) params: Vec<Value>,
    /// A token of events that the answer has to know of.
    #[serde(default)]
    min_position: Option<String>,
    /// How long to wait for it, in milliseconds.
    #[serde(default)]
    wait_ms: Option<u64>,
}

/// Asks in SQL. `Accept` chooses the form: JSON, NDJSON, CSV or an Arrow stream.
#[utoipa::path(
    post, path = "/v1/query", tag = "query", request_body = QueryRequest,
    responses(
        (status = 200, description = "the rows, as they are computed", content(
            (Value = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"))),
        (status = 400, description = "the statement or the body is wrong", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 401, description = "no valid token", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "the token lacks the scope query", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "no such form", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "too many bytes", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 415, description = "not JSON", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "a limit was reached", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "too many requests", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 504, description = "the position was not reached in time", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn ask(
    State(room): State<Room>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.require(Scope::Query)?;
    let form = Form::wanted(&headers)?;
    let request: QueryRequest = caller.unless_ended(&room, body::read_json(&room, &headers, body)).await?;
    let parameters = request.params.into_iter().map(parameter).collect::<Result<Vec<_>, _>>()?;
    let asked = headers.get(MIN_POSITION).map(|value| value.to_str().unwrap_or("?").to_owned());
    if let Some(token) = request.min_position.or(asked) {
        let token: FreshnessToken = token.parse()?;
        let limits = room.limits();
        let wait = request.wait_ms.map_or(limits.freshness_wait, Duration::from_millis).min(limits.freshness_wait_max);
        caller.unless_ended(&room, room.fineo().wait_until_fresh(&token, wait)).await?;
    }
    answer(&room, caller, form, &request.sql, &parameters).await
}

/// Which errors are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ErrorsQuery {
    /// Only errors with this code.
    code: Option<String>,
    /// Only errors that are not repaired.
    #[serde(default)]
    open: bool,
    /// At most this many, the latest first.
    #[serde(default = "some_errors")]
    #[param(minimum = 0, maximum = 10000)]
    limit: u64,
}

fn some_errors() -> u64 {
    100
}

/// Lists rejected and failed events, the latest first, in the forms of a query.
#[utoipa::path(
    get, path = "/v1/errors", tag = "query", params(ErrorsQuery),
    responses(
        (status = 200, description = "rows of errors.stream", content(
            (Value = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"))),
        (status = 400, description = "a parameter is wrong", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 401, description = "no valid token", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "the token lacks the scope query", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "no such form", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn errors(
    State(room): State<Room>,
    caller: Caller,
    query: Result<Query<ErrorsQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Scope::Query)?;
    let form = Form::wanted(&headers)?;
    let Query(query) = query.map_err(|error| Problem::bad_request("invalid", error.body_text()))?;
    let mut conditions = Vec::new();
    let mut parameters = Vec::new();
    if let Some(code) = query.code {
        parameters.push(Parameter::Text(code.into()));
        conditions.push("code = $1");
    }
    if query.open {
        conditions.push("repaired_at IS NULL");
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let limit = query.limit.min(ERRORS_MAX);
    let sql = format!("SELECT * FROM errors.stream {filter} ORDER BY handled_at DESC LIMIT {limit}");
    answer(&room, caller, form, &sql, &parameters).await
}

async fn answer(
    room: &Room,
    caller: Caller,
    form: Form,
    sql: &str,
    parameters: &[Parameter],
) -> Result<Response, Problem> {
    let as_of = room.fineo().data_as_of();
    let session = caller.session(room.fineo());
    let rows = caller.unless_ended(room, session.query(sql, parameters)).await?;
    let mut response = stream(rows, form, room, caller).await?;
    if let Ok(value) = HeaderValue::from_str(&as_of.to_string()) {
        response.headers_mut().insert(DATA_AS_OF, value);
    }
    Ok(response)
}

pub(super) fn parameter(value: Value) -> Result<Parameter, Problem> {
    Ok(match value {
        Value::Null => Parameter::Null,
        Value::Bool(value) => Parameter::Boolean(value),
        Value::String(text) => Parameter::Text(Arc::from(text)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Parameter::Long(whole),
            (None, Some(number)) => Parameter::Double(number),
            (None, None) => return Err(Problem::bad_request("invalid", "a parameter is too large a number")),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(Problem::bad_request("invalid", "a parameter is null, a boolean, a number or a text"));
        }
    })
}
