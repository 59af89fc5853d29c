//! What a statement is to the door: a query, or one of the statements by which clients arrange their session.

use super::statements::words;

/// A statement, as far as the door has to tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Asks something: the engine says what.
    Query,
    /// `BEGIN`, `START TRANSACTION`.
    Begin(&'static str),
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`: nothing changes, so nothing is to be undone.
    Savepoint(&'static str),
    /// `SET name TO value`; no value is `DEFAULT`.
    Set { name: String, value: Option<String> },
    /// `RESET name`; no name is `ALL`.
    Reset(Option<String>),
    /// `SHOW name`.
    Show(String),
    /// `DISCARD ALL` and its like.
    Discard,
    /// `DEALLOCATE name`; no name is `ALL`.
    Deallocate(Option<String>),
    /// `DECLARE name CURSOR FOR query`; one `WITH HOLD` is to outlive its transaction.
    Declare { name: String, query: String, is_held: bool },
    /// `FETCH count FROM name`; no count is `ALL`.
    Fetch { name: String, rows_max: Option<usize> },
    /// `CLOSE name`; no name is `ALL`.
    Close(Option<String>),
    /// `UNLISTEN`: nobody listens here.
    Unlisten,
}

impl Command {
    /// What `sql` is. Whatever is no such statement is a query: the engine says what is wrong with it.
    pub(super) fn of(sql: &str) -> Self {
        let words: Vec<&str> = words(sql).filter(|word| *word != ";").collect();
        let upper: Vec<String> = words.iter().take(4).map(|word| word.to_ascii_uppercase()).collect();
        let at = |index: usize| upper.get(index).map(String::as_str);
        let found = match at(0) {
            Some("BEGIN") => Some(Self::Begin("BEGIN")),
            Some("START") if at(1) == Some("TRANSACTION") => Some(Self::Begin("START TRANSACTION")),
            Some("COMMIT" | "END") => Some(Self::Commit),
            Some("ROLLBACK") if words.iter().any(|word| word.eq_ignore_ascii_case("TO")) => {
                Some(Self::Savepoint("ROLLBACK"))
            }
            Some("ROLLBACK" | "ABORT") => Some(Self::Rollback),
            Some("SAVEPOINT") => Some(Self::Savepoint("SAVEPOINT")),
            Some("RELEASE") => Some(Self::Savepoint("RELEASE")),
            Some("SET") => set(&words[1..]),
            Some("RESET") => one_name(&words[1..], false).map(Self::Reset),
            Some("SHOW") => show(&words[1..]),
            Some("DISCARD") if words.len() == 2 => Some(Self::Discard),
            Some("DEALLOCATE") if at(1) == Some("PREPARE") => one_name(&words[2..], true).map(Self::Deallocate),
            Some("DEALLOCATE") => one_name(&words[1..], true).map(Self::Deallocate),
            Some("DECLARE") => declare(sql, &words),
            Some("FETCH") => fetch(&words[1..]),
            Some("CLOSE") => one_name(&words[1..], true).map(Self::Close),
            Some("UNLISTEN") if words.len() == 2 => Some(Self::Unlisten),
            _ => None,
        };
        found.unwrap_or(Self::Query)
    }

    /// Whether it may run in a transaction that failed: only its end may.
    pub(super) fn ends_transaction(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::Savepoint("ROLLBACK"))
    }
}

/// What follows SET.
fn set(words: &[&str]) -> Option<Command> {
    let words = match words {
        [first, rest @ ..] if is(first, "SESSION") && rest.first().is_some_and(|next| is(next, "CHARACTERISTICS")) => {
            return Some(Command::Set { name: "transaction".to_owned(), value: Some(rest.join(" ")) });
        }
        [first, rest @ ..] if !rest.is_empty() && (is(first, "SESSION") || is(first, "LOCAL")) => rest,
        _ => words,
    };
    let (name, value) = match words {
        [first, second, value @ ..] if is(first, "TIME") && is(second, "ZONE") => ("timezone".to_owned(), value),
        [first, value @ ..] if is(first, "TRANSACTION") => ("transaction".to_owned(), value),
        [first, value @ ..] if is(first, "NAMES") => ("client_encoding".to_owned(), value),
        [name, dot, more, sign, value @ ..] if *dot == "." && (*sign == "=" || is(sign, "TO")) => {
            (format!("{}.{}", plain(name), plain(more)), value)
        }
        [name, sign, value @ ..] if *sign == "=" || is(sign, "TO") => (plain(name), value),
        _ => return None,
    };
    if value.is_empty() {
        return None;
    }
    let value = match value {
        [only] if is(only, "DEFAULT") => None,
        several => Some(several.iter().map(|word| literal(word)).collect::<Vec<_>>().join(" ").replace(" , ", ", ")),
    };
    Some(Command::Set { name, value })
}

/// What follows SHOW; what the engine shows is left to it.
fn show(words: &[&str]) -> Option<Command> {
    match words {
        [first, ..] if is(first, "TABLES") || is(first, "COLUMNS") || is(first, "FUNCTIONS") => None,
        [first, second] if is(first, "TIME") && is(second, "ZONE") => Some(Command::Show("timezone".to_owned())),
        [first, second, third] if is(first, "TRANSACTION") && is(second, "ISOLATION") && is(third, "LEVEL") => {
            Some(Command::Show("transaction_isolation".to_owned()))
        }
        [name] => Some(Command::Show(plain(name))),
        [name, dot, more] if *dot == "." => Some(Command::Show(format!("{}.{}", plain(name), plain(more)))),
        _ => None,
    }
}

/// The only name of a statement, `ALL` and `*` being none.
fn one_name(words: &[&str], is_exact: bool) -> Option<Option<String>> {
    match words {
        [only] if is(only, "ALL") => Some(None),
        [only] if is_exact => Some(Some(identifier(only))),
        [only] => Some(Some(plain(only))),
        [first, second] if is(first, "TIME") && is(second, "ZONE") => Some(Some("timezone".to_owned())),
        _ => None,
    }
}

fn declare(sql: &str, words: &[&str]) -> Option<Command> {
    let name = identifier(words.get(1)?);
    let cursor = words.iter().position(|word| is(word, "CURSOR"))?;
    let from = words.iter().skip(cursor).position(|word| is(word, "FOR"))? + cursor;
    let query = words.get(from + 1)?;
    // Words are parts of the text, so where one begins can be told.
    let start = query.as_ptr() as usize - sql.as_ptr() as usize;
    let is_held = words[cursor..from].windows(2).any(|pair| is(pair[0], "WITH") && is(pair[1], "HOLD"));
    Some(Command::Declare { name, query: sql[start..].trim_end_matches(';').to_owned(), is_held })
}

fn fetch(words: &[&str]) -> Option<Command> {
    let (rows_max, rest) = match words {
        [first, rest @ ..] if is(first, "FORWARD") => match rest {
            [count, rest @ ..] if is(count, "ALL") => (None, rest),
            [count, rest @ ..] if count.parse::<usize>().is_ok() => (count.parse().ok(), rest),
            rest => (Some(1), rest),
        },
        [first, rest @ ..] if is(first, "ALL") => (None, rest),
        [first, rest @ ..] if is(first, "NEXT") => (Some(1), rest),
        [first, rest @ ..] if first.parse::<usize>().is_ok() => (first.parse().ok(), rest),
        rest => (Some(1), rest),
    };
    match rest {
        [name] => Some(Command::Fetch { name: identifier(name), rows_max }),
        [from, name] if is(from, "FROM") || is(from, "IN") => Some(Command::Fetch { name: identifier(name), rows_max }),
        _ => None,
    }
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

/// A name in any case, as settings have them.
fn plain(word: &str) -> String {
    identifier(word).to_lowercase()
}

/// What an identifier means: without quotes, lower case.
fn identifier(word: &str) -> String {
    match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
        Some(exact) => exact.replace("\"\"", "\""),
        None => word.to_lowercase(),
    }
}

/// What a literal says.
fn literal(word: &str) -> String {
    match word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
        Some(text) => text.replace("''", "'"),
        None => identifier_as_written(word),
    }
}

fn identifier_as_written(word: &str) -> String {
    word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word).to_owned()
}
