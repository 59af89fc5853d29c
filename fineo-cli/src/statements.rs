//! Cuts text into SQL statements.

/// The statements of `text` that end with `;`, and what follows the last of them.
///
/// A `;` in a string, a quoted name or a comment ends nothing.
pub(crate) fn split(text: &str) -> (Vec<&str>, &str) {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        if character == ';' {
            if !is_blank(&text[start..at]) {
                statements.push(text[start..at].trim());
            }
            start = at + 1;
        }
        at += token_length(&text[at..], character);
    }
    (statements, &text[start..])
}

/// The statements of `text`, the last one with or without `;`.
pub(crate) fn all(text: &str) -> Vec<&str> {
    let (mut statements, rest) = split(text);
    if !is_blank(rest) {
        statements.push(rest.trim());
    }
    statements
}

/// Whether `text` holds nothing but space and comments.
pub(crate) fn is_blank(text: &str) -> bool {
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let is_comment = text[at..].starts_with("--") || text[at..].starts_with("/*");
        if !is_comment && !character.is_whitespace() {
            return false;
        }
        at += token_length(&text[at..], character);
    }
    true
}

/// The bytes of the string, quoted name, comment or single character that `rest` begins with.
fn token_length(rest: &str, first: char) -> usize {
    let to_end_of = |pattern: &str, from: usize| {
        rest[from..].find(pattern).map_or(rest.len(), |found| from + found + pattern.len())
    };
    match first {
        '\'' => to_end_of("'", 1),
        '"' => to_end_of("\"", 1),
        '-' if rest.starts_with("--") => to_end_of("\n", 2),
        '/' if rest.starts_with("/*") => block_comment_length(rest),
        other => other.len_utf8(),
    }
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(character) = rest[at..].chars().next() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += character.len_utf8();
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::{all, is_blank, split};

    #[test]
    fn a_semicolon_ends_a_statement_except_in_strings_names_and_comments() {
        assert_eq!(all("select 1; select 2"), ["select 1", "select 2"]);
        assert_eq!(all("select ';' ; select \"a;b\""), ["select ';'", "select \"a;b\""]);
        assert_eq!(all("select 'it''s;' -- no; end\n;select 2;"), ["select 'it''s;' -- no; end", "select 2"]);
        assert_eq!(all("/* a; /* b; */ c; */ select 1;;"), ["/* a; /* b; */ c; */ select 1"]);
        assert_eq!(all("-- nothing;\n ; "), Vec::<&str>::new());
        assert_eq!(all("select '温度;'"), ["select '温度;'"]);
    }

    #[test]
    fn an_open_statement_is_left_over() {
        assert_eq!(split("select 1; select '").1, " select '");
        assert!(is_blank(split("select 1; -- done").1));
        assert!(!is_blank("x"));
        assert_eq!(split("select '; ").0, Vec::<&str>::new());
    }
}
