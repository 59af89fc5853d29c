//! A credential as a call shows it.

use base64::{Engine, engine::general_purpose::STANDARD};
use tonic::{Status, metadata::MetadataMap};

/// A credential as a call shows it.
pub(super) enum Shown {
    Token(String),
    Password { user: String, token: String },
}

pub(super) fn shown(metadata: &MetadataMap) -> Result<Shown, Status> {
    let missing = || Status::unauthenticated("show a token: authorization: Bearer …");
    let header = metadata.get("authorization").and_then(|header| header.to_str().ok()).ok_or_else(missing)?;
    if let Some(token) = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer ")) {
        return Ok(Shown::Token(token.trim().to_owned()));
    }
    let basic = header.strip_prefix("Basic ").or_else(|| header.strip_prefix("basic ")).ok_or_else(missing)?;
    let text = STANDARD.decode(basic.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(missing)?;
    let (user, token) = text.split_once(':').ok_or_else(missing)?;
    Ok(Shown::Password { user: user.to_owned(), token: token.to_owned() })
}
