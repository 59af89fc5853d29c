//! The description of the API, made of the code that answers it.

use std::sync::LazyLock;

use axum::{http::header, response::IntoResponse};
use bytes::Bytes;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::AdditionalProperties,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use super::{batches, events, health, problem, query, replay, resource, roles, schema, step};

#[derive(OpenApi)]
#[openapi(
    info(title = "Fineo", description = "Events in, SQL out, and the schema between."),
    paths(
        health::health, health::ready, events::send, batches::send, batches::look, query::ask, query::errors,
        replay::replay, schema::tenant, schema::metrics, schema::metric, schema::fields, schema::export, schema::declare,
        schema::plan, schema::change, schema::history, schema::undo, roles::list, schema::discovered, schema::suggestions,
        schema::apply_suggestion,
    ),
    components(schemas(
        problem::ProblemDetails, events::EventsAnswer, events::EventAnswer, events::AckLevel, batches::BatchView,
        query::QueryRequest, replay::ReplayBody, replay::ReplayView, schema::ChangesRequest, step::Step, resource::TenantView,
        resource::MetricView, resource::FieldView, resource::AppliedView, resource::PlanView, resource::HistoryView,
        resource::DiscoveredView, resource::SuggestionView, roles::RoleView, roles::GrantView,
    )),
    modifiers(&Bearer, &Steps),
)]
struct Api;

/// Everything but the health takes a token.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        api.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    }
}

/// A step has no keys but its own; the macro says so of structures alone.
struct Steps;

impl Modify for Steps {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let schemas = &mut api.components.get_or_insert_default().schemas;
        let Some(RefOr::T(Schema::OneOf(steps))) = schemas.get_mut(&*step::Step::name()) else { return };
        for step in &mut steps.items {
            if let RefOr::T(Schema::Object(step)) = step {
                step.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

/// The OpenAPI document of the HTTP door.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi();
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    api
}

/// Serves the document: the same bytes to all, who need not say who they are.
pub(super) async fn served() -> impl IntoResponse {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi().to_json().unwrap_or_default().into());
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}
