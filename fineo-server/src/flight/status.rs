//! What an error is to a Flight client.

use fineo::{Error, ErrorKind};
use tonic::Status;

use crate::strangers::shown;

/// The status that tells `error`: its kind as a code, its message with the stable code and the hint.
pub(super) fn status(error: &Error) -> Status {
    let text = shown(error).to_string();
    let is_forbidden =
        |(name, code): &(&str, String)| *name == "code" && (code == "permission_revoked" || code == "role_missing");
    if error.context().iter().any(is_forbidden) {
        return Status::permission_denied(text);
    }
    match error.kind() {
        ErrorKind::Invalid => Status::invalid_argument(text),
        ErrorKind::NotFound => Status::not_found(text),
        ErrorKind::AlreadyExists => Status::already_exists(text),
        ErrorKind::Unsupported => Status::unimplemented(text),
        ErrorKind::Unavailable => Status::unavailable(text),
        ErrorKind::Throttled | ErrorKind::StorageFull | ErrorKind::LimitExceeded => Status::resource_exhausted(text),
        ErrorKind::Corrupt => Status::data_loss(text),
        ErrorKind::Cold => Status::failed_precondition(text),
        ErrorKind::Cancelled => Status::cancelled(text),
        _ => Status::internal(text),
    }
}

#[cfg(test)]
mod tests {
    use fineo::Error;
    use tonic::Code;

    use super::status;

    #[test]
    fn where_the_server_keeps_what_is_told_to_no_client() {
        let told = status(&Error::corrupt("no page 7").with("path", "/srv/fineo/rows").with("hint", "restore it"));
        assert_eq!((told.code(), told.message()), (Code::DataLoss, "stored bytes are damaged: hint=restore it"));
        let told = status(&Error::invalid("no such column").with("column", "temp"));
        assert_eq!((told.code(), told.message()), (Code::InvalidArgument, "no such column: column=temp"));
    }
}
