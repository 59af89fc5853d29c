//! `POST /v1/events`: events in, one result for each of them out.
//!
//! They are stored as they come. So what goes wrong late in a body finds events of it stored, and the answer says which.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fineo::{ImportOptions, Routing, TenantId, core::Rejection, ingest::Intake};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Room,
    caller::{Caller, idempotency_key},
    media::Media,
    problem::{Problem, ProblemDetails},
    slices::Slices,
    taken::{Failing, Taken},
};
use crate::Scope;

/// What an answer may wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AckLevel {
    /// The events are in the stream, as durable as the answer says.
    #[default]
    Accepted,
    /// The stages have passed them on: a query that begins now sees each, as a row or, where a stage rejected it, in
    /// `errors.stream`.
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
    /// `accepted` into the stream, `rejected` at once and not kept, or `failed`. A failed event may be sent again.
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
    /// How many are in the stream, those among them that a stage rejects: `errors.stream` has them.
    pub accepted: u64,
    /// How many were refused at once and are not kept.
    pub rejected: u64,
    /// How many the stream did not take.
    pub failed: u64,
    /// One result per event, in order of the request.
    pub results: Vec<EventAnswer>,
}

/// Takes in events: an object, an array of objects, or objects one after another; plain, gzip or zstd.
#[utoipa::path(
    post, path = "/v1/events", tag = "ingest", params(EventsQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "names the body: sent again, its events are the same events")),
    request_body(content((serde_json::Value = "application/json"), (String = "application/x-ndjson")),
        description = "an object, an array of objects, or objects one after another"),
    responses(
        (status = 202, description = "one result per event, in order", body = EventsAnswer),
        (status = 400, description = "no event was found, or the body broke off", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 401, description = "no valid token, or none any more", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 403, description = "the token lacks the scope ingest", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 408, description = "the body came too slowly", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "too many bytes or events", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 415, description = "a Content-Type that is no JSON, or an unknown Content-Encoding", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "too many refused events", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "too many requests", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "the stream took none of them, or the rest was not read; send them again", content(
            (EventsAnswer = "application/json"), (ProblemDetails = "application/problem+json"))),
        (status = 507, description = "the store had no room for any of them, or the rest was not read; send them again", content(
            (EventsAnswer = "application/json"), (ProblemDetails = "application/problem+json"))),
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
    Media::of(&headers)?.not_csv()?;
    let limits = room.limits();
    let mut slices = Slices::new(&room, &headers, body, limits.events_bytes_max)?;
    let options = options(tenant, query.metric, &headers)?;
    let mut intake = room.fineo().pipeline().edge().intake(tenant, options, limits.events_max)?;
    let mut taken = Taken::new(room.fineo().parts().raw.capabilities().durability);
    let ended = caller.ended(&*room.shared().clock);
    let outcome = take_in(&mut slices, &mut intake, &mut taken, ended).await;
    taken.count();
    if let Err(problem) = outcome {
        slices.linger().await;
        return Err(if taken.is_empty() { problem } else { problem.with_taken(taken) });
    }
    if query.ack == AckLevel::Queryable
        && caller
            .unless_ended(&room, room.fineo().wait_until_fresh(&taken.token(), limits.freshness_wait))
            .await
            .is_ok()
    {
        // Otherwise they are accepted all the same, and the answer says no more than that.
        taken.waited_for(AckLevel::Queryable);
    }
    let status = taken.failed().map_or(StatusCode::ACCEPTED, Failing::status);
    let json = HeaderValue::from_static("application/json");
    Ok((status, [(header::CONTENT_TYPE, json)], Arc::new(taken).write("", "")).into_response())
}

/// What the events of a request are taken in with. With a key they are told by it and their place in the body, where not
/// by what they say.
fn options(tenant: &TenantId, metric: Option<String>, headers: &HeaderMap) -> Result<ImportOptions, Problem> {
    let options = ImportOptions::new(Routing::Tenant(tenant.clone())).with_metric(metric);
    Ok(match idempotency_key(headers)? {
        Some(key) => options.with_origin(&format!("events\n{tenant}\n{key}")),
        None => options,
    })
}

/// Takes in a body to its end, or until the credential has `ended`, slice by slice. `taken` tells of what is durable,
/// however it ends.
async fn take_in(
    slices: &mut Slices,
    intake: &mut Intake,
    taken: &mut Taken,
    ended: impl Future<Output = ()>,
) -> Result<(), Problem> {
    let mut ended = std::pin::pin!(ended);
    loop {
        let is_end = tokio::select! {
            biased;
            // P4: what was begun with a credential ends with it.
            () = &mut ended => return Err(Problem::unauthenticated()),
            is_end = slices.next(|bytes| intake.add(bytes)) => is_end?,
        };
        let rejected = |rejection: Rejection| Problem::rejected(rejection.code, &rejection.message);
        while let Some(receipt) = intake.store(is_end).await?.map_err(rejected)? {
            taken.add(&receipt)?;
        }
        if is_end {
            return Ok(());
        }
        if let Some(failing) = taken.failing() {
            return Err(failing.problem());
        }
    }
}

pub(super) fn durability_name(durability: fineo::Durability) -> &'static str {
    match durability {
        fineo::Durability::Volatile => "volatile",
        fineo::Durability::ProcessCrash => "process_crash",
        fineo::Durability::PowerLoss => "power_loss",
        fineo::Durability::ZoneLoss => "zone_loss",
    }
}
