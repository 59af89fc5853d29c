//! What users of other databases write, and what says the same here: `TABLE m` is read as it is meant, and for what only
//! reads, but is not answered, an error says what is.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{Query, Select, SelectFlavor, SetExpr, Statement, TableFactor, Visit, Visitor},
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Word},
};
use fineo_core::{Error, Result};

use crate::error::{refused, unsupported};

/// How much of a statement is given back in a hint.
const SHOWN_MAX: usize = 200;

const PIVOTED: &str = "a column for each value is an aggregate with a filter: SELECT s, avg(x) FILTER (WHERE k = 'a') AS a, avg(x) \
                       FILTER (WHERE k = 'b') AS b FROM m GROUP BY s";
const UNPIVOTED: &str = "a row for each column is a query for each: SELECT timestamp, 'x' AS name, x AS value FROM m UNION ALL SELECT \
                         timestamp, 'y', y FROM m";
const COPIED: &str =
    "ask the query itself: fineo sql --format csv, psql --csv and Accept: text/csv over HTTP make a file of its rows";

/// Says `TABLE m …` as `SELECT * FROM m …`.
pub(super) fn spell_table(tokens: &mut Vec<TokenWithSpan>) {
    let is_before = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_) | Token::LParen);
    let Some(first) = tokens.iter().position(|token| !is_before(token)) else { return };
    let Some(table) = tokens.get(first).filter(|first| is(&first.token, Keyword::TABLE)) else { return };
    let (span, said) = (table.span, [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")]);
    tokens.splice(first..=first, said.map(|token| TokenWithSpan { token, span }));
}

fn is_bare(word: &Word) -> bool {
    word.quote_style.is_none()
}

fn is(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if is_bare(word) && word.keyword == keyword)
}

/// What is told of a statement that begins with `first`, where it reads.
pub(super) fn command(first: &Word, tokens: &[TokenWithSpan]) -> Option<Error> {
    let goes_out = || tokens.iter().any(|token| is(&token.token, Keyword::STDOUT));
    if !is_bare(first) {
        return None;
    }
    let hint = match first.value.to_uppercase().as_str() {
        "PIVOT" => PIVOTED,
        "UNPIVOT" => UNPIVOTED,
        "COPY" if goes_out() => COPIED,
        "PRAGMA" => "DESCRIBE m shows the columns of a table, SHOW TABLES the tables",
        "SUMMARIZE" => {
            "fineo_discovered has the count and samples of each undeclared name; else SELECT count(x), min(x), max(x) FROM m"
        }
        _ => return None,
    };
    Some(unsupported(&first.value.to_uppercase()).with("hint", hint))
}

/// The same of a statement that shows what there is.
pub(super) fn shown(statement: &Statement) -> Option<Error> {
    let (what, hint) = match statement {
        Statement::ShowFunctions { .. } => (
            "SHOW FUNCTIONS",
            "functions are called as in PostgreSQL; of one that there is not, the error says what to write",
        ),
        Statement::ShowDatabases { .. } => (
            "SHOW DATABASES",
            "a session sees one tenant, as the database fineo: SHOW TABLES, or SELECT * FROM information_schema.schemata",
        ),
        Statement::ShowSchemas { .. } => ("SHOW SCHEMAS", "SELECT * FROM information_schema.schemata"),
        Statement::ShowCatalogs { .. } => ("SHOW CATALOGS", "there is one, fineo: SHOW TABLES"),
        Statement::ShowViews { .. } => ("SHOW VIEWS", "SHOW TABLES"),
        Statement::ShowCreate { .. } => ("SHOW CREATE", "DESCRIBE m shows the columns of a table"),
        _ => return None,
    };
    Some(unsupported(what).with("hint", hint))
}

/// That `statement` has none of what would be read otherwise, or not at all.
///
/// # Errors
///
/// What to write.
pub(super) fn check(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Foreign) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Foreign;

impl Visitor for Foreign {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        match missing_select(query, "") {
            Some(error) => ControlFlow::Break(error),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        let (what, hint) = match factor {
            TableFactor::Pivot { .. } => ("PIVOT", PIVOTED),
            TableFactor::Unpivot { .. } => ("UNPIVOT", UNPIVOTED),
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(unsupported(what).with("hint", hint))
    }
}

/// That a part of `query` has no `SELECT`, which the parser takes for one of no columns; `rest` is what comes behind it.
pub(super) fn missing_select(query: &Query, rest: &str) -> Option<Error> {
    let (message, said) = without_select(&query.body)?;
    let is_all = query.with.is_none() && matches!(*query.body, SetExpr::Select(_));
    let said = if is_all { query.to_string() } else { said };
    let said: String = said.chars().take(SHOWN_MAX).collect();
    Some(refused("sql_syntax", message).with("hint", format!("SELECT * {said}{rest}")))
}

fn without_select(body: &SetExpr) -> Option<(&'static str, String)> {
    match body {
        SetExpr::Select(select) if is_from_alone(select) => Some(("a query needs SELECT", select.to_string())),
        SetExpr::Table(table) => {
            let parts = [&table.schema_name, &table.table_name].into_iter().flatten();
            let name: Vec<&str> = parts.map(String::as_str).collect();
            Some(("TABLE stands at the begin of a statement alone", format!("FROM {}", name.join("."))))
        }
        SetExpr::SetOperation { left, right, .. } => without_select(left).or_else(|| without_select(right)),
        _ => None,
    }
}

fn is_from_alone(select: &Select) -> bool {
    matches!(select.flavor, SelectFlavor::FromFirstNoSelect)
}

/// What to write where `tokens` are no SQL: a name that would need quotes, or a parameter that is a list.
pub(super) fn misread(tokens: &[TokenWithSpan]) -> Option<String> {
    dotted_name(tokens).or_else(|| list_of_one(tokens))
}

/// `PM2.5` is a name and a number for the parser.
fn dotted_name(tokens: &[TokenWithSpan]) -> Option<String> {
    let at = tokens.windows(2).position(|pair| match (&pair[0].token, &pair[1].token) {
        (Token::Word(word), Token::Number(number, _)) => is_bare(word) && number.starts_with('.'),
        _ => false,
    })?;
    let parts = tokens[at..].iter().map_while(|token| match &token.token {
        Token::Word(word) if is_bare(word) => Some(word.value.clone()),
        Token::Number(number, _) => Some(number.clone()),
        _ => None,
    });
    Some(format!("a name with such a dot stands in double quotes: \"{}\"", parts.collect::<String>()))
}

/// `IN $1`, without brackets.
fn list_of_one(tokens: &[TokenWithSpan]) -> Option<String> {
    let (mut last_but_one, mut last) = (&Token::EOF, &Token::EOF);
    for TokenWithSpan { token, .. } in tokens {
        match token {
            Token::Whitespace(_) => continue,
            Token::Placeholder(list) if is(last, Keyword::IN) => {
                let is_not = is(last_but_one, Keyword::NOT);
                let test = if is_not { format!("x <> ALL({list})") } else { format!("x = ANY({list})") };
                return Some(format!(
                    "with one parameter that is a list: {test}; with one for each item: x IN ($1, $2)"
                ));
            }
            _ => (last_but_one, last) = (last, token),
        }
    }
    None
}
