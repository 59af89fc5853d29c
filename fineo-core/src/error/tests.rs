//! What an error says of itself.

use std::io;

use super::{Error, ErrorKind};
use crate::Outcome;

#[test]
fn an_error_is_one_line_with_its_context_escaped() {
    let error = Error::invalid("not a name").with("name", "a\nb").with("at", 3);
    assert_eq!(error.to_string(), "not a name: name=a\\nb, at=3");
    let error = Error::invalid("not a name").with("name", "it's \"a\\b\"\u{1b}");
    assert_eq!(error.to_string(), "not a name: name=it's \"a\\b\"\\u{1b}");
}

#[test]
fn an_error_has_the_code_the_hint_and_the_values_that_it_was_given() {
    let error = Error::invalid("no such table").with("code", "unknown_table").with("position", "line 1, column 15");
    assert_eq!((error.code(), error.hint()), (Some("unknown_table"), None));
    assert_eq!(error.with("hint", "look").hint(), Some("look"));
    let error = Error::invalid("no such table").with("position", 3);
    assert_eq!((error.code(), error.value("position")), (None, Some("3")));
}

#[test]
fn a_source_is_told_by_debug_and_not_by_display() {
    let error = Error::unavailable("cannot read").with_source(io::Error::other("disk on fire"));
    assert_eq!(error.to_string(), "cannot read");
    assert!(format!("{error:?}").contains("disk on fire"));
}

#[test]
fn only_what_time_can_mend_is_retryable() {
    assert!(Error::unavailable("x").is_retryable());
    assert!(Error::new(ErrorKind::Throttled, "x").is_retryable());
    assert!(!Error::corrupt("x").is_retryable());
    assert!(!Error::invalid("x").is_retryable());
}

#[test]
fn an_error_that_may_have_applied_is_an_unknown_outcome() {
    let unknown: Outcome<()> = Outcome::of_error(Error::unavailable("lost reply").and_may_have_applied());
    assert!(matches!(unknown, Outcome::Unknown(_)));
    let not_done: Outcome<()> = Outcome::of_error(Error::unavailable("refused"));
    assert!(matches!(not_done, Outcome::NotDone(_)));
}
