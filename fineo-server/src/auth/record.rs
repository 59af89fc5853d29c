//! A token as it is kept: enough to recognise it, not enough to use it.

use std::{fmt, sync::Arc};

use fineo::{Error, Result, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use super::{Principal, Scopes, ScramChallenge, Token, TokenId, TokenInfo, TokenRequest, hex, scram::Verifier};

/// A token as it is kept.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) id: TokenId,
    pub(super) tenant: TenantId,
    pub(super) scopes: Scopes,
    pub(super) role: Option<Arc<str>>,
    pub(super) note: String,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) revoked_at: Option<Timestamp>,
    hash: [u8; 32],
    pub(super) verifier: Arc<Verifier>,
    /// Cancelled when it is revoked, for all who hold it in this process.
    pub(super) revoked: CancellationToken,
}

/// The form in the repository.
#[derive(Serialize, Deserialize)]
struct Stored {
    tenant: String,
    scopes: Scopes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    hash: String,
    stored_key: String,
    server_key: String,
}

impl Record {
    /// The record of a new token.
    pub(super) fn new(token: &Token, request: TokenRequest, challenge: &ScramChallenge, now: Timestamp) -> Self {
        Self {
            id: token.id().clone(),
            tenant: request.tenant,
            scopes: request.scopes,
            role: request.role,
            note: request.note,
            created_at: now,
            expires_at: request.expires_at,
            revoked_at: None,
            hash: token.hash(),
            verifier: Arc::new(Verifier::derive(token.reveal(), challenge)),
            revoked: CancellationToken::new(),
        }
    }

    /// Whether `token` is the one that this is the record of.
    pub(super) fn recognises(&self, token: &Token) -> bool {
        self.hash.ct_eq(&token.hash()).into()
    }

    /// Whether it counts at `now`.
    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// The caller who showed it.
    pub(super) fn principal(&self) -> Principal {
        Principal {
            tenant: self.tenant.clone(),
            token: self.id.clone(),
            scopes: self.scopes.clone(),
            role: self.role.clone(),
            expires_at: self.expires_at,
            revoked: self.revoked.clone(),
        }
    }

    /// What may be shown of it.
    pub(super) fn info(&self) -> TokenInfo {
        TokenInfo {
            id: self.id.clone(),
            tenant: self.tenant.to_string(),
            scopes: self.scopes.clone(),
            role: self.role.as_deref().map(str::to_owned),
            note: self.note.clone(),
            created_at: self.created_at.to_string(),
            expires_at: self.expires_at.map(|at| at.to_string()),
            revoked_at: self.revoked_at.map(|at| at.to_string()),
        }
    }

    /// Its bytes for the repository.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let stored = Stored {
            tenant: self.tenant.to_string(),
            scopes: self.scopes.clone(),
            role: self.role.clone(),
            note: self.note.clone(),
            created_at: self.created_at.micros(),
            expires_at: self.expires_at.map(Timestamp::micros),
            revoked_at: self.revoked_at.map(Timestamp::micros),
            hash: hex::encode(&self.hash),
            stored_key: hex::encode(&self.verifier.stored_key),
            server_key: hex::encode(&self.verifier.server_key),
        };
        serde_json::to_vec(&stored).map_err(|source| Error::internal("a token cannot be written").with_source(source))
    }

    /// Reads what [`Record::to_bytes`] wrote.
    pub(super) fn from_bytes(id: TokenId, bytes: &[u8]) -> Result<Self> {
        let corrupt = || Error::corrupt("the record of a token cannot be read").with("token", &id);
        // The source would quote what is kept: it is left out.
        let stored: Stored = serde_json::from_slice(bytes).map_err(|_| corrupt())?;
        let key = |text: &str| hex::decode::<32>(text).ok_or_else(corrupt);
        let instant = |micros: i64| Timestamp::from_micros(micros).map_err(|_| corrupt());
        let verifier = Verifier { stored_key: key(&stored.stored_key)?, server_key: key(&stored.server_key)? };
        let record = Self {
            tenant: TenantId::new(&stored.tenant).map_err(|_| corrupt())?,
            scopes: stored.scopes,
            role: stored.role,
            note: stored.note,
            created_at: instant(stored.created_at)?,
            expires_at: stored.expires_at.map(instant).transpose()?,
            revoked_at: stored.revoked_at.map(instant).transpose()?,
            hash: key(&stored.hash)?,
            verifier: Arc::new(verifier),
            revoked: CancellationToken::new(),
            id,
        };
        if record.revoked_at.is_some() {
            record.revoked.cancel();
        }
        Ok(record)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}, {})", self.id, self.tenant)
    }
}
