//! Follows how the requests of a connection are framed, and spoils one whose length is told twice.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` is how one request is smuggled past a proxy inside of
//! another. The HTTP library believes the chunks and forgets the length before a handler sees it; so a byte that no head
//! may have is put at such a head's end, and the library answers 400 and closes.

/// The longest line of a head that is looked at: the library refuses a longer one by itself.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// What a connection of HTTP/2 begins with; there, frames say how long a body is.
const HTTP2_BEGINS: &[u8] = b"PRI * HTTP/2.0";
/// No head has this byte.
const SPOILT: u8 = 0;

/// Where in the requests of one connection the next byte stands.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    /// The line at hand, as far as it came.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a head, of which so much is known.
    Head(Head),
    /// In a body, or a chunk, of which so many bytes are to come.
    Body { bytes: u64, is_chunk: bool },
    /// Where a chunk says its length.
    ChunkLength,
    /// After the last chunk.
    Trailer,
    /// Nothing is looked at any more: it is HTTP/2, or no HTTP, and the library knows what to do.
    Beyond,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Head {
    has_line: bool,
    length: Option<u64>,
    is_chunked: bool,
}

impl Default for Framing {
    fn default() -> Self {
        Self { place: Place::Head(Head::default()), line: Vec::new() }
    }
}

impl Framing {
    /// Looks at the next bytes of the connection before the library does.
    pub(super) fn look(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            at = match self.place {
                Place::Beyond => return,
                Place::Body { bytes: left, is_chunk } => {
                    let here = left.min((bytes.len() - at) as u64);
                    self.place = after(left - here, is_chunk);
                    at + usize::try_from(here).unwrap_or(bytes.len())
                }
                Place::Head(_) | Place::ChunkLength | Place::Trailer => self.take_line(bytes, at),
            };
        }
    }

    /// Takes the rest of a line, or as much of it as is there, and says where the next one begins.
    fn take_line(&mut self, bytes: &mut [u8], at: usize) -> usize {
        let end = bytes[at..].iter().position(|byte| *byte == b'\n').map(|length| at + length);
        let taken = &bytes[at..end.unwrap_or(bytes.len())];
        if self.line.len() + taken.len() > LINE_BYTES_MAX {
            self.place = Place::Beyond;
            return bytes.len();
        }
        self.line.extend_from_slice(taken);
        let Some(end) = end else { return bytes.len() };
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.place = match self.place {
            Place::Head(head) if line.is_empty() && head.length.is_some() && head.is_chunked => {
                // The empty line, whose end this is, is where the library would begin to believe the head.
                bytes[end] = SPOILT;
                Place::Beyond
            }
            Place::Head(head) => head.after(line),
            Place::ChunkLength => chunk(line),
            // Fields after the last chunk end as a head does.
            Place::Trailer if line.is_empty() => Place::Head(Head::default()),
            place => place,
        };
        end + 1
    }
}

impl Head {
    /// What follows `line`.
    fn after(self, line: &[u8]) -> Place {
        if line.is_empty() {
            return match self {
                // Empty lines may come before a request.
                Self { has_line: false, .. } => Place::Head(self),
                Self { is_chunked: true, .. } => Place::ChunkLength,
                Self { length, .. } => after(length.unwrap_or(0), false),
            };
        }
        if !self.has_line {
            let is_http2 = line.starts_with(HTTP2_BEGINS);
            return if is_http2 { Place::Beyond } else { Place::Head(Self { has_line: true, ..self }) };
        }
        let (name, value) = split(line);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Place::Head(Self { is_chunked: true, ..self });
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            // What is no number, the library refuses.
            let length = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
            return length.map_or(Place::Beyond, |length| Place::Head(Self { length: Some(length), ..self }));
        }
        Place::Head(self)
    }
}

/// Where it goes on when `bytes` of a body, or of a chunk, are still to come.
fn after(bytes: u64, is_chunk: bool) -> Place {
    match (bytes, is_chunk) {
        (0, true) => Place::ChunkLength,
        (0, false) => Place::Head(Head::default()),
        (bytes, is_chunk) => Place::Body { bytes, is_chunk },
    }
}

/// What follows a line that says the length of a chunk.
fn chunk(line: &[u8]) -> Place {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    // The end of the chunk before.
    if digits.is_empty() {
        return Place::ChunkLength;
    }
    let length = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match length {
        Some(0) => Place::Trailer,
        Some(length) => after(length, true),
        None => Place::Beyond,
    }
}

/// A field's name, and its value.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':');
    colon.map_or((line, &[]), |colon| (&line[..colon], &line[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::{Framing, SPOILT};

    const BOTH: &str = "POST / HTTP/1.1\r\ncontent-length: 2\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Whether any byte of `sent` is spoilt, however it is cut into pieces.
    fn check(sent: &str, is_spoilt: bool) {
        for piece in [1, 7, sent.len()] {
            let mut framing = Framing::default();
            let mut bytes = sent.as_bytes().to_vec();
            bytes.chunks_mut(piece).for_each(|bytes| framing.look(bytes));
            assert_eq!(bytes.contains(&SPOILT), is_spoilt, "{sent:?} in pieces of {piece}");
        }
    }

    // E32
    #[test]
    fn a_length_that_is_told_twice_spoils_the_request() {
        check(BOTH, true);
        check("POST / HTTP/1.1\ntransfer-encoding: x\ncontent-length: 0\n\n", true);
        check(&format!("\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n{BOTH}"), true);
        check(&format!("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc{BOTH}"), true);
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        check(&format!("{chunked}3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nfield: x\r\n\r\n{BOTH}"), true);
    }

    #[test]
    fn what_a_body_says_is_not_a_head() {
        check(&format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{BOTH}", BOTH.len()), false);
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        check(&format!("{chunked}{:x}\r\n{BOTH}\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", BOTH.len()), false);
        check(&format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{BOTH}"), false);
    }
}
