//! Roles over HTTP: what each may read. They are changed as the schema is, by an administrator.

use axum::{extract::State, response::Response};
use fineo::{
    Error, Fineo, Result, TenantId,
    core::MetricId,
    schema::{Change, ChangeId, Grant},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Room,
    caller::Caller,
    problem::{Problem, ProblemDetails},
    schema::tagged,
};
use crate::Scope;

/// A role and what may be read in it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RoleView {
    /// Its name.
    pub role: String,
    /// Whether every metric may be read, those too that come later.
    pub is_for_all: bool,
    /// Whether `errors.stream` may be read, with events as they were sent.
    pub is_for_errors: bool,
    /// What may be read of metrics by name.
    pub grants: Vec<GrantView>,
}

/// What a role may read of one metric.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    /// The metric.
    pub metric: String,
    /// Whether every field may be read, undeclared ones and those too that come later.
    pub is_for_all: bool,
    /// Else these declared fields.
    pub fields: Vec<String>,
}

/// The roles and what each may read.
#[utoipa::path(get, path = "/v1/schema/roles", tag = "schema", responses(
    (status = 200, description = "the roles", body = Vec<RoleView>),
    (status = "4XX", description = "a problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(super) async fn list(State(room): State<Room>, caller: Caller) -> Result<Response, Problem> {
    let tenant = caller.require(Scope::Schema)?;
    let (version, views) = roles(room.fineo(), tenant).await?;
    Ok(tagged(version, views))
}

/// Every role by name, and the version of the schema. Grants of what is gone are left out.
///
/// # Errors
///
/// A failure of the repository.
pub async fn roles(fineo: &Fineo, tenant: &TenantId) -> Result<(u64, Vec<RoleView>)> {
    let schema = fineo.schema(tenant).snapshot().await?;
    let grant = |(id, grant): (MetricId, Grant)| {
        let metric = schema.metric(&id).filter(|metric| *metric.id() == id)?;
        let (is_for_all, fields) = match grant {
            Grant::Every => (true, Vec::new()),
            Grant::Fields(ids) => (false, ids.into_iter().filter_map(|id| metric.field(id)).collect()),
        };
        let fields: Vec<String> = fields.into_iter().map(|field| field.name().to_string()).collect();
        (is_for_all || !fields.is_empty()).then(|| GrantView { metric: metric.name().to_string(), is_for_all, fields })
    };
    let views = schema.roles().map(|role| RoleView {
        role: role.name().to_string(),
        is_for_all: role.is_for_all(),
        is_for_errors: role.is_for_errors(),
        grants: role.grants().filter_map(grant).collect(),
    });
    Ok((schema.version().0, views.collect()))
}

/// Refuses a role that the tenant does not have.
///
/// # Errors
///
/// `NotFound`, or a failure of the repository.
pub async fn check_role(fineo: &Fineo, tenant: &TenantId, role: Option<&str>) -> Result<()> {
    let Some(role) = role else { return Ok(()) };
    let schema = fineo.schema(tenant).snapshot().await?;
    if schema.role(role).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = schema.roles().map(|role| &**role.name()).take(20).collect();
    let error = Error::not_found("the tenant has no such role").with("role", role);
    let error = if known.is_empty() { error } else { error.with("known", known.join(" ")) };
    Err(error.with("hint", format!("fineo schema --tenant {tenant} role create {role}")))
}

/// Whether `change` is about what roles may read; an undo is about what it took back.
pub(super) async fn is_of_roles(fineo: &Fineo, tenant: &TenantId, change: &ChangeId) -> Result<bool> {
    let history = fineo.schema(tenant).history().await?;
    let mut sought = *change;
    // Each undo is of an earlier change.
    for entry in history.iter().rev() {
        if entry.id != sought {
            continue;
        }
        match entry.changes.as_slice() {
            [Change::Undo { change }] => sought = *change,
            changes => return Ok(changes.iter().any(Change::is_of_roles)),
        }
    }
    Ok(false)
}
