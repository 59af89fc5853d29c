//! Completes tables, fields, aliases and words of SQL.

use crate::catalog::{Catalog, MetricEntry};

/// The words that are offered; where a name is spelt like one of them, the name must be quoted.
const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "ARRAY",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "CURRENT_TIMESTAMP",
    "DATE",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXTRACT",
    "FALSE",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "THEN",
    "TRUE",
    "TRY_CAST",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// The columns of every metric that are not fields.
const FIXED_COLUMNS: &[&str] = &["timestamp", "_fineo_event_id", "_fineo_alias", "_fineo_ingested_at"];

/// The tables that every tenant has.
const FIXED_TABLES: &[&str] = &[
    "errors.stream",
    "fineo_conflicts",
    "fineo_discovered",
    "information_schema.tables",
    "information_schema.columns",
];

/// The words of the shell itself.
const SHELL_WORDS: &[&str] = &["\\?", "\\d", "\\errors", "\\format", "\\q", "\\timing"];

/// Where the word before the cursor begins, and what it may become.
pub(crate) fn candidates(catalog: &Catalog, line: &str, cursor: usize) -> (usize, Vec<String>) {
    let before = &line[..cursor];
    let start = word_start(before);
    let word = &before[start..];
    if line.starts_with('\\') {
        return shell_candidates(catalog, before, start);
    }
    let (qualifier, prefix_start) = match word.rfind('.').filter(|_| !word.starts_with('"')) {
        Some(dot) => (Some(&word[..dot]), start + dot + 1),
        None => (None, start),
    };
    let prefix = &before[prefix_start..];
    if let Some(metric) = qualifier.and_then(|name| qualified(catalog, line, name)) {
        return (prefix_start, matching(columns_of(metric), prefix));
    }
    if is_table_position(&before[..start]) {
        return (start, matching(tables(catalog), word));
    }
    let mentioned: Vec<&MetricEntry> = mentioned(catalog, line).collect();
    let fields = match mentioned.is_empty() {
        true => catalog.metrics.iter().flat_map(columns_of).collect(),
        false => mentioned.into_iter().flat_map(columns_of).collect::<Vec<_>>(),
    };
    let words = KEYWORDS.iter().filter(|_| !prefix.is_empty()).map(|word| cased_like(word, prefix));
    (start, matching(fields.into_iter().chain(words), word))
}

fn shell_candidates(catalog: &Catalog, before: &str, start: usize) -> (usize, Vec<String>) {
    if start == 0 || !before.contains(' ') {
        return (0, matching(SHELL_WORDS.iter().map(|word| (*word).to_owned()), before));
    }
    let word = &before[start..];
    if before.starts_with("\\format") {
        let formats = ["table", "csv", "json", "ndjson"].map(str::to_owned);
        return (start, matching(formats, word));
    }
    (start, matching(catalog.metrics.iter().flat_map(|metric| metric.names().map(str::to_owned)), word))
}

/// The byte at which the word that ends `text` begins; a quoted name is one word.
fn word_start(text: &str) -> usize {
    if text.matches('"').count() % 2 == 1 {
        return text.rfind('"').unwrap_or(0);
    }
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.' | '\\');
    text.char_indices().rev().take_while(|(_, character)| is_part(*character)).last().map_or(text.len(), |(at, _)| at)
}

fn is_table_position(before: &str) -> bool {
    let last = before.split_whitespace().next_back().unwrap_or_default();
    ["from", "join"].iter().any(|word| last.eq_ignore_ascii_case(word))
}

/// The metric that `name` stands for: its own name, or one given with `FROM metric name` or `FROM metric AS name`.
fn qualified<'a>(catalog: &'a Catalog, line: &str, name: &str) -> Option<&'a MetricEntry> {
    let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | ';')).collect();
    let words: Vec<&str> =
        words.into_iter().filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("as")).collect();
    let named = words.windows(2).find_map(|pair| match pair {
        [table, alias] if alias.eq_ignore_ascii_case(name) => catalog.metric(table.trim_matches('"')),
        _ => None,
    });
    named.or_else(|| catalog.metric(name))
}

fn mentioned<'a>(catalog: &'a Catalog, line: &'a str) -> impl Iterator<Item = &'a MetricEntry> {
    let words = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | ';'));
    let tables = words.scan(false, |is_table, word| {
        let was_table = std::mem::replace(is_table, matches!(word.to_ascii_lowercase().as_str(), "from" | "join"));
        Some(was_table.then_some(word))
    });
    tables.flatten().filter_map(|word| catalog.metric(word.trim_matches('"')))
}

fn tables(catalog: &Catalog) -> impl Iterator<Item = String> {
    let metrics = catalog.metrics.iter().flat_map(MetricEntry::names).map(quoted);
    metrics.chain(FIXED_TABLES.iter().map(|name| (*name).to_owned()))
}

fn columns_of(metric: &MetricEntry) -> impl Iterator<Item = String> {
    let visible = metric.fields.iter().filter(|field| field.state != "hidden");
    let fields = visible.flat_map(|field| field.names().map(quoted));
    fields.chain(FIXED_COLUMNS.iter().map(|name| (*name).to_owned()))
}

/// What begins like `prefix`, whatever the case, each once and in order.
fn matching(all: impl IntoIterator<Item = String>, prefix: &str) -> Vec<String> {
    let bare = prefix.trim_start_matches('"').to_lowercase();
    let begins = |name: &String| name.trim_start_matches('"').to_lowercase().starts_with(&bare);
    let mut found: Vec<String> = all.into_iter().filter(begins).collect();
    if prefix.starts_with('"') {
        found =
            found.into_iter().map(|name| if name.starts_with('"') { name } else { format!("\"{name}\"") }).collect();
    }
    found.sort();
    found.dedup();
    found
}

fn cased_like(word: &str, prefix: &str) -> String {
    if prefix.chars().all(|c| !c.is_uppercase()) { word.to_lowercase() } else { word.to_owned() }
}

/// `name` as SQL must spell it.
pub(crate) fn quoted(name: &str) -> String {
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_plain = begins_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_keyword = KEYWORDS.iter().any(|word| word.eq_ignore_ascii_case(name));
    if is_plain && !is_keyword { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests;
