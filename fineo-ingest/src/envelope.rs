//! What the edge puts around an event before it is stored for the first time (`docs/formats/envelope.md`).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use fineo_core::{Error, EventId, Result, Timestamp};

const VERSION: u8 = 1;
const FORMAT_MASK: u8 = 0b0000_0011;
const HAS_METRIC: u8 = 0b0000_0100;
const HAS_DROPPED_KEY: u8 = 0b0000_1000;
const FIXED_LEN: usize = 1 + 1 + 16 + 8;

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A JSON object.
    Json,
    /// A CSV row, kept behind its header line.
    Csv,
}

impl Format {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// What all events of one append share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Circumstances {
    /// The metric of events that name none.
    pub(crate) metric: Option<Arc<str>>,
    /// A key that named the tenant and is no field.
    pub(crate) dropped_key: Option<Arc<str>>,
}

/// An event as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) arrival_id: EventId,
    pub(crate) arrived_at: Timestamp,
    pub(crate) format: Format,
    pub(crate) metric: Option<&'a str>,
    pub(crate) dropped_key: Option<&'a str>,
    pub(crate) event: &'a [u8],
}

/// How many bytes stand before an event.
pub(crate) fn head_len(circumstances: &Circumstances) -> usize {
    let texts = [&circumstances.metric, &circumstances.dropped_key];
    FIXED_LEN + texts.into_iter().flatten().map(|text| 2 + text.len()).sum::<usize>()
}

/// Appends everything but the event.
pub(crate) fn write_head(
    arrival_id: [u8; 16],
    arrived_at: Timestamp,
    format: Format,
    circumstances: &Circumstances,
    out: &mut BytesMut,
) {
    let metric = circumstances.metric.as_deref();
    let dropped_key = circumstances.dropped_key.as_deref();
    let flags = match format {
        Format::Json => 0,
        Format::Csv => 1,
    };
    let flags = flags | if metric.is_some() { HAS_METRIC } else { 0 };
    let flags = flags | if dropped_key.is_some() { HAS_DROPPED_KEY } else { 0 };
    out.put_u8(VERSION);
    out.put_u8(flags);
    out.put_slice(&arrival_id);
    out.put_i64(arrived_at.micros());
    for text in [metric, dropped_key].into_iter().flatten() {
        out.put_u16(u16::try_from(text.len()).expect("names were checked to be short"));
        out.put_slice(text.as_bytes());
    }
}

/// Reads an envelope.
///
/// # Errors
///
/// `Corrupt` when the bytes are no envelope.
pub(crate) fn read(payload: &[u8]) -> Result<Envelope<'_>> {
    let corrupt = || Error::corrupt("not an envelope");
    if payload.len() < FIXED_LEN || payload[0] != VERSION {
        return Err(corrupt());
    }
    let flags = payload[1];
    let format = match flags & FORMAT_MASK {
        0 => Format::Json,
        1 => Format::Csv,
        _ => return Err(corrupt()),
    };
    if flags & !(FORMAT_MASK | HAS_METRIC | HAS_DROPPED_KEY) != 0 {
        return Err(corrupt());
    }
    let arrival_id = EventId(payload[2..18].try_into().expect("sixteen bytes"));
    let micros = i64::from_be_bytes(payload[18..26].try_into().expect("eight bytes"));
    let arrived_at = Timestamp::from_micros(micros).map_err(|_| corrupt())?;
    let mut rest = &payload[FIXED_LEN..];
    let metric = if flags & HAS_METRIC != 0 { Some(text(&mut rest).ok_or_else(corrupt)?) } else { None };
    let dropped_key = if flags & HAS_DROPPED_KEY != 0 { Some(text(&mut rest).ok_or_else(corrupt)?) } else { None };
    Ok(Envelope { arrival_id, arrived_at, format, metric, dropped_key, event: rest })
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, behind) = rest.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let (text, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    std::str::from_utf8(text).ok()
}

/// An envelope from its parts, to pass an archived event through again.
pub(crate) fn rebuild(envelope: &Envelope<'_>) -> Bytes {
    let circumstances =
        Circumstances { metric: envelope.metric.map(Into::into), dropped_key: envelope.dropped_key.map(Into::into) };
    let mut out = BytesMut::with_capacity(FIXED_LEN + envelope.event.len() + 64);
    write_head(envelope.arrival_id.0, envelope.arrived_at, envelope.format, &circumstances, &mut out);
    out.put_slice(envelope.event);
    out.freeze()
}
