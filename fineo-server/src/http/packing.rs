//! Bodies that are packed, unpacked as they come.

use std::io::{self, Write};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::problem::Problem;

/// The largest window that a zstd body may ask for: 8 MiB.
pub(super) const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// About the most bytes that one step makes.
const STEP_BYTES: usize = 32 << 10;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    /// What the headers of a request say of its body.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let first = values.next().map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
        let packing = match first.as_deref() {
            None | Some("" | "identity") => Some(Self::None),
            Some("gzip" | "x-gzip") => Some(Self::Gzip),
            Some("zstd") => Some(Self::Zstd),
            Some(_) => None,
        };
        packing.filter(|_| values.next().is_none()).ok_or_else(|| {
            let detail = "a body is packed once, with gzip or zstd, or not at all";
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail)
        })
    }
}

/// Unpacks a body step by step, each of which makes little, however much the body becomes.
pub(super) enum Unpacker {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd(Box<Frames>),
}

/// The frames of a zstd body.
pub(super) struct Frames {
    decoder: Decoder<'static>,
    /// Whether the last frame has begun and not ended.
    is_open: bool,
    /// Whether there may be more to take out although nothing is left to put in.
    is_full: bool,
}

impl Unpacker {
    /// None for a body that is not packed.
    pub(super) fn new(packing: Packing) -> Result<Option<Self>, Problem> {
        Ok(match packing {
            Packing::None => None,
            Packing::Gzip => Some(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            Packing::Zstd => {
                let mut decoder = Decoder::new().map_err(unreadable)?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(unreadable)?;
                Some(Self::Zstd(Box::new(Frames { decoder, is_open: false, is_full: false })))
            }
        })
    }

    /// Takes some of `packed` and adds what it becomes to `out`. None when more of the body has to come first.
    pub(super) fn step(&mut self, packed: &mut Bytes, out: &mut Vec<u8>) -> Result<Option<()>, Problem> {
        match self {
            Self::Gzip(_) if packed.is_empty() => Ok(None),
            Self::Gzip(decoder) => {
                let read = decoder.write(packed).map_err(unreadable)?;
                if read == 0 {
                    return Err(unreadable(io::ErrorKind::InvalidData.into()));
                }
                packed.advance(read);
                out.append(decoder.get_mut());
                Ok(Some(()))
            }
            Self::Zstd(frames) if packed.is_empty() && !frames.is_full => Ok(None),
            Self::Zstd(frames) => frames.step(packed, out).map(Some),
        }
    }

    /// Adds what is left, once all of the body has been taken.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        match self {
            Self::Gzip(decoder) => {
                decoder.try_finish().map_err(unreadable)?;
                out.append(decoder.get_mut());
                Ok(())
            }
            Self::Zstd(frames) if frames.is_open => Err(unreadable(io::ErrorKind::UnexpectedEof.into())),
            Self::Zstd(_) => Ok(()),
        }
    }
}

impl Frames {
    fn step(&mut self, packed: &mut Bytes, out: &mut Vec<u8>) -> Result<(), Problem> {
        let start = out.len();
        out.resize(start + STEP_BYTES, 0);
        let status = self.decoder.run_on_buffers(packed, &mut out[start..]).map_err(unreadable)?;
        out.truncate(start + status.bytes_written);
        packed.advance(status.bytes_read);
        self.is_open = status.remaining > 0;
        self.is_full = self.is_open && status.bytes_written == STEP_BYTES;
        Ok(())
    }
}

/// Unpacks at most `max` bytes.
pub(super) fn unpack(packing: Packing, mut packed: Bytes, max: usize) -> Result<Bytes, Problem> {
    let Some(mut unpacker) = Unpacker::new(packing)? else { return Ok(packed) };
    let mut unpacked = Vec::new();
    loop {
        let step = unpacker.step(&mut packed, &mut unpacked)?;
        if step.is_none() {
            unpacker.finish(&mut unpacked)?;
        }
        if unpacked.len() > max {
            return Err(Problem::too_large(max));
        }
        if step.is_none() {
            return Ok(unpacked.into());
        }
    }
}

fn unreadable(_source: io::Error) -> Problem {
    Problem::bad_request("body_unreadable", "the body is not what its Content-Encoding says")
}

#[cfg(test)]
mod tests;
