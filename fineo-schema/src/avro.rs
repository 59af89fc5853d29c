//! Avro's binary encoding, as far as records and segments need it: zigzag numbers, lengths, and a reader that trusts
//! no length.

use fineo_core::{Error, Result};

/// Appends `value` as Avro's `long` (or `int`).
#[inline]
pub fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// Appends `bytes` as Avro's `bytes` (or `string`).
#[inline]
pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(i64::try_from(bytes.len()).expect("a slice is shorter than 2^63"), out);
    out.extend_from_slice(bytes);
}

/// Appends `text` as Avro's `["null", "string"]`.
pub fn write_optional(text: Option<&str>, out: &mut Vec<u8>) {
    write_long(i64::from(text.is_some()), out);
    if let Some(text) = text {
        write_bytes(text.as_bytes(), out);
    }
}

/// Reads Avro from bytes that may be anything: whatever they do not hold is [`fineo_core::ErrorKind::Corrupt`].
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    #[inline]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// One byte as it is.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    #[inline]
    pub fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*first)
    }

    /// A `long` or an `int`.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    #[inline]
    pub fn long(&mut self) -> Result<i64> {
        // Most numbers are lengths and small steps.
        if let [first, rest @ ..] = self.rest
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(i64::from(*first >> 1) ^ -i64::from(*first & 1));
        }
        self.wide_long()
    }

    fn wide_long(&mut self) -> Result<i64> {
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

    /// A `bytes`.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.long()?).map_err(|_| Error::corrupt("an avro length is negative"))?;
        self.take(length)
    }

    /// A `string`.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Error::corrupt("an avro string is not utf-8"))
    }

    /// A `["null", "string"]`.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    pub fn optional(&mut self) -> Result<Option<&'a str>> {
        if self.is_present()? { self.text().map(Some) } else { Ok(None) }
    }

    /// The next `length` bytes as they are.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A `fixed` of `N` bytes.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    #[inline]
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| ends_early())
    }

    /// Whether the second branch of a `["null", T]` union follows.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    #[inline]
    pub fn is_present(&mut self) -> Result<bool> {
        match self.rest {
            [0, rest @ ..] => {
                self.rest = rest;
                Ok(false)
            }
            [2, rest @ ..] => {
                self.rest = rest;
                Ok(true)
            }
            _ => Err(self.no_branch()),
        }
    }

    /// Why the number that follows is none of two branches. Any of more bytes than one is too large.
    #[cold]
    fn no_branch(&mut self) -> Error {
        match self.long() {
            Ok(branch) => Error::corrupt("an avro union has no such branch").with("branch", branch),
            Err(error) => error,
        }
    }

    /// How many items the next block of an array or map has; 0 ends it. Each item takes a byte at least.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    pub fn block(&mut self) -> Result<u64> {
        let count = self.long()?;
        if count < 0 {
            let size = self.long()?;
            if usize::try_from(size).map_or(true, |size| size > self.rest.len()) {
                return Err(Error::corrupt("an avro block is longer than what it is in"));
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
    Error::corrupt("an avro value ends early")
}
