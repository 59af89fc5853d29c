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

/// A query in brackets is read so many times at most for all the brackets that it is in.
const READINGS_MAX: u64 = 1 << 10;

/// That no parser takes long over the tables of `text`. What is no SQL passes.
///
/// # Errors
///
/// `too_complex`, when a query begins in too many brackets.
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
#[derive(Debug)]
pub(super) struct TableBrackets {
    open: Vec<Level>,
    /// How many times what comes next is read at most.
    readings: u64,
    last: Said,
}

/// What is between two brackets, or the statement itself.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// Whether the bracket stands where a table does.
    is_table: bool,
    /// How many such brackets there are without anything between them, this one the last.
    run: u64,
    /// How many times a query that begins in it is read.
    readings: u64,
    /// Whether a table may come.
    is_from: bool,
    /// Whether it belongs to a function that has words between its arguments: `EXTRACT(YEAR FROM …`.
    is_call: bool,
}

const STATEMENT: Level = Level { is_table: false, run: 0, readings: 1, is_from: false, is_call: false };

/// What was said last of `IS [NOT] DISTINCT`, behind which `FROM` begins no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Is,
    IsDistinct,
}

impl Default for TableBrackets {
    fn default() -> Self {
        Self { open: vec![STATEMENT], readings: 1, last: Said::Nothing }
    }
}

impl TableBrackets {
    /// Goes on by `token`, which comes behind `before`.
    ///
    /// # Errors
    ///
    /// `too_complex`, when a query begins in too many brackets.
    pub(super) fn read(&mut self, before: &Token, token: &Token) -> Result<()> {
        match token {
            Token::LParen => self.opened(before),
            Token::RParen if self.open.len() > 1 => {
                if let Some(closed) = self.open.pop() {
                    self.readings /= closed.readings;
                }
            }
            Token::Word(word) => self.said(before, word.keyword)?,
            _ => {}
        }
        self.last = match (token, self.last) {
            (Token::Word(word), _) if word.keyword == Keyword::IS => Said::Is,
            (Token::Word(word), Said::Is) if word.keyword == Keyword::NOT => Said::Is,
            (Token::Word(word), Said::Is) if word.keyword == Keyword::DISTINCT => Said::IsDistinct,
            _ => Said::Nothing,
        };
        Ok(())
    }

    fn said(&mut self, before: &Token, keyword: Keyword) -> Result<()> {
        use Keyword::{EXCEPT, FROM, GROUP, HAVING, INTERSECT, JOIN, LIMIT, ORDER, SELECT, UNION, WHERE};
        let Some(level) = self.open.last_mut() else { return Ok(()) };
        match keyword {
            FROM if level.is_call || self.last == Said::IsDistinct => return Ok(()),
            FROM | JOIN => level.is_from = true,
            SELECT | WHERE | GROUP | HAVING | ORDER | LIMIT | UNION | EXCEPT | INTERSECT => level.is_from = false,
            _ => return Ok(()),
        }
        // A query may begin with its tables, too.
        let begins = keyword == SELECT || (keyword == FROM && *before == Token::LParen);
        if begins && level.readings == 1 && level.run > 1 {
            level.readings = level.run;
            self.readings = self.readings.saturating_mul(level.run);
        }
        if self.readings > READINGS_MAX { Err(too_many()) } else { Ok(()) }
    }

    fn opened(&mut self, before: &Token) {
        let outer = self.open.last().copied().unwrap_or(STATEMENT);
        let (begins, is_call) = match before {
            Token::LParen => (outer.is_table, false),
            Token::Comma => (true, false),
            Token::Word(word) => {
                use Keyword::{CEIL, EXTRACT, FLOOR, FROM, JOIN, LATERAL, OVERLAY, POSITION, SUBSTRING, TRIM};
                let is_call = matches!(word.keyword, CEIL | EXTRACT | FLOOR | OVERLAY | POSITION | SUBSTRING | TRIM);
                (matches!(word.keyword, FROM | JOIN | LATERAL), is_call)
            }
            _ => (false, false),
        };
        let is_table = outer.is_from && begins;
        let run = if *before == Token::LParen { outer.run + 1 } else { 1 };
        let run = if is_table { run } else { 0 };
        self.open.push(Level { is_table, run, is_from: is_table, is_call, ..STATEMENT });
    }
}

fn too_many() -> Error {
    exceeded("too_complex", "queries in FROM stand in too many brackets")
        .with("hint", "a table, or a query in brackets, needs no more brackets around it")
}
