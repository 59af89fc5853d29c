//! What a client is told when something went wrong: a SQLSTATE, a message, a hint, and where it is known a position.

use fineo::{Error, ErrorKind, core::on_one_line};
use pgwire::{error::ErrorInfo, messages::response::ErrorResponse};

use super::hints::hint;
use crate::strangers::shown;

/// An error as the protocol tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Whether the connection ends with it.
    pub(super) is_fatal: bool,
    /// The SQLSTATE.
    pub(super) state: &'static str,
    pub(super) message: String,
    pub(super) detail: Option<String>,
    pub(super) hint: Option<String>,
    /// The character of the statement that it is about, from one.
    pub(super) position: Option<usize>,
}

impl Failure {
    /// An error after which the session goes on.
    pub(super) fn error(state: &'static str, message: impl Into<String>) -> Self {
        Self { is_fatal: false, state, message: message.into(), detail: None, hint: None, position: None }
    }

    /// An error that ends the session.
    pub(super) fn fatal(state: &'static str, message: impl Into<String>) -> Self {
        Self { is_fatal: true, ..Self::error(state, message) }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What a client asked to stop.
    pub(super) fn canceled() -> Self {
        Self::error("57014", "canceling statement due to user request")
    }

    /// What `error` is to a client that sent `sql`.
    pub(super) fn of(error: &Error, sql: &str) -> Self {
        let error = &shown(error);
        let context = |wanted: &str| error.context().iter().find(|(name, _)| *name == wanted).map(|(_, text)| text);
        let code = context("code").map(String::as_str);
        let mut failure = Self::error(state(code, error.kind()), message(error));
        failure.detail = code.map(|code| format!("code: {code}"));
        failure.hint = context("hint").cloned().or_else(|| {
            let says_all = code == Some("query_invalid");
            says_all.then(|| {
                "the message says what does not fit; docs/sql.md of the server says what this SQL has".to_owned()
            })
        });
        failure.position = context("position").and_then(|place| position(place, sql));
        failure
    }

    /// Its form on the wire.
    pub(super) fn response(self) -> ErrorResponse {
        let severity = if self.is_fatal { "FATAL" } else { "ERROR" };
        let mut info = ErrorInfo::new(severity.to_owned(), self.state.to_owned(), printable(&self.message));
        info.severity_nonlocalized = Some(severity.to_owned());
        info.detail = self.detail.as_deref().map(printable);
        info.hint = Some(self.hint.as_deref().map_or_else(|| hint(self.state).to_owned(), printable));
        info.position = self.position.map(|position| position.to_string());
        info.into()
    }
}

impl From<pgwire::error::PgWireError> for Failure {
    fn from(error: pgwire::error::PgWireError) -> Self {
        let info = ErrorInfo::from(error);
        let known = ["22003", "22P02", "22008", "0A000"];
        let state = known.into_iter().find(|state| *state == info.code).unwrap_or("XX000");
        Self::error(state, info.message)
    }
}

/// Zero bytes end a text on the wire.
fn printable(text: &str) -> String {
    text.replace('\0', "\\0")
}

/// The message, with the values that say what it is about.
fn message(error: &Error) -> String {
    let mut message = error.message().to_owned();
    let mut has_more = false;
    for (name, value) in error.context() {
        if ["code", "hint", "position"].contains(name) {
            continue;
        }
        message.push_str(if has_more { ", " } else { ": " });
        message.push_str(&format!("{name}={}", on_one_line(value)));
        has_more = true;
    }
    message
}

/// The SQLSTATE of one of our codes, else of its kind.
fn state(code: Option<&str>, kind: ErrorKind) -> &'static str {
    match code.unwrap_or_default() {
        "sql_syntax" | "multiple_statements" => "42601",
        "not_allowed" | "permission_revoked" | "role_missing" => "42501",
        "too_complex" => "54001",
        "unknown_table" => "42P01",
        "unknown_column" => "42703",
        "unknown_function" => "42883",
        "ambiguous_table" => "42P09",
        "ambiguous_column" => "42702",
        "cannot_cast" => "22P02",
        "cannot_compare" => "42883",
        "division_by_zero" => "22012",
        "overflow" => "22003",
        "query_invalid" => "42601",
        "query_failed" => "22000",
        "unsupported_sql" => "0A000",
        "memory_limit" => "53200",
        "time_limit" => "57014",
        "result_limit" => "54000",
        "query_defect" => "XX000",
        _ => kind_state(kind),
    }
}

fn kind_state(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "22023",
        ErrorKind::NotFound => "42704",
        ErrorKind::AlreadyExists => "42710",
        ErrorKind::Unsupported => "0A000",
        ErrorKind::Unavailable => "57P03",
        ErrorKind::Throttled => "53000",
        ErrorKind::Corrupt => "XX001",
        ErrorKind::Cold => "55000",
        ErrorKind::StorageFull => "53100",
        ErrorKind::LimitExceeded => "54000",
        ErrorKind::Cancelled => "57014",
        _ => "XX000",
    }
}

/// The character that "line 2, column 5" is in `sql`, from one.
fn position(place: &str, sql: &str) -> Option<usize> {
    let (line, column) = place.strip_prefix("line ")?.split_once(", column ")?;
    let [line, column]: [usize; 2] = [line.parse().ok()?, column.parse().ok()?];
    let before: usize = sql.split('\n').take(line.checked_sub(1)?).map(|text| text.chars().count() + 1).sum();
    Some(before + column).filter(|position| *position > 0 && *position <= sql.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use fineo::Error;

    use super::Failure;

    #[test]
    fn where_the_server_keeps_what_is_told_to_no_client() {
        let told = Failure::of(&Error::unavailable("no answer").with("table", "fineo-schemas"), "SELECT 1");
        assert_eq!((told.state, told.message.as_str()), ("57P03", "a store does not answer now"));
        let defect = Error::internal("a panic").with("code", "query_defect").with("detail", "src/plan.rs:7");
        let told = Failure::of(&defect, "SELECT 1");
        assert_eq!((told.state, told.message.as_str()), ("XX000", "a defect of the server"));
        assert_eq!(told.detail.as_deref(), Some("code: query_defect"));
    }
}
