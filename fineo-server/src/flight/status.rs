//! What an error is to a Flight client.

use fineo::{Error, ErrorKind};
use tonic::Status;

/// The status that tells `error`: its kind as a code, its message with the stable code and the hint.
pub(super) fn status(error: &Error) -> Status {
    let text = error.to_string();
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
