//! A caller who showed a credential: whose it is, and what it may do.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use fineo::{Clock, Error, Fineo, Result, TenantId, Timestamp, query::Session};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::TokenId;

/// A kind of thing that a caller may do with its tenant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Ask in SQL, and look at errors and at the schema.
    Query,
    /// Look at the schema and change it.
    Schema,
    /// Everything the others allow, and replay.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Query, Self::Schema, Self::Admin];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Query => "query",
            Self::Schema => "schema",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| Error::invalid("not a scope: ingest, query, schema or admin").with("scope", text))
    }
}

/// The scopes of a credential. What is not in it is forbidden.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Whether `wanted` is allowed; [`Scope::Admin`] allows all.
    pub fn allow(&self, wanted: Scope) -> bool {
        self.0.contains(&wanted) || self.0.contains(&Scope::Admin)
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes as given.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// A caller who showed a credential. The tenant comes from nowhere else.
#[derive(Debug, Clone)]
pub struct Principal {
    pub(super) tenant: TenantId,
    pub(super) token: TokenId,
    pub(super) scopes: Scopes,
    pub(super) role: Option<Arc<str>>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) revoked: CancellationToken,
}

impl Principal {
    /// The operator at the socket of the data directory, who may do anything with `tenant`'s data.
    pub(crate) fn operator(tenant: TenantId) -> Self {
        let scopes = Scopes::from_iter([Scope::Admin]);
        let revoked = CancellationToken::new();
        Self { tenant, token: TokenId::operator(), scopes, role: None, expires_at: None, revoked }
    }

    /// The same in the role `role`.
    pub(crate) fn in_role(self, role: Option<Arc<str>>) -> Self {
        Self { role, ..self }
    }

    /// Its way to SQL: all that the tenant has, or what its role may read.
    pub(crate) fn session(&self, fineo: &Fineo) -> Session {
        let session = fineo.session(&self.tenant);
        match &self.role {
            Some(role) => session.in_role(role),
            None => session,
        }
    }

    /// Whose data it may see.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The public name of its token, for logs.
    pub fn token(&self) -> &TokenId {
        &self.token
    }

    /// What it may do.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The role in which it reads; none for one that may read everything.
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// When its credential ends, if ever.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether its credential still counts at `now`: a session asks before each statement.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        !self.revoked.is_cancelled() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Completes when the credential is revoked or has expired: what runs in its name then ends (P4).
    pub async fn ended(&self, clock: &dyn Clock) {
        let Some(expires_at) = self.expires_at else {
            return self.revoked.cancelled().await;
        };
        let left = expires_at.micros().saturating_sub(clock.now().micros()).max(0).unsigned_abs();
        tokio::select! {
            () = self.revoked.cancelled() => {}
            () = clock.sleep(std::time::Duration::from_micros(left)) => {}
        }
    }
}
