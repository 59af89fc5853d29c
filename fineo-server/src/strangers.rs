//! What those who ask are told of an error that is the operator's to mend: that there is one. The log has the rest.

use fineo::{Error, ErrorKind};

/// What says how to go on, and nothing of where the server keeps what.
const FOR_ALL: [&str; 3] = ["code", "hint", "position"];

/// `error` as callers may see it. What they see less of is logged.
pub(crate) fn shown(error: &Error) -> Error {
    let message = match error.kind() {
        ErrorKind::Invalid
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Unsupported
        | ErrorKind::LimitExceeded => return error.clone(),
        ErrorKind::Unavailable => "a store does not answer now",
        ErrorKind::Throttled => "a store asks for patience",
        ErrorKind::StorageFull => "there is no room for more",
        ErrorKind::Cancelled => "the work was cancelled",
        ErrorKind::Cold => "what is asked for has to be restored from a cold class",
        ErrorKind::Corrupt => "stored bytes are damaged",
        _ => "a defect of the server",
    };
    tracing::error!(error = ?error, "a request failed");
    let context = error.context().iter().filter(|(name, _)| FOR_ALL.contains(name));
    context.fold(Error::new(error.kind(), message), |shown, (name, value)| shown.with(name, value))
}

#[cfg(test)]
mod tests {
    use fineo::{Error, ErrorKind};

    use super::shown;

    fn check(kind: ErrorKind, expected: &str) {
        let error = Error::new(kind, "no page 7").with("path", "/srv/fineo/rows").with("code", "c").with("hint", "h");
        assert_eq!(shown(&error).to_string(), expected);
        assert_eq!(shown(&error).kind(), kind);
    }

    #[test]
    fn what_is_the_operators_to_mend_is_shown_to_nobody_else() {
        check(ErrorKind::Corrupt, "stored bytes are damaged: code=c, hint=h");
        check(ErrorKind::Unavailable, "a store does not answer now: code=c, hint=h");
        check(ErrorKind::Internal, "a defect of the server: code=c, hint=h");
        check(ErrorKind::Invalid, "no page 7: path=/srv/fineo/rows, code=c, hint=h");
    }
}
