//! What a client says: one message at a time, cut from the stream and read strictly within its own bytes.
//!
//! The protocol crate's own decoder reads from the connection's whole buffer and trusts the counts in it. Here every
//! count is checked against the bytes of its message before anything is made of it, and text has to be UTF-8.

use bytes::{Buf, Bytes, BytesMut};

use super::failure::Failure;

/// The longest message before a client is known.
pub(super) const STRANGER_BYTES_MAX: usize = 10_000;
/// The longest message of a client that is known.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The longest message that is passed over: no client may send a longer one.
const PASSED_BYTES_MAX: usize = 1 << 30;

const PROTOCOL_MAJOR: u16 = 3;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The most bytes of the key in a cancel request.
const CANCEL_KEY_BYTES_MAX: usize = 256;

/// The first message of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hello {
    /// Asks for TLS.
    Ssl,
    /// Asks for GSSAPI encryption.
    Gss,
    /// Asks to cancel what another connection does.
    Cancel { process: i32, key: Bytes },
    /// Begins a session in a minor version of the protocol, with parameters.
    Startup { minor: u16, parameters: Vec<(String, String)> },
}

/// A message of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Query(String),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        rows_max: Option<usize>,
    },
    Close(Target),
    Flush,
    Sync,
    Terminate,
    /// A password, or a step of SASL: what it is depends on what was asked.
    Password(Bytes),
    /// Part of a COPY that was never begun: ignored, as the protocol says.
    Copy,
    /// A call of a function by number.
    Call,
}

/// Values for a prepared statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

/// What is described or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

/// The first message in `buffer`, once all of it is there.
///
/// # Errors
///
/// When it is no such message: the connection is beyond repair.
pub(super) fn hello(buffer: &mut BytesMut) -> Result<Option<Hello>, Failure> {
    let Some(length) = length(buffer, STRANGER_BYTES_MAX)? else { return Ok(None) };
    if length < 8 {
        return Err(violation("the startup message is too short"));
    }
    if buffer.len() < length {
        return Ok(None);
    }
    let mut body = Body(buffer.split_to(length).freeze());
    body.skip(4)?;
    let code = body.u32()?;
    match code {
        SSL_REQUEST | GSS_REQUEST if length != 8 => Err(violation("a request for encryption has no content")),
        SSL_REQUEST => Ok(Some(Hello::Ssl)),
        GSS_REQUEST => Ok(Some(Hello::Gss)),
        CANCEL_REQUEST => {
            let process = body.i32()?;
            let key = body.rest();
            if key.len() < 4 || key.len() > CANCEL_KEY_BYTES_MAX {
                return Err(violation("the cancel request has no key"));
            }
            Ok(Some(Hello::Cancel { process, key }))
        }
        _ => startup(code, &mut body).map(Some),
    }
}

fn startup(code: u32, body: &mut Body) -> Result<Hello, Failure> {
    let [major, minor] = [(code >> 16) as u16, (code & 0xffff) as u16];
    if major != PROTOCOL_MAJOR {
        return Err(Failure::fatal(
            "0A000",
            format!("unsupported frontend protocol {major}.{minor}: this server speaks 3.0"),
        ));
    }
    let mut parameters = Vec::new();
    loop {
        let name = body.text()?;
        if name.is_empty() {
            break;
        }
        parameters.push((name, body.text()?));
    }
    body.end()?;
    Ok(Hello::Startup { minor, parameters })
}

/// A message's kind and what it asks, or why it cannot be understood.
pub(super) type Told = (u8, Result<Request, Failure>);

/// The next message in `buffer` that is at most `bytes_max` long, once all of it is there.
///
/// # Errors
///
/// `Err` when the connection is beyond repair, `Ok(Some(Err))` when only this message is wrong: what follows it can be
/// read.
pub(super) fn request(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<Told>, Failure> {
    let Some(&kind) = buffer.first() else { return Ok(None) };
    if !is_kind(kind) {
        return Err(violation(format!("there is no message of type {kind:#04x}")));
    }
    let Some(length) = length(&buffer[1..], bytes_max)? else { return Ok(None) };
    if buffer.len() < length + 1 {
        return Ok(None);
    }
    let mut body = Body(buffer.split_to(length + 1).freeze());
    body.skip(5)?;
    Ok(Some((kind, read(kind, body))))
}

/// The kind and the bytes of the next message in `buffer`, where it is too long to be read and is to be passed over.
pub(super) fn too_long(buffer: &[u8]) -> Option<(u8, usize)> {
    let (&kind, rest) = buffer.split_first()?;
    let length = usize::try_from(i32::from_be_bytes(*rest.first_chunk::<4>()?)).ok()?;
    let is_passed = is_kind(kind) && length > MESSAGE_BYTES_MAX && length <= PASSED_BYTES_MAX;
    is_passed.then_some((kind, length + 1))
}

fn is_kind(kind: u8) -> bool {
    b"QPBDECHSXpdcfF".contains(&kind)
}

fn read(kind: u8, mut body: Body) -> Result<Request, Failure> {
    let request = match kind {
        b'Q' => Request::Query(body.text()?),
        b'P' => {
            let [name, sql] = [body.text()?, body.text()?];
            let types = body.several(4, Body::u32)?;
            Request::Parse { name, sql, types }
        }
        b'B' => Request::Bind(bind(&mut body)?),
        b'D' => Request::Describe(target(&mut body)?),
        b'C' => Request::Close(target(&mut body)?),
        b'E' => {
            let portal = body.text()?;
            // Nothing, and whatever is no count, means all rows.
            let rows_max = usize::try_from(body.i32()?).ok().filter(|rows| *rows > 0);
            Request::Execute { portal, rows_max }
        }
        b'H' => Request::Flush,
        b'S' => Request::Sync,
        b'X' => Request::Terminate,
        b'p' => Request::Password(body.rest()),
        b'F' => {
            body.rest();
            Request::Call
        }
        _ => {
            body.rest();
            Request::Copy
        }
    };
    body.end()?;
    Ok(request)
}

fn bind(body: &mut Body) -> Result<Bind, Failure> {
    let [portal, statement] = [body.text()?, body.text()?];
    let formats = body.several(2, Body::format)?;
    // Each value has at least its length.
    let values = body.several(4, |body| match body.i32()? {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| violation("a value has a negative length"))?;
            body.take(length).map(Some)
        }
    })?;
    let result_formats = body.several(2, Body::format)?;
    if formats.len() > 1 && formats.len() != values.len() {
        return Err(violation(format!("bind message has {} formats for {} values", formats.len(), values.len())));
    }
    Ok(Bind { portal, statement, formats, values, result_formats })
}

fn target(body: &mut Body) -> Result<Target, Failure> {
    let kind = body.take(1)?;
    let name = body.text()?;
    match kind.first() {
        Some(b'S') => Ok(Target::Statement(name)),
        Some(b'P') => Ok(Target::Portal(name)),
        _ => Err(violation("neither a statement nor a portal")),
    }
}

/// The length that `buffer` begins with: it counts itself.
fn length(buffer: &[u8], bytes_max: usize) -> Result<Option<usize>, Failure> {
    let Some(bytes) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length =
        usize::try_from(i32::from_be_bytes(*bytes)).map_err(|_| violation("a message has a negative length"))?;
    if length < 4 {
        return Err(violation("a message is shorter than its length"));
    }
    if length > bytes_max {
        return Err(Failure::fatal("08P01", format!("a message of {length} bytes: at most {bytes_max} are read")));
    }
    Ok(Some(length))
}

pub(super) fn violation(message: impl Into<String>) -> Failure {
    Failure::error("08P01", message)
}

/// The unread bytes of one message.
pub(super) struct Body(pub(super) Bytes);

impl Body {
    fn take(&mut self, count: usize) -> Result<Bytes, Failure> {
        if self.0.len() < count {
            return Err(violation("the message ends too early"));
        }
        Ok(self.0.split_to(count))
    }

    fn skip(&mut self, count: usize) -> Result<(), Failure> {
        self.take(count).map(|_| ())
    }

    fn rest(&mut self) -> Bytes {
        self.0.split_to(self.0.len())
    }

    fn u16(&mut self) -> Result<u16, Failure> {
        self.take(2).map(|mut bytes| bytes.get_u16())
    }

    fn u32(&mut self) -> Result<u32, Failure> {
        self.take(4).map(|mut bytes| bytes.get_u32())
    }

    pub(super) fn i32(&mut self) -> Result<i32, Failure> {
        self.take(4).map(|mut bytes| bytes.get_i32())
    }

    fn format(&mut self) -> Result<i16, Failure> {
        match self.u16()? {
            0 => Ok(0),
            1 => Ok(1),
            other => Err(violation(format!("unsupported format code: {other}"))),
        }
    }

    /// As many items as the next two bytes say, of at least `item_bytes` each.
    fn several<T>(
        &mut self,
        item_bytes: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let count = usize::from(self.u16()?);
        if self.0.len() < count * item_bytes {
            return Err(violation("the message ends too early"));
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Text up to the next zero byte.
    pub(super) fn text(&mut self) -> Result<String, Failure> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| violation("a text does not end"))?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Failure::error("22021", "invalid byte sequence for encoding \"UTF8\"")),
        }
    }

    fn end(&self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(violation("the message is longer than its content")) }
    }
}
