//! How deep tables stand in brackets.
//!
//! Behind `FROM ((` the parser reads what follows as a query, and when that does not end well as a table once more: each such
//! pair doubles its work, and nothing on the way asks for the budget of [`super::steps::ParserSteps`].

use datafusion::sql::sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, Tokenizer},
};
use fineo_core::{Error, Result};

use super::dialect::Sql;
use crate::error::exceeded;

/// More pairs than this are nothing that one writes, nor any tool.
const PAIRS_MAX: usize = 8;

/// That no parser takes long over the tables of `text`. What is no SQL passes.
///
/// # Errors
///
/// `too_complex`, when tables stand in too many brackets.
pub fn check_table_brackets(text: &str) -> Result<()> {
    let tokens = Tokenizer::new(&Sql::for_words(0), text).tokenize().unwrap_or_default();
    let (mut brackets, mut before) = (TableBrackets::default(), &Token::EOF);
    for token in tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))) {
        brackets.read(before, token)?;
        before = token;
    }
    Ok(())
}

/// What is open of a statement.
#[derive(Debug, Default)]
pub(super) struct TableBrackets {
    open: Vec<Level>,
    pairs: usize,
}

/// What is between two brackets, or the statement itself.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Whether the bracket stands where a table does.
    is_table: bool,
    /// Whether it is the second of a pair.
    is_pair: bool,
    /// Whether a table may come.
    is_from: bool,
}

impl TableBrackets {
    /// Goes on by `token`, which comes behind `before`.
    ///
    /// # Errors
    ///
    /// `too_complex`, when it opens one pair too many.
    pub(super) fn read(&mut self, before: &Token, token: &Token) -> Result<()> {
        if self.open.is_empty() {
            self.open.push(Level::default());
        }
        match token {
            Token::LParen => self.opened(before)?,
            Token::RParen if self.open.len() > 1 => {
                let closed = self.open.pop();
                self.pairs -= usize::from(closed.is_some_and(|level| level.is_pair));
            }
            Token::Word(word) => {
                use Keyword::{EXCEPT, FROM, GROUP, HAVING, INTERSECT, JOIN, LIMIT, ORDER, SELECT, UNION, WHERE};
                let is_from = match word.keyword {
                    FROM | JOIN => true,
                    SELECT | WHERE | GROUP | HAVING | ORDER | LIMIT | UNION | EXCEPT | INTERSECT => false,
                    _ => return Ok(()),
                };
                if let Some(level) = self.open.last_mut() {
                    level.is_from = is_from;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn opened(&mut self, before: &Token) -> Result<()> {
        let outer = self.open.last().copied().unwrap_or_default();
        let is_second = *before == Token::LParen;
        let begins = match before {
            Token::LParen => outer.is_table,
            Token::Comma => true,
            Token::Word(word) => matches!(word.keyword, Keyword::FROM | Keyword::JOIN | Keyword::LATERAL),
            _ => false,
        };
        let is_table = outer.is_from && begins;
        let level = Level { is_table, is_pair: is_table && is_second, is_from: is_table };
        self.pairs += usize::from(level.is_pair);
        self.open.push(level);
        if self.pairs > PAIRS_MAX { Err(too_many()) } else { Ok(()) }
    }
}

fn too_many() -> Error {
    exceeded("too_complex", "tables stand in too many brackets")
        .with("brackets_max", PAIRS_MAX + 1)
        .with("hint", "a table, or a query in brackets, needs no more brackets around it")
}
