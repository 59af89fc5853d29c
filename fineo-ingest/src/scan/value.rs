//! JSON values that are kept as their text: numbers, words and arrays, checked against the grammar.

use std::borrow::Cow;

use super::{
    frame::NESTING_MAX,
    text::{StringEnd, string_end, unescape},
};

/// Why a value cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not JSON from this byte on.
    Unreadable(usize),
    /// It is nested too deep.
    TooDeep,
    /// A key occurs twice in an object, which begins here.
    DuplicateKey(usize),
}

pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the number that begins at `at`.
pub(crate) fn number_end(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let some_digits = |at: usize| {
        let end = digits(at);
        if end == at { Err(Fault::Unreadable(at)) } else { Ok(end) }
    };
    let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { some_digits(at)? };
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = some_digits(at)?;
    }
    match bytes.get(at) {
        // `01`, `1x`: something sticks to the number.
        Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-') => Err(Fault::Unreadable(at)),
        Some(_) | None => Ok(at),
    }
}

/// The end of `word` if it stands at `at`.
pub(crate) fn word_end(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, Fault> {
    let end = at + word.len();
    if bytes.get(at..end) == Some(word) { Ok(end) } else { Err(Fault::Unreadable(at)) }
}

/// An object or array inside a value that is skipped.
struct Level {
    is_array: bool,
    start: usize,
    /// Where its keys begin among those noted.
    keys: usize,
}

/// The end of the array that begins at `start`, which stands `depth` levels deep.
pub(crate) fn array_end(source: &str, start: usize, depth: u32) -> Result<usize, Fault> {
    let bytes = source.as_bytes();
    let mut levels: Vec<Level> = Vec::new();
    let mut keys: Vec<Cow<'_, str>> = Vec::new();
    let mut at = start;
    loop {
        // A value begins at `at`.
        let byte = *bytes.get(at).ok_or(Fault::Unreadable(at))?;
        at = match byte {
            b'[' | b'{' => {
                if depth as usize + levels.len() >= NESTING_MAX as usize {
                    return Err(Fault::TooDeep);
                }
                levels.push(Level { is_array: byte == b'[', start: at, keys: keys.len() });
                let inside = skip_space(bytes, at + 1);
                let closes = bytes.get(inside) == Some(if byte == b'[' { &b']' } else { &b'}' });
                if !closes {
                    at = if byte == b'[' { inside } else { key(source, inside, &mut keys)? };
                    continue;
                }
                inside
            }
            b'"' => match string_end(bytes, at + 1) {
                StringEnd::Closed { at: end, is_escaped } => {
                    if is_escaped {
                        unescape(&source[at + 1..end], &mut String::new()).ok_or(Fault::Unreadable(at))?;
                    }
                    skip_space(bytes, end + 1)
                }
                StringEnd::Control(at) | StringEnd::Open(at) => return Err(Fault::Unreadable(at)),
            },
            b't' => skip_space(bytes, word_end(bytes, at, b"true")?),
            b'f' => skip_space(bytes, word_end(bytes, at, b"false")?),
            b'n' => skip_space(bytes, word_end(bytes, at, b"null")?),
            _ => skip_space(bytes, number_end(bytes, at)?),
        };
        // A value has ended, and so may the levels around it.
        loop {
            let Some(level) = levels.last() else { return Err(Fault::Unreadable(at)) };
            match (bytes.get(at), level.is_array) {
                (Some(b','), true) => {
                    at = skip_space(bytes, at + 1);
                    break;
                }
                (Some(b','), false) => {
                    at = key(source, skip_space(bytes, at + 1), &mut keys)?;
                    break;
                }
                (Some(b']'), true) | (Some(b'}'), false) => {
                    if has_twins(&mut keys[level.keys..]) {
                        return Err(Fault::DuplicateKey(level.start));
                    }
                    keys.truncate(level.keys);
                    levels.pop();
                    if levels.is_empty() {
                        return Ok(at + 1);
                    }
                    at = skip_space(bytes, at + 1);
                }
                (Some(_) | None, true | false) => return Err(Fault::Unreadable(at)),
            }
        }
    }
}

/// Notes the key at `at` and answers where its value begins.
fn key<'a>(source: &'a str, at: usize, keys: &mut Vec<Cow<'a, str>>) -> Result<usize, Fault> {
    let bytes = source.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return Err(Fault::Unreadable(at));
    }
    let StringEnd::Closed { at: end, is_escaped } = string_end(bytes, at + 1) else {
        return Err(Fault::Unreadable(at));
    };
    let inside = &source[at + 1..end];
    if is_escaped {
        let mut text = String::new();
        unescape(inside, &mut text).ok_or(Fault::Unreadable(at))?;
        keys.push(Cow::Owned(text));
    } else {
        keys.push(Cow::Borrowed(inside));
    }
    let colon = skip_space(bytes, end + 1);
    if bytes.get(colon) != Some(&b':') {
        return Err(Fault::Unreadable(colon));
    }
    Ok(skip_space(bytes, colon + 1))
}

fn has_twins(keys: &mut [Cow<'_, str>]) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}
