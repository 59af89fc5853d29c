//! The one error of Fineo: a kind that names the remedy, a message, context and a source.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

/// What a fallible call of Fineo returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call was wrong: change it.
    Invalid,
    /// The thing named does not exist.
    NotFound,
    /// The thing to be created exists already.
    AlreadyExists,
    /// This backend or build cannot do it: ask `capabilities` first.
    Unsupported,
    /// The backend does not answer now: try again.
    Unavailable,
    /// The backend asks for patience: try again after [`Error::retry_after`].
    Throttled,
    /// Stored bytes are not what was written: they need repair and were not served.
    Corrupt,
    /// The bytes lie in a storage class that has to be restored before they are read: have them restored, which takes hours.
    Cold,
    /// There is no room for more: free some; reads still work.
    StorageFull,
    /// A bound on time, memory or size was reached.
    LimitExceeded,
    /// The work was cancelled.
    Cancelled,
    /// A defect of Fineo: tell its developers.
    Internal,
}

/// Why a call failed, and what to do about it.
///
/// Cloning is cheap. `Display` is one line: the message and its context, without the text of the source.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    may_have_applied: bool,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error of `kind` that says `message` (lower case, no full stop).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            source: None,
            may_have_applied: false,
            retry_after: None,
        }))
    }

    /// The call was wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// The thing named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The backend does not answer now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Stored bytes are not what was written.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// A defect of Fineo.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Adds one named value to the message.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.edit(|inner| inner.context.push((name, value.to_string())))
    }

    /// Changes the value `name` of the message, where it has one.
    #[must_use]
    pub fn with_changed(self, name: &str, change: impl FnOnce(&str) -> String) -> Self {
        self.edit(|inner| {
            if let Some((_, value)) = inner.context.iter_mut().find(|(known, _)| *known == name) {
                *value = change(value);
            }
        })
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.edit(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Says that the call may have taken effect in spite of this error.
    #[must_use]
    pub fn and_may_have_applied(self) -> Self {
        self.edit(|inner| inner.may_have_applied = true)
    }

    /// Says how long the backend asked to be left alone.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.edit(|inner| inner.retry_after = Some(wait))
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without its context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The named values of the message.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// The value `name` of the message.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A stable name of what is wrong, such as `unknown_table`, where it has one: programs branch on it.
    pub fn code(&self) -> Option<&str> {
        self.value("code")
    }

    /// What to do about it, in words, where there is something.
    pub fn hint(&self) -> Option<&str> {
        self.value("hint")
    }

    /// How long to wait before the next try, where the backend said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same call may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::StorageFull)
    }

    /// Whether the call may have taken effect in spite of the error.
    pub fn may_have_applied(&self) -> bool {
        self.0.may_have_applied
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            write!(f, "{separator}{name}={}", on_one_line(value))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, "\n  caused by: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// Signs that print, although Rust escapes them.
const PRINTING: [char; 3] = ['\'', '"', '\\'];

/// `text` on one line, as a message shows it: what does not print is escaped, all else stays as it is.
pub fn on_one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(PRINTING) {
        let plain = piece.trim_end_matches(PRINTING);
        shown.extend(plain.escape_debug());
        shown.push_str(&piece[plain.len()..]);
    }
    shown
}

#[cfg(test)]
mod tests;
