//! A token: the one secret that a caller shows.

use std::{fmt, sync::Arc};

use fineo::{Entropy, Error, Result, TenantId, Timestamp};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{Scope, Scopes, hex};

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "fineo_";
/// The most characters of a note.
const NOTE_CHARS_MAX: usize = 200;

/// The public name of a token: sixteen hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(Arc<str>);

impl TokenId {
    /// Checks `text`.
    pub fn new(text: &str) -> Option<Self> {
        hex::decode::<8>(text).map(|_| Self(text.into()))
    }

    /// Stands for the operator, who needs no token.
    pub(super) fn operator() -> Self {
        Self("operator".into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token: `fineo_`, its id, `_` and 256 bits of chance. `Debug` shows the id alone.
#[derive(Clone)]
pub struct Token {
    id: TokenId,
    text: String,
}

impl Token {
    /// A new token.
    pub(super) fn random(entropy: &dyn Entropy) -> Self {
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        entropy.fill(&mut id);
        entropy.fill(&mut secret);
        let id = hex::encode(&id);
        let text = format!("{PREFIX}{id}_{}", hex::encode(&secret));
        Self { id: TokenId(id.into()), text }
    }

    /// The token that a caller showed; none when it cannot be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        hex::decode::<32>(secret)?;
        Some(Self { id: TokenId::new(id)?, text: text.to_owned() })
    }

    /// Its public name.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The secret itself: for the one who asked for it, and for nobody else.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is kept of it to recognise it.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, self.text.as_bytes()).as_ref());
        bytes
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

/// What a new token is to be good for.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Whose data it opens.
    pub tenant: TenantId,
    /// What it allows; not empty.
    pub scopes: Scopes,
    /// The role in which it reads; none may read everything. With one, only `query` and `ingest` can be allowed.
    pub role: Option<Arc<str>>,
    /// When it ends, if ever.
    pub expires_at: Option<Timestamp>,
    /// What it is for, in the words of who asked for it.
    pub note: String,
}

impl TokenRequest {
    pub(super) fn check(&self, now: Timestamp) -> Result<()> {
        if self.scopes.is_empty() {
            return Err(Error::invalid("a token without a scope is good for nothing"));
        }
        if self.role.is_some() && (self.scopes.allow(Scope::Schema) || !self.scopes.allow(Scope::Query)) {
            return Err(Error::invalid(
                "a token with a role has the scope query, and may have ingest: schema and admin see what no role restricts",
            ));
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Error::invalid("the token would have expired already"));
        }
        if self.note.chars().count() > NOTE_CHARS_MAX || self.note.chars().any(char::is_control) {
            return Err(Error::invalid("a note has at most 200 characters, none of them control characters"));
        }
        Ok(())
    }
}

/// What may be shown of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its public name.
    pub id: TokenId,
    /// Whose data it opens.
    pub tenant: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The role in which it reads; none for one that may read everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it is for.
    pub note: String,
    /// When it was made.
    pub created_at: String,
    /// When it ends, if ever.
    pub expires_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
}
