//! Cuts a text into statements, and says where its words are.

/// A statement, and where in the whole text it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) sql: &'a str,
    /// How many characters of the text come before it.
    pub(super) start: usize,
}

/// The statements of `text`: a `;` in a string, a quoted name or a comment ends none. Empty ones are left out.
pub(super) fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        let length = token_length(&text[at..]);
        if text[at..].starts_with(';') {
            push(text, start, at, &mut pieces);
            start = at + 1;
        }
        at += length;
    }
    push(text, start, text.len(), &mut pieces);
    // Each character is counted once, however many pieces there are.
    let (mut counted, mut characters) = (0, 0);
    for piece in &mut pieces {
        characters += text[counted..piece.start].chars().count();
        (counted, piece.start) = (piece.start, characters);
    }
    pieces
}

/// Adds what is between `start` and `end` if it is a statement, with the byte at which it begins as its start.
fn push<'a>(text: &'a str, start: usize, end: usize, pieces: &mut Vec<Piece<'a>>) {
    let sql = &text[start..end];
    if is_blank(sql) {
        return;
    }
    let trimmed = sql.trim_start();
    let begin = start + sql.len() - trimmed.len();
    pieces.push(Piece { sql: trimmed.trim_end(), start: begin });
}

/// Whether `text` has nothing but space and comments.
fn is_blank(text: &str) -> bool {
    words(text).next().is_none()
}

/// The words, names, strings and signs of `text`, as written; comments are no words.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let rest = &text[at..];
            let length = token_length(rest);
            at += length;
            let is_comment = rest.starts_with("--") || rest.starts_with("/*");
            if !is_comment && !rest.starts_with(char::is_whitespace) {
                return Some(&rest[..length]);
            }
        }
        None
    })
}

/// The bytes of the word, string, quoted name, comment, space or sign that `rest` begins with.
fn token_length(rest: &str) -> usize {
    let Some(first) = rest.chars().next() else { return 0 };
    let next = rest[first.len_utf8()..].chars().next();
    match first {
        '\'' => quoted(rest, '\'', false),
        '"' => quoted(rest, '"', false),
        'e' | 'E' if next == Some('\'') => 1 + quoted(&rest[1..], '\'', true),
        '-' if next == Some('-') => rest.find('\n').map_or(rest.len(), |end| end + 1),
        '/' if next == Some('*') => comment(rest),
        '$' => dollar(rest).unwrap_or_else(|| 1 + run(&rest[1..], is_word)),
        first if is_word(first) => run(rest, |other| is_word(other) || other == '$'),
        first if first.is_whitespace() => run(rest, char::is_whitespace),
        first => first.len_utf8(),
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn run(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
    rest.find(|character: char| !belongs(character)).unwrap_or(rest.len())
}

/// A string or name in quotes: a doubled quote is part of it.
fn quoted(rest: &str, quote: char, has_escapes: bool) -> usize {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if has_escapes && character == '\\' {
            characters.next();
        } else if character == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote => {
                    characters.next();
                }
                _ => return at + quote.len_utf8(),
            }
        }
    }
    rest.len()
}

/// A string between `$tag$` and `$tag$`; none where no such string begins.
fn dollar(rest: &str) -> Option<usize> {
    let tag_end = 1 + run(&rest[1..], is_word);
    if !rest[tag_end..].starts_with('$') || rest[1..].starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let tag = &rest[..=tag_end];
    let body = tag_end + 1;
    Some(rest[body..].find(tag).map_or(rest.len(), |end| body + end + tag.len()))
}

/// A comment; comments nest.
fn comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let tail = &rest[at..];
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::{Piece, split};

    #[test]
    fn each_statement_begins_so_many_characters_behind_the_begin_of_the_text() {
        assert_eq!(split(" é;; /* ; */ 'ß;' ;x"), [(1, "é"), (5, "/* ; */ 'ß;'"), (19, "x")].map(piece));
        let many = "é ;".repeat(200_000);
        let pieces = split(&many);
        assert_eq!(pieces.len(), 200_000);
        assert!(pieces.iter().enumerate().all(|(index, found)| *found == piece((3 * index, "é"))));
    }

    fn piece((start, sql): (usize, &str)) -> Piece<'_> {
        Piece { sql, start }
    }
}
