//! How much the parser of SQL may try.
//!
//! Where a text can be read in several ways it tries one after the other, and so for what is within: of
//! `CAST(CAST(CAST(…` that nothing closes each level doubles its work, of `POSITION(` it is four times as much. A text of some
//! hundred bytes would be read for days, and nobody could break it off.

use std::cell::Cell;

use datafusion::sql::sqlparser::{ast::Expr, parser::ParserError};

/// Texts that are nested a little take no more, however short they are.
const STEPS_MIN: usize = 20_000;
/// A word is rarely read more than a few times.
const STEPS_OF_WORD: usize = 50;

/// The beginnings of expressions that a parser may still try; for the `parse_prefix` of its dialect.
#[derive(Debug)]
pub struct ParserSteps(Cell<usize>);

impl ParserSteps {
    /// Those that a statement of `words` takes at most, unless it is nested out of all reason.
    pub fn for_words(words: usize) -> Self {
        Self(Cell::new(words.saturating_mul(STEPS_OF_WORD).saturating_add(STEPS_MIN)))
    }

    /// Takes one. When none is left that is an error by which the parser ends: it tries nothing else.
    pub fn take(&self) -> Option<Result<Expr, ParserError>> {
        match self.0.get().checked_sub(1) {
            Some(left) => {
                self.0.set(left);
                None
            }
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }
}
