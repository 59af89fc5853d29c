//! Who sent a request.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use fineo::{Clock, Fineo, TenantId, query::Session};

use super::{Entrance, Peer, Room, problem::Problem};
use crate::{ConnectionSlot, Principal, Scope};

/// The header by which the operator says whose data it means. From anybody else it has to agree with the token.
pub(crate) const TENANT_HEADER: &str = "fineo-tenant";

/// The header by which the operator says in which role it asks. A token has its own.
pub(crate) const ROLE_HEADER: &str = "fineo-role";

/// Who sent a request, counted as one of its tenant's as long as this lives.
#[derive(Debug)]
pub(super) struct Caller {
    principal: Principal,
    slot: Option<ConnectionSlot>,
}

impl Caller {
    /// Refuses who may not do what takes `scope`.
    pub(super) fn require(&self, scope: Scope) -> Result<&TenantId, Problem> {
        match self.principal.scopes().allow(scope) {
            true => Ok(self.principal.tenant()),
            false => Err(Problem::without_scope(scope)),
        }
    }

    /// Refuses who may neither read everything nor do what takes `other`.
    pub(super) fn require_reader_or(&self, other: Scope) -> Result<&TenantId, Problem> {
        match self.principal.role() {
            None => self.require(Scope::Query).or_else(|_| self.require(other)),
            // What a role may read is known to SQL alone.
            Some(_) => self.require(other).map_err(|problem| {
                problem.with_hint("a token with a role reads in SQL alone: POST /v1/query, Postgres or Flight SQL")
            }),
        }
    }

    /// Completes when its credential has ended.
    pub(super) async fn ended(&self, clock: &dyn Clock) {
        self.principal.ended(clock).await;
    }

    /// Whether its credential still counts.
    pub(super) fn is_valid(&self, clock: &dyn Clock) -> bool {
        self.principal.is_valid(clock.now())
    }

    /// Does `work` unless its credential has ended: what was begun with a credential ends with it (P4, S19).
    pub(super) async fn unless_ended<T, E>(
        &self,
        room: &Room,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Problem>
    where
        Problem: From<E>,
    {
        tokio::select! {
            biased;
            () = self.ended(&*room.shared().clock) => Err(Problem::unauthenticated()),
            done = work => Ok(done?),
        }
    }

    /// Its way to SQL.
    pub(super) fn session(&self, fineo: &Fineo) -> Session {
        self.principal.session(fineo)
    }

    /// The name by which changes are attributed.
    pub(super) fn author(&self) -> String {
        match self.slot {
            Some(_) => format!("token {}", self.principal.token()),
            None => "operator".to_owned(),
        }
    }

    /// Who it is, and its place among the tenant's requests.
    pub(super) fn into_parts(self) -> (Principal, Option<ConnectionSlot>) {
        (self.principal, self.slot)
    }
}

impl FromRequestParts<Room> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, room: &Room) -> Result<Self, Problem> {
        let claimed = claimed_tenant(&parts.headers)?;
        if room.entrance() == Entrance::Socket {
            let Some(tenant) = claimed else {
                return Err(Problem::bad_request("tenant_missing", "the header fineo-tenant says whose data is meant"));
            };
            let role = parts.headers.get(ROLE_HEADER).map(|role| role.to_str().unwrap_or_default().into());
            return Ok(Self { principal: Principal::operator(tenant).in_role(role), slot: None });
        }
        let Some(Peer(address)) = parts.extensions.get::<Peer>().copied() else {
            return Err(Problem::unauthenticated());
        };
        let Some(token) = bearer(&parts.headers) else {
            return Err(Problem::unauthenticated());
        };
        let principal = room.shared().credentials.verify_token(token, address).await?;
        if claimed.is_some_and(|tenant| tenant != *principal.tenant()) {
            return Err(Problem::new(
                axum::http::StatusCode::FORBIDDEN,
                "forbidden",
                "the token is not for that tenant",
            ));
        }
        let slot = room.shared().connections.admit_tenant(principal.tenant()).ok_or_else(Problem::too_many_requests)?;
        Ok(Self { principal, slot: Some(slot) })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    // Two of them would leave open which one counts.
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What the client calls the request, so that one that is sent again is known.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    key.map(Some).ok_or_else(|| Problem::bad_request("invalid", "an idempotency key has 1-255 visible characters"))
}

fn claimed_tenant(headers: &HeaderMap) -> Result<Option<TenantId>, Problem> {
    let Some(value) = headers.get(TENANT_HEADER) else { return Ok(None) };
    let tenant = value.to_str().ok().and_then(|text| TenantId::new(text).ok());
    tenant.map(Some).ok_or_else(|| Problem::bad_request("invalid", "the header fineo-tenant holds no tenant id"))
}
