//! Avro's binary encoding: zigzag numbers, lengths, and a reader that trusts no length.

use fineo_core::{Error, Result};

/// Appends `value` as Avro's `long` (or `int`).
pub(crate) fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// Appends `bytes` as Avro's `bytes` (or `string`).
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(i64::try_from(bytes.len()).expect("a slice is shorter than 2^63"), out);
    out.extend_from_slice(bytes);
}

/// Reads Avro from bytes that may be anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn long(&mut self) -> Result<i64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
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

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| ends_early())
    }

    /// Whether the second branch of a `["null", T]` union follows.
    pub(crate) fn is_present(&mut self) -> Result<bool> {
        match self.long()? {
            0 => Ok(false),
            1 => Ok(true),
            branch => Err(Error::corrupt("an avro union has no such branch").with("branch", branch)),
        }
    }

    /// How many items the next block of an array or map has; 0 ends it. Each item takes a byte at least.
    pub(crate) fn block(&mut self) -> Result<u64> {
        let count = self.long()?;
        if count < 0 {
            let size = self.long()?;
            if usize::try_from(size).map_or(true, |size| size > self.rest.len()) {
                return Err(Error::corrupt("an avro block is longer than its record"));
            }
        }
        let items = count.unsigned_abs();
        if items > self.rest.len() as u64 {
            return Err(Error::corrupt("an avro block has more items than bytes"));
        }
        Ok(items)
    }
}

fn ends_early() -> Error {
    Error::corrupt("an avro record ends early")
}
