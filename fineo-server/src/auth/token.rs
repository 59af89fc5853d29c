//! A token: the one secret that a caller shows.

use std::{fmt, sync::Arc};

use fineo::Entropy;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::hex;

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "fineo_";

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
