//! What those who ask are told of an error that is the operator's to mend: that there is one. The log has the rest.

use fineo::{Error, ErrorKind};

/// What says how to go on, and nothing of where the server keeps what.
const FOR_ALL: [&str; 3] = ["code", "hint", "position"];

/// Codes of our own answers that say to ask again: they tell of no store.
const PASSING: [&str; 2] = ["rows_changed", "snapshot_too_old"];

/// `error` as callers may see it. What they see less of is logged.
pub(crate) fn shown(error: &Error) -> Error {
    let context = error.context().iter().filter(|(name, _)| FOR_ALL.contains(name));
    let with_context = |shown: Error| context.fold(shown, |shown, (name, value)| shown.with(name, value));
    if error.code().is_some_and(|code| PASSING.contains(&code)) {
        return with_context(Error::new(error.kind(), error.message()));
    }
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
    with_context(Error::new(error.kind(), message))
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
        let passing = Error::unavailable("ask again").with("path", "/srv").with("code", "rows_changed");
        assert_eq!(shown(&passing).to_string(), "ask again: code=rows_changed");
        check(ErrorKind::Invalid, "no page 7: path=/srv/fineo/rows, code=c, hint=h");
    }
}
