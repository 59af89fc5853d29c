//! From SQL text to one statement that may be asked, checked before anything recurses.

use datafusion::sql::sqlparser::{
    ast::{Query, SetExpr, Statement},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError},
};
use fineo_core::{Error, Result};

use super::{
    arrays, bounds, brackets::TableBrackets, compared, dialect::Sql, elsewhere, flat, numbers, rows, similar, spoken,
    tuples, unnested, windows,
};
use crate::{
    QueryLimits,
    error::{exceeded, place, refused},
};

/// How deep the parser may recurse: more than any text that passed the checks needs.
const PARSER_DEPTH_MAX: usize = 300;

/// How much of a caller's own stack parsing a statement and going through it may take: no more than any has.
const SHALLOW_BYTES: usize = 8 << 10;
const SHALLOW_NESTING: usize = 6;
const SHALLOW_OPERATORS: usize = 64;

/// How deep a statement may be, before it is parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    nesting: usize,
    operators: usize,
}

/// The words of `text`, if they are few and flat enough.
pub(crate) fn tokens(text: &str, limits: &QueryLimits) -> Result<(Vec<TokenWithSpan>, Depth)> {
    if text.len() > limits.text_bytes_max {
        return Err(exceeded("too_complex", "the SQL text is too long")
            .with("bytes", text.len())
            .with("bytes_max", limits.text_bytes_max));
    }
    let tokens = Tokenizer::new(&Sql::for_words(0), text).tokenize_with_location();
    let tokens = tokens.map_err(|error| unreadable(&error))?;
    let depth = check_tokens(&tokens, limits)?;
    Ok((tokens, depth))
}

/// How many values `text` takes: the greatest number behind a `$`.
pub(crate) fn placeholders(text: &str, limits: &QueryLimits) -> Result<usize> {
    let (tokens, _) = tokens(text, limits)?;
    let numbers = tokens.iter().filter_map(|token| match &token.token {
        Token::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
        _ => None,
    });
    Ok(numbers.max().unwrap_or(0))
}

/// That `text`, put into brackets, stays in them, so that what a statement demands beside it holds.
///
/// # Errors
///
/// What is wrong with the text, at its place there. Whether it is a condition is told when it is asked.
pub fn check_predicate(text: &str, limits: &QueryLimits) -> Result<()> {
    let (tokens, _) = tokens(text, limits)?;
    let mut depth = 0_usize;
    for token in &tokens {
        let at = || place(token.span.start.line, token.span.start.column);
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => {
                let error = refused("sql_syntax", "the condition closes a bracket that it did not open");
                return Err(error.with("position", at()));
            }
            Token::RParen => depth -= 1,
            Token::SemiColon => {
                return Err(refused("sql_syntax", "a condition is no statement")
                    .with("found", ";")
                    .with("position", at()));
            }
            _ => {}
        }
    }
    match depth {
        0 => Ok(()),
        _ => Err(refused("sql_syntax", "the condition opens a bracket that it does not close")),
    }
}

/// The one statement that `text` holds, if it only reads.
pub(crate) fn parse(text: &str, limits: &QueryLimits) -> Result<Statement> {
    let (tokens, _) = tokens(text, limits)?;
    parse_tokens(tokens)
}

/// The same, where it is a query so small that one may go through it on any stack.
pub(crate) fn parse_shallow(text: &str, limits: &QueryLimits) -> Option<Statement> {
    if text.len() > SHALLOW_BYTES {
        return None;
    }
    let (tokens, depth) = tokens(text, limits).ok()?;
    if depth.nesting > SHALLOW_NESTING || depth.operators > SHALLOW_OPERATORS {
        return None;
    }
    parse_tokens(tokens).ok().filter(|statement| matches!(statement, Statement::Query(_)))
}

fn parse_tokens(mut tokens: Vec<TokenWithSpan>) -> Result<Statement> {
    elsewhere::spell_table(&mut tokens);
    check_first_word(&tokens)?;
    let misread = elsewhere::misread(&tokens);
    let mut statement = match (statement_of(tokens), misread) {
        (Err(error), Some(hint)) => return Err(error.with("hint", hint)),
        (outcome, _) => outcome?,
    };
    check_statement(&statement)?;
    elsewhere::check(&statement)?;
    flat::rewrite(&mut statement);
    bounds::check(&statement)?;
    numbers::rewrite(&mut statement);
    unnested::rewrite(&mut statement);
    let is_compared = tuples::rewrite(&mut statement)?;
    compared::rewrite(&mut statement);
    let is_spoken = spoken::rewrite(&mut statement)?;
    if rows::rewrite(&mut statement) || is_compared || is_spoken {
        bounds::check(&statement)?;
    }
    arrays::rewrite(&mut statement);
    similar::rewrite(&mut statement)?;
    windows::rewrite(&mut statement)?;
    Ok(statement)
}

/// The one statement that `tokens` are.
fn statement_of(tokens: Vec<TokenWithSpan>) -> Result<Statement> {
    let dialect = Sql::for_words(tokens.len());
    let mut parser = Parser::new(&dialect).with_recursion_limit(PARSER_DEPTH_MAX).with_tokens_with_locations(tokens);
    let statement = parser.parse_statement().map_err(|error| unparsable(&error))?;
    while parser.consume_token(&Token::SemiColon) {}
    let rest = parser.peek_token();
    if rest.token == Token::EOF {
        return Ok(statement);
    }
    let goes_on = || refused("sql_syntax", "the statement goes on where it should end").with("found", &rest.token);
    let error = match &statement {
        Statement::Query(query) => elsewhere::missing_select(query, " …").unwrap_or_else(goes_on),
        _ => goes_on(),
    };
    Err(error.with("position", place(rest.span.start.line, rest.span.start.column)))
}

fn check_tokens(tokens: &[TokenWithSpan], limits: &QueryLimits) -> Result<Depth> {
    let words = || tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    let count = words().count();
    if count == 0 {
        return Err(refused("sql_syntax", "there is no statement"));
    }
    if count > limits.tokens_max {
        return Err(exceeded("too_complex", "the statement has too many words")
            .with("words", count)
            .with("words_max", limits.tokens_max));
    }
    let mut depth = 0_usize;
    let mut nesting = 0_usize;
    let mut operators = 0_usize;
    let mut before = &Token::EOF;
    let mut types = 0_usize;
    let mut tables = TableBrackets::default();
    for token in words() {
        tables.read(before, &token.token)?;
        match token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            _ => {}
        }
        // A list's list, or an item of an item.
        let is_chained = token.token == Token::LBracket && *before == Token::RBracket;
        operators += usize::from(deepens(&token.token) || is_chained);
        types = types_open(types, before, &token.token);
        before = &token.token;
        nesting = nesting.max(depth + types);
        if depth + types > limits.nesting_max {
            return Err(exceeded("too_complex", "the statement is nested too deeply")
                .with("nesting_max", limits.nesting_max)
                .with("position", place(token.span.start.line, token.span.start.column)));
        }
    }
    if operators > limits.operators_max {
        return Err(exceeded("too_complex", "the statement has too many operators")
            .with("operators", operators)
            .with("operators_max", limits.operators_max)
            .with("hint", "x IN (a, b, …) has none"));
    }
    let mut after_end = words().skip_while(|token| token.token != Token::SemiColon);
    let another = after_end.find(|token| token.token != Token::SemiColon);
    match another {
        Some(token) => Err(refused("multiple_statements", "one statement at a time")
            .with("position", place(token.span.start.line, token.span.start.column))),
        None => Ok(Depth { nesting, operators }),
    }
}

/// How many of `ARRAY<` and `STRUCT<` are open behind `token`, if `open` were before it.
fn types_open(open: usize, before: &Token, token: &Token) -> usize {
    let is_type = matches!(before, Token::Word(word) if matches!(word.keyword, Keyword::ARRAY | Keyword::STRUCT));
    match token {
        Token::Lt if is_type => open + 1,
        Token::Gt => open.saturating_sub(1),
        Token::ShiftRight => open.saturating_sub(2),
        _ => open,
    }
}

/// Whether the syntax tree may become one level deeper for `token`.
fn deepens(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::XOR
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::JOIN
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::CASE
                | Keyword::AT
                | Keyword::COLLATE
                | Keyword::INTERVAL
                | Keyword::SELECT
                | Keyword::EXPLAIN
        ),
        Token::EOF
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::LBracket
        | Token::RBracket
        | Token::LBrace
        | Token::RBrace
        | Token::SemiColon
        | Token::Placeholder(_) => false,
        // The parser's own list of signs: each may be an operator.
        _ => true,
    }
}

/// Refuses statements that write before the parser has an opinion on their details.
fn check_first_word(tokens: &[TokenWithSpan]) -> Result<()> {
    let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_) | Token::LParen));
    let Some(TokenWithSpan { token: Token::Word(word), .. }) = first else {
        return Ok(());
    };
    if let Some(error) = elsewhere::command(word, tokens) {
        return Err(error);
    }
    let reads = [
        Keyword::SELECT,
        Keyword::WITH,
        Keyword::VALUES,
        Keyword::FROM,
        Keyword::EXPLAIN,
        Keyword::DESCRIBE,
        Keyword::DESC,
        Keyword::SHOW,
        Keyword::NoKeyword,
    ];
    if word.quote_style.is_none() && !reads.contains(&word.keyword) {
        return Err(not_allowed(&word.value.to_uppercase()));
    }
    Ok(())
}

fn not_allowed(what: &str) -> Error {
    refused("not_allowed", "a session only reads").with("statement", what.chars().take(40).collect::<String>())
}

fn check_statement(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Query(query) => check_query(query),
        Statement::Explain { statement, .. } => match statement.as_ref() {
            Statement::Query(query) => check_query(query),
            other => Err(not_allowed(&first_word(other))),
        },
        Statement::ExplainTable { .. } | Statement::ShowTables { .. } | Statement::ShowColumns { .. } => Ok(()),
        other => Err(elsewhere::shown(other).unwrap_or_else(|| not_allowed(&first_word(other)))),
    }
}

fn check_query(query: &Query) -> Result<()> {
    if !query.locks.is_empty() {
        return Err(not_allowed("FOR UPDATE"));
    }
    for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
        check_query(&cte.query)?;
    }
    check_body(&query.body)
}

fn check_body(body: &SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => Err(not_allowed("SELECT INTO")),
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => Ok(()),
        SetExpr::Query(query) => check_query(query),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Insert(statement)
        | SetExpr::Update(statement)
        | SetExpr::Delete(statement)
        | SetExpr::Merge(statement) => Err(not_allowed(&first_word(statement))),
    }
}

fn first_word(statement: &Statement) -> String {
    statement.to_string().split(' ').next().unwrap_or_default().to_uppercase()
}

fn unreadable(error: &TokenizerError) -> Error {
    refused("sql_syntax", "the SQL text is not readable")
        .with("detail", &error.message)
        .with("position", place(error.location.line, error.location.column))
}

fn unparsable(error: &ParserError) -> Error {
    match error {
        ParserError::RecursionLimitExceeded => exceeded("too_complex", "the statement is nested too deeply"),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            let (detail, position) = match text.rsplit_once(" at Line: ") {
                Some((detail, position)) => (detail, format!("line {}", position.replace("Column: ", "column "))),
                None => (text.as_str(), String::new()),
            };
            let refused = refused("sql_syntax", "the statement is not SQL").with("detail", detail);
            if position.is_empty() { refused } else { refused.with("position", position) }
        }
    }
}

#[cfg(test)]
mod tests;
