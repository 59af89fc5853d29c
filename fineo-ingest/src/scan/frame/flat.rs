//! The usual event, recognised at a glance: an object on a line of its own with nothing nested in it.

use memchr::memchr;

use super::Frame;

/// Bytes are counted in pieces of this size, so that a count fits in a byte.
const PIECE: usize = 128;

/// What a piece of a line holds.
#[derive(Debug, Default)]
struct Counts {
    quotes: u32,
    brackets: u32,
    colons: u32,
    /// Bytes after which a quote may mean something else, or which no string may hold.
    odd: u32,
}

/// The event that begins at `start` and ends on its line, where counting bytes is enough to know its end: it has no
/// escape, no bracket but its own, and an even number of quotes.
pub(super) fn frame(window: &[u8], start: usize) -> Option<Frame> {
    let rest = &window[start..];
    if rest.first() != Some(&b'{') {
        return None;
    }
    let line = rest[..memchr(b'\n', rest)?].trim_ascii_end();
    let counts = count(line);
    let is_flat =
        line.last() == Some(&b'}') && counts.brackets == 2 && counts.odd == 0 && counts.quotes.is_multiple_of(2);
    is_flat.then_some(Frame { start, end: start + line.len(), is_broken: false, depth: 1, keys: counts.colons })
}

/// Written so that the compiler counts many bytes at a time.
fn count(line: &[u8]) -> Counts {
    let mut counts = Counts::default();
    for piece in line.chunks(PIECE) {
        let (mut quotes, mut brackets, mut colons, mut odd) = (0_u8, 0_u8, 0_u8, 0_u8);
        for byte in piece {
            quotes += u8::from(*byte == b'"');
            // `[` and `{`, `]` and `}` differ in one bit, which letters and digits do not have together with the rest.
            let folded = *byte | 0x20;
            brackets += u8::from(folded == b'{') + u8::from(folded == b'}');
            colons += u8::from(*byte == b':');
            odd += u8::from(*byte < 0x20) + u8::from(*byte == b'\\');
        }
        counts.quotes += u32::from(quotes);
        counts.brackets += u32::from(brackets);
        counts.colons += u32::from(colons);
        counts.odd += u32::from(odd);
    }
    counts
}
