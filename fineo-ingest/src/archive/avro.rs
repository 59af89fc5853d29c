//! Avro's binary encoding, as far as segments need it; the reader trusts no length.

use fineo_core::{Error, Result};

pub(crate) fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(i64::try_from(bytes.len()).expect("a slice is shorter than 2^63"), out);
    out.extend_from_slice(bytes);
}

/// A `["null", "string"]`.
pub(crate) fn write_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        None => write_long(0, out),
        Some(text) => {
            write_long(1, out);
            write_bytes(text.as_bytes(), out);
        }
    }
}

/// Reads from bytes that may be anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| ends_early())
    }

    pub(crate) fn long(&mut self) -> Result<i64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.fixed::<1>()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Error::corrupt("an avro number has more than 64 bits"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.long()?).map_err(|_| Error::corrupt("an avro length is negative"))?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Error::corrupt("an avro string is not utf-8"))
    }

    pub(crate) fn optional(&mut self) -> Result<Option<&'a str>> {
        match self.long()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            branch => Err(Error::corrupt("an avro union has no such branch").with("branch", branch)),
        }
    }
}

/// Says that bytes end before what they hold; a segment's header may then be read further.
fn ends_early() -> Error {
    Error::corrupt("an avro value ends early")
}
