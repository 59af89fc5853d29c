//! The three-valued answer of every call that changes something.

use crate::{Error, Result};

/// What became of a change: done, definitely not done, or unknown.
///
/// `Unknown` is what makes the rest honest: after a timeout or a lost reply the change may be there. It is
/// resolved by reading or by repeating an idempotent call, never by cleaning up.
#[derive(Debug, Clone)]
#[must_use]
pub enum Outcome<T> {
    /// It happened; this is the answer.
    Done(T),
    /// It did not happen and will not.
    NotDone(Error),
    /// It may have happened, or may still happen.
    Unknown(Error),
}

impl<T> Outcome<T> {
    /// The outcome that an error tells of itself, see [`Error::may_have_applied`].
    pub fn of_error(error: Error) -> Self {
        if error.may_have_applied() { Self::Unknown(error) } else { Self::NotDone(error) }
    }

    /// Whether the change certainly happened.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// The answer, or the error with [`Error::may_have_applied`] set as the outcome says.
    ///
    /// # Errors
    ///
    /// Whatever kept the change from certainly happening.
    pub fn into_result(self) -> Result<T> {
        match self {
            Self::Done(value) => Ok(value),
            Self::NotDone(error) => Err(error),
            Self::Unknown(error) => Err(error.and_may_have_applied()),
        }
    }

    /// The same outcome with another answer.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(value) => Outcome::Done(change(value)),
            Self::NotDone(error) => Outcome::NotDone(error),
            Self::Unknown(error) => Outcome::Unknown(error),
        }
    }
}

impl<T> From<Result<T>> for Outcome<T> {
    fn from(result: Result<T>) -> Self {
        match result {
            Ok(value) => Self::Done(value),
            Err(error) => Self::of_error(error),
        }
    }
}
