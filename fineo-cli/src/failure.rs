//! Why the program did not do what it was asked, and the exit code that says so.

use std::{error::Error as _, fmt::Display, io, process::ExitCode};

use fineo::core::{Error, ErrorKind};

use crate::output::screened;

/// What ends the program early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The words of the command line do not make sense together: exit code 2.
    Misuse(String),
    /// The thing could not be done: exit code 1.
    Failed(Error),
    /// Input or output failed: exit code 1; but a reader that closed its end has what it wanted: 0.
    Io(io::Error),
    /// Ctrl-C: exit code 1.
    Stopped,
}

impl Failure {
    /// The same failure, which happened while `file` was read.
    pub(crate) fn of_file(self, file: impl Display) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.with("file", file)),
            other => other,
        }
    }

    /// Says on stderr what went wrong and what to do about it.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Misuse(message) => {
                say(&format!("fineo: {message}"));
                say("See fineo --help, and --help after each verb.");
                ExitCode::from(2)
            }
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Io(error) => {
                say(&format!("fineo: {error}"));
                ExitCode::FAILURE
            }
            Self::Failed(error) => {
                say_error(&error);
                ExitCode::FAILURE
            }
            Self::Stopped => {
                say("fineo: stopped");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Prints one line on stderr, whatever becomes of it.
pub(crate) fn say(line: &str) {
    use io::Write;
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints an error with its causes and its remedy on stderr.
pub(crate) fn say_error(error: &Error) {
    say(&format!("fineo: {}", shown(error)));
    let mut cause = error.source();
    while let Some(source) = cause {
        say(&format!("  because: {}", lines_screened(&source.to_string())));
        cause = source.source();
    }
    let own_hints = error.context().iter().filter(|(name, _)| *name == "hint").map(|(_, hint)| hint.as_str());
    for hint in own_hints.chain(remedy(error)) {
        say(&format!("  hint: {}", lines_screened(hint)));
    }
}

/// The message with its context; a message of several lines keeps them. Hints have a line of their own.
fn shown(error: &Error) -> String {
    let mut text = lines_screened(error.message());
    let context = error.context().iter().filter(|(name, _)| *name != "hint");
    for (index, (name, value)) in context.enumerate() {
        let separator = if index == 0 { ": " } else { ", " };
        text.push_str(&format!("{separator}{name}={}", screened(value)));
    }
    text
}

fn lines_screened(text: &str) -> String {
    text.split('\n').map(screened).collect::<Vec<_>>().join("\n  ")
}

fn remedy(error: &Error) -> Option<&'static str> {
    let has_hint = error.context().iter().any(|(name, _)| *name == "hint");
    match error.kind() {
        // Where more is known of the failure than its kind, waiting may not help.
        ErrorKind::Unavailable | ErrorKind::Throttled if !has_hint => Some("try again in a moment"),
        ErrorKind::StorageFull => Some("free some room on the disk; what was accepted is safe and reads still work"),
        ErrorKind::Corrupt => Some("stored bytes are not what was written: restore them from a copy"),
        ErrorKind::Internal => Some("this is a defect of fineo: please report it with the lines above"),
        _ => None,
    }
}
