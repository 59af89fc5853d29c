//! Spellings of Postgres that the engine does not know, in words that it does.
//!
//! What is taken out leaves blanks behind, so that positions in errors stay those of the client's text.

use std::borrow::Cow;

use super::statements::words;

/// `sql` without what only Postgres needs: the qualifier `pg_catalog.` of its functions and types, and the format of a
/// time that is written as every other.
pub(super) fn adapted(sql: &str) -> Cow<'_, str> {
    let lower = sql.to_ascii_lowercase();
    if !lower.contains("pg_catalog") && !lower.contains("to_timestamp") {
        return Cow::Borrowed(sql);
    }
    let all: Vec<&str> = words(sql).collect();
    let mut blanks: Vec<&str> = Vec::new();
    for (index, word) in all.iter().enumerate() {
        let at = |offset: usize| all.get(index + offset).copied().unwrap_or_default();
        if word.trim_matches('"').eq_ignore_ascii_case("pg_catalog") && at(1) == "." {
            blanks.extend([*word, at(1)]);
        }
        let is_format = at(4).starts_with("'YYYY") && at(2).starts_with('\'');
        if word.eq_ignore_ascii_case("to_timestamp") && at(1) == "(" && at(3) == "," && is_format {
            blanks.extend([at(3), at(4)]);
        }
    }
    let mut adapted = String::with_capacity(sql.len());
    let mut at = 0;
    for blank in blanks {
        // Words are parts of the text, so where one begins can be told.
        let start = blank.as_ptr() as usize - sql.as_ptr() as usize;
        adapted.push_str(&sql[at..start]);
        adapted.extend(blank.chars().map(|_| ' '));
        at = start + blank.len();
    }
    adapted.push_str(&sql[at..]);
    Cow::Owned(adapted)
}
