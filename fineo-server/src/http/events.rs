//! `POST /v1/events`: events in, one result for each of them out.

use std::fmt::Write;

use axum::{
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fineo::{FreshnessToken, Receipt, core::Code, ingest::EventResult};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Room, body,
    caller::Caller,
    problem::{Problem, ProblemDetails},
};
use crate::Scope;

/// What an answer may wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AckLevel {
    /// The events are in the stream, as durable as the answer says.
    #[default]
    Accepted,
    /// A query that begins now sees them.
    Queryable,
}

impl AckLevel {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queryable => "queryable",
        }
    }
}

/// How events are sent.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// The metric of the events that name none.
    metric: Option<String>,
    /// What the answer waits for, as long as the server allows.
    #[serde(default)]
    ack: AckLevel,
}

/// What became of one event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventAnswer {
    /// `accepted`, `rejected` or `failed`. A failed event may be sent again.
    pub status: String,
    /// Why not, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why not, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What became of the events of a request.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventsAnswer {
    /// What the answer waited for.
    pub ack: AckLevel,
    /// What the accepted events survive: `volatile`, `process_crash`, `power_loss` or `zone_loss`.
    pub durability: String,
    /// Where the accepted events stand: a query with this `min_position` sees them.
    pub token: String,
    /// How many were accepted.
    pub accepted: u64,
    /// How many were rejected.
    pub rejected: u64,
    /// How many the stream did not take.
    pub failed: u64,
    /// One result per event, in order of the request.
    pub results: Vec<EventAnswer>,
}

/// Takes in events: an object, an array of objects, or objects one after another; plain, gzip or zstd.
#[utoipa::path(
    post, path = "/v1/events", tag = "ingest", params(EventsQuery),
    request_body(content((serde_json::Value = "application/json"), (String = "application/x-ndjson")),
        description = "an object, an array of objects, or objects one after another"),
    responses(
        (status = 202, description = "one result per event, in order", body = EventsAnswer),
        (status = 400, description = "no event was found", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 401, description = "no valid token", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "the token lacks the scope ingest", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "too many bytes or events", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 415, description = "unknown Content-Encoding", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "too many requests", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "the stream took none of them; send them again", body = EventsAnswer),
    ),
)]
pub(super) async fn send(
    State(room): State<Room>,
    caller: Caller,
    query: Result<Query<EventsQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let tenant = caller.require(Scope::Ingest)?;
    let Query(query) = query.map_err(|error| Problem::bad_request("invalid", error.body_text()))?;
    let bytes = body::read(&room, &headers, body).await?;
    let receipt = room.fineo().pipeline().edge().ingest_as(tenant, bytes, query.metric.as_deref()).await?;
    if let Some(problem) = refused_as_a_whole(&receipt) {
        return Err(problem);
    }
    let token = FreshnessToken::from(receipt.token().clone());
    let ack = match query.ack {
        AckLevel::Accepted => AckLevel::Accepted,
        AckLevel::Queryable => match room.fineo().wait_until_fresh(&token, room.limits().freshness_wait).await {
            Ok(()) => AckLevel::Queryable,
            // They are accepted all the same, and the answer says no more than that.
            Err(_) => AckLevel::Accepted,
        },
    };
    metrics::counter!("fineo_events_accepted_total").increment(receipt.accepted() as u64);
    metrics::counter!("fineo_events_rejected_total").increment(receipt.rejected().len() as u64);
    Ok(answer(&receipt, &token, ack))
}

/// A body in which no event could be told apart from the next is refused as a whole.
pub(super) fn refused_as_a_whole(receipt: &Receipt) -> Option<Problem> {
    match (receipt.accepted(), receipt.rejected(), receipt.failed()) {
        (0, [(_, rejection)], []) => match rejection.code {
            code @ (Code::RequestTooLarge | Code::TooManyEvents | Code::Empty) => {
                Some(Problem::rejected(code, &rejection.message))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Writes the answer by hand: there is a result for each event, and nearly all are the same.
fn answer(receipt: &Receipt, token: &FreshnessToken, ack: AckLevel) -> Response {
    let (accepted, rejected, failed) = (receipt.accepted(), receipt.rejected().len(), receipt.failed().len());
    let mut text = String::with_capacity(256 + 24 * receipt.len());
    let durability = durability_name(receipt.durability());
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{{\"ack\":\"{}\",\"durability\":\"{durability}\",\"token\":\"{token}\",\"accepted\":{accepted},\
         \"rejected\":{rejected},\"failed\":{failed},\"results\":[",
        ack.as_str(),
    );
    for (index, result) in receipt.results().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match result {
            EventResult::Accepted(_) => text.push_str("{\"status\":\"accepted\"}"),
            EventResult::Rejected(rejection) => {
                push_refusal(&mut text, "rejected", rejection.code.as_str(), &rejection.message);
            }
            EventResult::Failed(_) => {
                push_refusal(&mut text, "failed", "unavailable", "the stream did not take it; send it again");
            }
        }
    }
    text.push_str("]}");
    let status = if failed > 0 && accepted == 0 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::ACCEPTED };
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], text).into_response()
}

fn push_refusal(text: &mut String, status: &str, code: &str, message: &str) {
    let message = serde_json::Value::from(message);
    let _ = write!(text, "{{\"status\":\"{status}\",\"code\":\"{code}\",\"message\":{message}}}");
}

pub(super) fn durability_name(durability: fineo::Durability) -> &'static str {
    match durability {
        fineo::Durability::Volatile => "volatile",
        fineo::Durability::ProcessCrash => "process_crash",
        fineo::Durability::PowerLoss => "power_loss",
        fineo::Durability::ZoneLoss => "zone_loss",
    }
}
