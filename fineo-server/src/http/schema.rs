//! The schema over HTTP: what it is, what it was, what it could be, and how it is changed.
//!
//! `ETag` is the version and `If-Match` the compare-and-set; `Idempotency-Key` names a change, so that asking for it again
//! has no second effect.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use fineo::{
    ErrorKind, TenantId,
    core::repo::Version,
    schema::{Applied, Change, ChangeId, ChangeRequest, Declaration},
};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Entrance, Room, body,
    caller::Caller,
    problem::{Problem, ProblemDetails},
    resource::{
        self, AppliedView, DiscoveredView, FieldView, HistoryView, MetricView, PlanView, SuggestionView, TenantView,
    },
    roles,
    step::{self, Step},
};
use crate::Scope;

/// The most characters of an idempotency key.
const KEY_CHARS_MAX: usize = 255;
/// The header that names a change.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header by which the operator says who asks.
pub(crate) const AUTHOR_HEADER: &str = "fineo-author";

/// Changes to a schema.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangesRequest {
    /// The steps, made all or none: `{"op": "add_field", …}`.
    #[schema(value_type = Vec<Step>)]
    #[serde(deserialize_with = "step::read")]
    pub changes: Vec<Change>,
}

/// Which metric is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MetricQuery {
    /// Only this metric.
    metric: Option<String>,
}

/// The tenant in short.
#[utoipa::path(get, path = "/v1/tenant", tag = "schema", responses(
    (status = 200, description = "the tenant", body = TenantView),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn tenant(State(room): State<Room>, caller: Caller) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    let view = resource::tenant(room.fineo(), tenant).await?;
    Ok(tagged(view.version, view))
}

/// Every metric with its fields.
#[utoipa::path(get, path = "/v1/metrics", tag = "schema", responses(
    (status = 200, description = "the metrics, in order of creation", body = Vec<MetricView>),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn metrics(State(room): State<Room>, caller: Caller) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    let (version, views) = resource::metrics(room.fineo(), tenant).await?;
    Ok(tagged(version, views))
}

/// One metric, by any of its names.
#[utoipa::path(get, path = "/v1/metrics/{metric}", tag = "schema", params(("metric" = String, Path, description = "a name or an alias")),
    responses(
    (status = 200, description = "the metric", body = MetricView),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn metric(
    State(room): State<Room>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    let (version, view) = resource::metric(room.fineo(), tenant, &name).await?;
    Ok(tagged(version, view))
}

/// The fields of one metric.
#[utoipa::path(get, path = "/v1/metrics/{metric}/fields", tag = "schema", params(("metric" = String, Path, description = "a name or an alias")),
    responses(
    (status = 200, description = "declared fields, then undeclared ones", body = Vec<FieldView>),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn fields(
    State(room): State<Room>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    let (version, view) = resource::metric(room.fineo(), tenant, &name).await?;
    Ok(tagged(version, view.fields))
}

/// The schema as a declaration.
#[utoipa::path(get, path = "/v1/schema", tag = "schema", responses(
    (status = 200, description = "the declaration; it can be put back", body = Object),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn export(State(room): State<Room>, caller: Caller) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    let schema = room.fineo().schema(tenant).snapshot().await?;
    Ok(tagged(schema.version().0, Declaration::export(&schema)))
}

/// Makes a declaration true; what it does not mention stays.
#[utoipa::path(put, path = "/v1/schema", tag = "schema", request_body(content = Object, description = "a declaration"),
    params(("If-Match" = Option<String>, Header, description = "the version that it was thought out on"),
        ("Idempotency-Key" = Option<String>, Header, description = "names the change")),
    responses(
    (status = 200, description = "what was changed", body = AppliedView),
    (status = 412, description = "the schema is at another version", body = ProblemDetails, content_type = "application/problem+json"),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn declare(
    State(room): State<Room>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let tenant = caller.require(Scope::Schema)?;
    let bytes = caller.unless_ended(&room, body::read(&room, &headers, body)).await?;
    let declaration = text(&bytes)?;
    let handle = room.fineo().schema(tenant);
    let plan = handle.plan(&declaration).await?;
    let has_nothing_to_do = plan.is_empty();
    let mut request = request(&room, &caller, tenant, &headers, plan.changes)?;
    request.base = Some(request.base.unwrap_or(plan.base));
    let applied = resource::apply(room.fineo(), tenant, request).await?;
    // What is true already needs no other change, whoever made it so. Else it is the same declaration where it asked for the
    // same on the version that was changed then.
    if applied.is_repeated && !has_nothing_to_do {
        let base = Version(applied.version.0.saturating_sub(1));
        let then = match handle.plan_at(base, &declaration).await {
            Err(error) if error.is_retryable() || error.kind() == ErrorKind::Corrupt => return Err(error.into()),
            then => then.map(|plan| plan.changes).unwrap_or_default(),
        };
        check_repeated(&applied, &then)?;
    }
    Ok(told(&room, tenant, applied).await)
}

/// Says what a declaration would change, and changes nothing.
#[utoipa::path(post, path = "/v1/schema/plan", tag = "schema", request_body(content = Object, description = "a declaration"),
    responses(
    (status = 200, description = "what would be changed", body = PlanView),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn plan(
    State(room): State<Room>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    let bytes = caller.unless_ended(&room, body::read(&room, &headers, body)).await?;
    let plan = room.fineo().schema(tenant).plan(&text(&bytes)?).await?;
    Ok(tagged(plan.base.0, PlanView::from(plan)))
}

/// Makes changes, all or none.
#[utoipa::path(post, path = "/v1/schema/changes", tag = "schema", request_body = ChangesRequest,
    params(("If-Match" = Option<String>, Header, description = "the version that they were thought out on"),
        ("Idempotency-Key" = Option<String>, Header, description = "names the change")),
    responses(
    (status = 200, description = "what was changed", body = AppliedView),
    (status = 412, description = "the schema is at another version", body = ProblemDetails, content_type = "application/problem+json"),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(room): State<Room>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let tenant = caller.require(Scope::Schema)?;
    let changes: ChangesRequest = caller.unless_ended(&room, body::read_json(&room, &headers, body)).await?;
    let is_ours = |change: &Change| matches!(change, Change::DiscoverMetrics { .. });
    if changes.changes.iter().any(is_ours) {
        return Err(Problem::bad_request(
            "invalid",
            "metrics are discovered by events alone; create_metric declares one",
        ));
    }
    if changes.changes.iter().any(Change::is_of_roles) {
        caller.require(Scope::Admin)?;
    }
    let request = request(&room, &caller, tenant, &headers, changes.changes)?;
    let asked = request.changes.clone();
    let applied = resource::apply(room.fineo(), tenant, request).await?;
    check_repeated(&applied, &asked)?;
    Ok(told(&room, tenant, applied).await)
}

/// Every change, oldest first.
#[utoipa::path(get, path = "/v1/schema/history", tag = "schema", responses(
    (status = 200, description = "the changes", body = Vec<HistoryView>),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn history(State(room): State<Room>, caller: Caller) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    Ok(Json(resource::history(room.fineo(), tenant).await?).into_response())
}

/// Makes the inverse of a change.
#[utoipa::path(post, path = "/v1/schema/history/{change}/undo", tag = "schema",
    params(("change" = String, Path, description = "the change's id")),
    responses(
    (status = 200, description = "what was changed", body = AppliedView),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn undo(
    State(room): State<Room>,
    caller: Caller,
    Path(change): Path<String>,
) -> Result<Response, Problem> {
    let tenant = caller.require(Scope::Schema)?;
    let change: ChangeId = change.parse()?;
    if roles::is_of_roles(room.fineo(), tenant, &change).await? {
        caller.require(Scope::Admin)?;
    }
    let applied = room.fineo().schema(tenant).undo(&change).await?;
    Ok(told(&room, tenant, applied).await)
}

/// The undeclared names that events bore.
#[utoipa::path(get, path = "/v1/schema/discovered", tag = "schema", params(MetricQuery), responses(
    (status = 200, description = "the names with their counts, types and samples", body = Vec<DiscoveredView>),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn discovered(
    State(room): State<Room>,
    caller: Caller,
    query: Result<Query<MetricQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    let Query(query) = query.map_err(|error| Problem::bad_request("invalid", error.body_text()))?;
    Ok(Json(resource::discovered(room.fineo(), tenant, query.metric.as_deref()).await?).into_response())
}

/// What could be declared, aliased or merged, with the evidence.
#[utoipa::path(get, path = "/v1/schema/suggestions", tag = "schema", responses(
    (status = 200, description = "the suggestions", body = Vec<SuggestionView>),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn suggestions(State(room): State<Room>, caller: Caller) -> Result<Response, Problem> {
    let tenant = caller.require_reader_or(Scope::Schema)?;
    Ok(Json(resource::suggestions(room.fineo(), tenant).await?).into_response())
}

/// Applies a suggestion.
#[utoipa::path(post, path = "/v1/schema/suggestions/{suggestion}/apply", tag = "schema",
    params(("suggestion" = String, Path, description = "the suggestion's id")),
    responses(
    (status = 200, description = "what was changed", body = AppliedView),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn apply_suggestion(
    State(room): State<Room>,
    caller: Caller,
    Path(suggestion): Path<String>,
) -> Result<Response, Problem> {
    let tenant = caller.require(Scope::Schema)?;
    let applied = room.fineo().schema(tenant).apply_suggestion(&suggestion).await?;
    Ok(told(&room, tenant, applied).await)
}

/// Refuses what was not made because `applied`, another change, was made under its key.
fn check_repeated(applied: &Applied, asked: &[Change]) -> Result<(), Problem> {
    let made = &applied.changes;
    if made.len() == asked.len() && made.iter().zip(asked).all(|(made, asked)| made.asks_for_the_same(asked)) {
        return Ok(());
    }
    Err(Problem::key_reused("another change was made under this Idempotency-Key"))
}

async fn told(room: &Room, tenant: &TenantId, applied: Applied) -> Response {
    let applied = resource::applied(room.fineo(), tenant, applied).await;
    tagged(applied.version, applied)
}

fn request(
    room: &Room,
    caller: &Caller,
    tenant: &TenantId,
    headers: &HeaderMap,
    changes: Vec<Change>,
) -> Result<ChangeRequest, Problem> {
    let text_of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("\u{0}"));
    let id = match text_of(IDEMPOTENCY_KEY) {
        None => ChangeId::random(&*room.shared().entropy),
        Some(key) if (1..=KEY_CHARS_MAX).contains(&key.len()) && !key.contains(char::is_control) => named(tenant, key),
        Some(_) => return Err(Problem::bad_request("invalid", "an idempotency key has 1-255 visible characters")),
    };
    let author = text_of(AUTHOR_HEADER).filter(|_| room.entrance() == Entrance::Socket);
    let author = author.map_or_else(|| caller.author(), str::to_owned);
    let request = ChangeRequest::new(id, changes).with_author(author);
    Ok(match text_of(header::IF_MATCH.as_str()) {
        None | Some("*") => request,
        Some(tag) => request.with_base(version_of(tag)?),
    })
}

/// The change that a client calls `key`.
fn named(tenant: &TenantId, key: &str) -> ChangeId {
    let hash = digest(&SHA256, format!("idempotency\n{tenant}\n{key}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    ChangeId::of_bytes(bytes)
}

fn version_of(tag: &str) -> Result<Version, Problem> {
    let number =
        tag.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|text| text.parse().ok());
    number
        .map(Version)
        .ok_or_else(|| Problem::bad_request("invalid", "If-Match is an ETag that this server gave, or *"))
}

fn text(bytes: &[u8]) -> Result<String, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::bad_request("bad_utf8", "the body is not UTF-8"))?;
    Ok(text.to_owned())
}

/// `value` under the version of the schema that it was made of.
pub(super) fn tagged(version: u64, value: impl Serialize) -> Response {
    let mut response = Json(value).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
