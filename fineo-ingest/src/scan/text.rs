//! JSON strings: where they end, and what they say.

/// How a string goes on from a position inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StringEnd {
    /// It ends with the quote at `at`.
    Closed { at: usize, is_escaped: bool },
    /// It holds a control character, which no JSON string may, here.
    Control(usize),
    /// It does not end in these bytes; go on from here.
    Open(usize),
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The high bit of the first byte of `word` (and perhaps of later ones) that is a quote, a backslash or a
/// control character.
fn stops(word: u64) -> u64 {
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGHS
}

/// The first quote, backslash or control character from `at` on.
#[inline]
fn next_stop(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        let found = stops(word);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|index| at + index)
}

/// Follows a string from `at`, a position inside it that is not in the middle of an escape.
#[inline]
pub(crate) fn string_end(bytes: &[u8], mut at: usize) -> StringEnd {
    let mut is_escaped = false;
    loop {
        let Some(stop) = next_stop(bytes, at) else { return StringEnd::Open(bytes.len().max(at)) };
        match bytes[stop] {
            b'"' => return StringEnd::Closed { at: stop, is_escaped },
            b'\\' => match bytes.get(stop + 1) {
                None => return StringEnd::Open(stop),
                Some(0..0x20) => return StringEnd::Control(stop + 1),
                Some(_) => {
                    is_escaped = true;
                    at = stop + 2;
                }
            },
            _ => return StringEnd::Control(stop),
        }
    }
}

/// Appends what the inside of a JSON string says; none when an escape is not legal.
pub(crate) fn unescape(source: &str, out: &mut String) -> Option<()> {
    let mut rest = source;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (character, length) = escape(rest.as_bytes().get(at + 1..)?)?;
        out.push(character);
        rest = &rest[at + 1 + length..];
    }
    out.push_str(rest);
    Some(())
}

/// The character of an escape and its length, both without the backslash.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let simple = match bytes.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return escape_unicode(bytes),
        _ => return None,
    };
    Some((simple, 1))
}

fn escape_unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let high = four_digits(bytes.get(1..5)?)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 5));
    }
    let low = match bytes.get(5..7)? {
        b"\\u" => four_digits(bytes.get(7..11)?)?,
        _ => return None,
    };
    if !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 11))
}

fn four_digits(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}
