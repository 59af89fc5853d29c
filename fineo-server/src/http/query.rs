//! `POST /v1/query`: SQL in, rows out as they are computed. `GET /v1/errors` is a query, too.

use std::{fmt, sync::Arc, time::Duration};

use arrow::datatypes::DECIMAL128_MAX_PRECISION;
use axum::{
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use fineo::{FreshnessToken, Parameter};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use utoipa::{IntoParams, ToSchema};

use super::{
    Room,
    answer::{Ending, Form, stream},
    body,
    caller::Caller,
    problem::{Problem, ProblemDetails},
};
use crate::Scope;

/// The header that asks for a position, where the body does not.
const MIN_POSITION: &str = "fineo-min-position";
/// The header of the answer that says how far the stages had come.
const DATA_AS_OF: &str = "fineo-data-as-of";
/// The most values of a statement.
const PARAMETERS_MAX: usize = u16::MAX as usize;
/// The most errors that are listed at once.
const ERRORS_MAX: u64 = 10_000;

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryRequest {
    /// One statement.
    sql: String,
    /// The values of `$1`, `$2`, …: null, booleans, numbers and texts.
    #[serde(default, deserialize_with = "not_too_many")]
    #[schema(value_type = Vec<Value>)]
    pub(super) params: Vec<Box<RawValue>>,
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
    let form = (Form::wanted(&headers)?, Ending::wanted(&room, &headers));
    let request: QueryRequest = caller.unless_ended(&room, body::read_json(&room, &headers, body)).await?;
    let parameters = parameters(&request.params)?;
    if !parameters.is_empty() {
        caller.session(room.fineo()).check_count(&request.sql, parameters.len())?;
    }
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
    let form = (Form::wanted(&headers)?, Ending::wanted(&room, &headers));
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
    form: (Form, Ending),
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

/// Values, as they were written, of which no more are read than a statement can have.
fn not_too_many<'de, D: Deserializer<'de>>(values: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    struct Values;

    impl<'de> Visitor<'de> for Values {
        type Value = Vec<Box<RawValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {PARAMETERS_MAX} values")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
            let mut read = Vec::new();
            while let Some(value) = values.next_element()? {
                if read.len() == PARAMETERS_MAX {
                    return Err(A::Error::invalid_length(PARAMETERS_MAX + 1, &self));
                }
                read.push(value);
            }
            Ok(read)
        }
    }

    values.deserialize_seq(Values)
}

/// The values of `$1`, `$2`, …, as they were written.
pub(super) fn parameters(values: &[Box<RawValue>]) -> Result<Vec<Parameter>, Problem> {
    values.iter().enumerate().map(|(index, value)| parameter(index + 1, value.get())).collect()
}

fn parameter(number: usize, text: &str) -> Result<Parameter, Problem> {
    let invalid = |what: &str| Problem::bad_request("invalid", format!("parameter ${number} {what}"));
    if let Some(whole) = whole(text) {
        return whole.ok_or_else(|| invalid("has more than 38 digits"));
    }
    Ok(match serde_json::from_str(text).map_err(|_| invalid("is too large a number"))? {
        Value::Null => Parameter::Null,
        Value::Bool(value) => Parameter::Boolean(value),
        Value::String(text) => Parameter::Text(Arc::from(text)),
        Value::Number(number) => match number.as_f64() {
            Some(number) => Parameter::Double(number),
            None => return Err(invalid("is too large a number")),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(invalid("has to be null, a boolean, a number or a text"));
        }
    })
}

/// The whole number that `text` is, exactly; within, none where it is too long for that.
fn whole(text: &str) -> Option<Option<Parameter>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let long = text.parse().ok().map(Parameter::Long);
    let decimal = || {
        let value = text.parse().ok().filter(|_| digits.len() <= usize::from(DECIMAL128_MAX_PRECISION))?;
        Some(Parameter::Decimal { value, scale: 0 })
    };
    Some(long.or_else(decimal))
}
