//! A credential as a call shows it.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use tonic::{Status, metadata::MetadataMap};

/// Reads base64 with and without padding: drivers in Go send a password without.
const PADDED_OR_NOT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

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
    let text = PADDED_OR_NOT.decode(basic.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(missing)?;
    let (user, token) = text.split_once(':').ok_or_else(missing)?;
    Ok(Shown::Password { user: user.to_owned(), token: token.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<(&str, &str)>) {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", header.parse().unwrap());
        let found = match shown(&metadata) {
            Ok(Shown::Password { user, token }) => Some((user, token)),
            Ok(Shown::Token(token)) => panic!("{header} is the token {token}"),
            Err(_) => None,
        };
        let expected = expected.map(|(user, token)| (user.to_owned(), token.to_owned()));
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn a_user_and_a_password_are_read_with_padding_and_without() {
        check("Basic YTp0b2tlbg==", Some(("a", "token")));
        check("Basic YTp0b2tlbg", Some(("a", "token")));
        check("Basic YWM6dG9rZW4=", Some(("ac", "token")));
        check("basic YWM6dG9rZW4", Some(("ac", "token")));
        check("Basic YWNtOnRva2Vu", Some(("acm", "token")));
    }

    #[test]
    fn what_is_no_base64_of_a_user_and_a_password_is_no_credential() {
        check("Basic YWNtOnRva2V", None);
        check("Basic YTp0b2tlbg=?", None);
        check("Basic YWNt", None);
    }
}
