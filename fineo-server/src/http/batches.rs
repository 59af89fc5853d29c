//! `POST /v1/batches`: a file of events at once, with a manifest that says what became of it.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fineo::{
    Clock, Error, ErrorKind, FreshnessToken, ImportFormat, ImportOptions, ImportReport, ImportSource, Routing,
    TenantId,
    core::{EventId, repo::Version},
    schema::name::check_metric,
};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::{
    Room, body,
    caller::{Caller, idempotency_key},
    events::durability_name,
    manifests::{self, Manifest, Place},
    media::Media,
    packing::ZSTD_WINDOW_LOG_MAX,
    problem::{Problem, ProblemDetails},
};
use crate::Scope;

/// How long the events that are on their way into the stream may take to get there once their batch has ended early.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// How often in a row a store takes nothing more of a batch until the sender hears that: for some five seconds.
const TRIES_MAX: u32 = 8;

/// How a batch is sent.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BatchQuery {
    /// The metric of the events that name none.
    metric: Option<String>,
    /// The URL of an object to read, in place of a body: it is in the tenant's own folder of one that the server allows.
    from: Option<String>,
}

/// What became of a batch.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BatchView {
    /// Its id.
    pub id: String,
    /// `accepted`, or `queryable` once every event of it can be asked for, as a row or as an error.
    pub state: String,
    /// When it came.
    pub created_at: String,
    /// What its events survive.
    pub durability: String,
    /// Where its events stand: a query with this `min_position` sees them.
    pub token: String,
    /// Its bytes once unpacked.
    pub bytes: u64,
    /// How many events are in the stream, those among them that a stage rejects.
    pub accepted: u64,
    /// How many were refused at once, by code. Others may show in `errors.stream`.
    pub rejected: BTreeMap<String, u64>,
    /// What the first refused ones had wrong.
    pub first_rejections: Vec<BatchRejection>,
}

/// What was taken in of a batch that ended early: of its first events.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BatchTaken {
    /// Where its events stand.
    pub token: String,
    /// How many events were accepted.
    pub accepted: u64,
    /// How many were refused, by code.
    pub rejected: BTreeMap<String, u64>,
}

impl BatchTaken {
    /// What `report` tells of; none where that is nothing.
    fn of(report: &ImportReport) -> Option<Self> {
        (report.accepted > 0 || !report.rejected.is_empty()).then(|| Self {
            token: FreshnessToken::from(report.token.clone()).to_string(),
            accepted: report.accepted,
            rejected: rejected(report),
        })
    }
}

fn rejected(report: &ImportReport) -> BTreeMap<String, u64> {
    report.rejected.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect()
}

/// A refused event of a batch.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BatchRejection {
    /// Which event of the batch, from 0.
    pub index: u64,
    /// What is wrong with it.
    pub message: String,
}

/// Takes in a file of events: JSON in any of the forms of `/v1/events`, or, as `text/csv`, CSV with a header row; sent, or read
/// `from` a folder.
#[utoipa::path(post, path = "/v1/batches", tag = "ingest", params(BatchQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "names the batch: sent again, it is not taken in again")),
    request_body(content((serde_json::Value = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))),
    responses(
    (status = 200, description = "the batch was taken in before", body = BatchView),
    (status = 202, description = "the batch is taken in", body = BatchView),
    (status = 503, description = "the stream took no more of it", body = ProblemDetails, content_type = "application/problem+json"),
    (status = 507, description = "the store has no room for more of it", body = ProblemDetails, content_type = "application/problem+json"),
    (status = 415, description = "neither JSON nor CSV, or an unknown Content-Encoding", body = ProblemDetails, content_type = "application/problem+json"),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn send(
    State(room): State<Room>,
    caller: Caller,
    query: Result<Query<BatchQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let tenant = caller.require(Scope::Ingest)?;
    let Query(query) = query.map_err(|error| Problem::bad_request("invalid", error.body_text()))?;
    let id = id_of(&room, tenant, &headers)?;
    if let Some(metric) = &query.metric {
        check_metric(metric)?;
    }
    let format = format(Media::of(&headers)?, query.from.as_deref());
    let sent = caller.unless_ended(&room, body::read(&room, &headers, body)).await?;
    let digest = || manifests::digest_of(query.metric.as_deref(), query.from.as_deref(), format, &sent);
    let what = idempotency_key(&headers)?.map(|_| digest());
    // Before the object is looked for, which may be gone since.
    if let Some(what) = &what
        && let Some(Place::Known(known)) = manifests::look(&room, tenant, &id, what).await?
    {
        return Ok(Json(known.view).into_response());
    }
    let source = match &query.from {
        None => ImportSource::Bytes(sent),
        Some(_) if !sent.is_empty() => {
            return Err(Problem::bad_request("invalid", "a batch has a body or a from, not both"));
        }
        Some(url) => caller.unless_ended(&room, room.shared().folders.find(tenant, url)).await?,
    };
    let place = match &what {
        None => Place::Behind(Version::NONE),
        Some(what) => manifests::take(&room, tenant, &id, what).await?,
    };
    let version = match place {
        Place::Known(known) => return Ok(Json(known.view).into_response()),
        Place::Behind(version) => version,
    };
    let options = ImportOptions::new(Routing::Tenant(tenant.clone())).with_format(format).with_metric(query.metric);
    let mut options = options.with_tries_max(TRIES_MAX).with_window_log_max(ZSTD_WINDOW_LOG_MAX);
    if let Some(key) = idempotency_key(&headers)? {
        // What has no manifest yet may be in the stream all the same: its events are told by the key and their place.
        options = options.with_origin(&named(tenant, key));
    }
    let report = import(&room, &caller, source, options).await?;
    let view = view(&room, &id, &report);
    if let Some(known) = manifests::save(&room, tenant, &id, version, view.clone(), what).await? {
        return Ok(Json(known.view).into_response());
    }
    let mut response = (StatusCode::ACCEPTED, Json(&view)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/batches/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What is told of the batch `id`.
fn view(room: &Room, id: &EventId, report: &ImportReport) -> BatchView {
    let first = report.first_rejections.iter();
    BatchView {
        id: id.to_string(),
        state: "accepted".to_owned(),
        created_at: room.shared().clock.now().to_string(),
        durability: durability_name(room.fineo().parts().raw.capabilities().durability).to_owned(),
        token: FreshnessToken::from(report.token.clone()).to_string(),
        bytes: report.bytes,
        accepted: report.accepted,
        rejected: rejected(report),
        first_rejections: first
            .map(|(index, message)| BatchRejection { index: *index, message: message.clone() })
            .collect(),
    }
}

/// How a batch is written: as its type says, or else the name of the object that it is read from.
fn format(media: Media, from: Option<&str>) -> ImportFormat {
    let is_named_csv = |url: &str| url.trim_end_matches(".gz").trim_end_matches(".zst").ends_with(".csv");
    match media {
        Media::Csv => ImportFormat::Csv,
        Media::Unsaid if from.is_some_and(is_named_csv) => ImportFormat::Csv,
        Media::Json | Media::Unsaid => ImportFormat::Json,
    }
}

/// Takes in `source`, unless it unpacks to more than it may or the credential ends; a problem tells what was taken in all
/// the same.
async fn import(
    room: &Room,
    caller: &Caller,
    source: ImportSource,
    options: ImportOptions,
) -> Result<ImportReport, Problem> {
    let max = room.shared().folders.unpacked_bytes_max();
    let clock: &dyn Clock = &*room.shared().clock;
    let is_too_long = CancellationToken::new();
    let mut so_far = ImportReport::default();
    let look = |report: &ImportReport| {
        if report.bytes > max {
            is_too_long.cancel();
        }
        so_far = report.clone();
    };
    // P4: what was begun with a credential ends with it.
    let stop = async {
        tokio::select! {
            () = caller.ended(clock) => {}
            () = is_too_long.cancelled() => {}
        }
    };
    let overdue = async {
        caller.ended(clock).await;
        clock.sleep(SETTLE_MAX).await;
    };
    let imported = tokio::select! {
        imported = room.fineo().pipeline().edge().import_until(source, options, look, stop) => imported,
        () = overdue => Err(Error::new(ErrorKind::Cancelled, "the credential has ended")),
    };
    let problem = match imported {
        _ if !caller.is_valid(clock) => Problem::unauthenticated(),
        Ok(report) if report.bytes <= max => return Ok(report),
        Ok(_) => {
            let detail = format!("the object has more than {max} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", detail)
        }
        Err(error) => Problem::from(error),
    };
    Err(problem.with_batch(BatchTaken::of(&so_far)))
}

/// Says what became of a batch.
#[utoipa::path(get, path = "/v1/batches/{id}", tag = "ingest", params(("id" = String, Path, description = "the batch's id")),
    responses(
    (status = 200, description = "the batch", body = BatchView),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn look(
    State(room): State<Room>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<BatchView>, Problem> {
    let tenant = caller.require_reader_or(Scope::Ingest)?;
    let no_such = || Problem::new(StatusCode::NOT_FOUND, "not_found", "no such batch");
    let id: EventId = id.parse().map_err(|_| no_such())?;
    let Manifest { mut view, .. } = manifests::manifest(&room, tenant, &id).await?.ok_or_else(no_such)?;
    let token: FreshnessToken = view.token.parse()?;
    if room.fineo().wait_until_fresh(&token, std::time::Duration::ZERO).await.is_ok() {
        view.state = "queryable".to_owned();
    }
    Ok(Json(view))
}

/// The id of a batch: chance, or what the client calls it.
fn id_of(room: &Room, tenant: &TenantId, headers: &HeaderMap) -> Result<EventId, Problem> {
    let Some(key) = idempotency_key(headers)? else {
        return Ok(EventId(room.shared().entropy.id()));
    };
    let hash = digest(&SHA256, named(tenant, key).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    Ok(EventId(bytes))
}

/// What a batch is that `tenant` calls `key`.
fn named(tenant: &TenantId, key: &str) -> String {
    format!("batch\n{tenant}\n{key}")
}
