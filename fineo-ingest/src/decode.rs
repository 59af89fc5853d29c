//! Unpacks what files hold, within bounds.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
};

/// The most bytes that one packed byte may become, once [`RATIO_FREE_BYTES`] are out.
const RATIO_MAX: u64 = 1_000;
const RATIO_FREE_BYTES: u64 = 64 << 20;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Reads plain, gzip- or zstd-packed bytes as plain ones; which they are, their first bytes say. Packed bytes are
/// unpacked once: what is packed twice stays packed.
///
/// Reading fails with [`io::ErrorKind::InvalidData`] when the packing is broken, and when few bytes become
/// absurdly many.
pub struct Decoder {
    inner: Box<dyn Read + Send>,
    packed: std::sync::Arc<std::sync::atomic::AtomicU64>,
    unpacked: u64,
    is_packed: bool,
}

impl Decoder {
    /// Looks at the first bytes of `source`.
    ///
    /// # Errors
    ///
    /// When `source` cannot be read.
    pub fn new(source: impl Read + Send + 'static) -> io::Result<Self> {
        let packed = std::sync::Arc::default();
        let counted = Counted { inner: source, count: std::sync::Arc::clone(&packed) };
        let mut source = BufReader::with_capacity(256 << 10, counted);
        let head = source.fill_buf()?;
        let (inner, is_packed): (Box<dyn Read + Send>, bool) = if head.starts_with(GZIP) {
            (Box::new(flate2::bufread::MultiGzDecoder::new(source)), true)
        } else if head.starts_with(ZSTD) {
            (Box::new(zstd::stream::read::Decoder::with_buffer(source)?), true)
        } else {
            (Box::new(source), false)
        };
        Ok(Self { inner, packed, unpacked: 0, is_packed })
    }

    /// Bytes read from the source so far, packed as they are.
    pub fn packed_bytes(&self) -> u64 {
        self.packed.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Read for Decoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out).map_err(|error| {
            let kind = if self.is_packed { io::ErrorKind::InvalidData } else { error.kind() };
            io::Error::new(kind, error)
        })?;
        self.unpacked += read as u64;
        let bound = RATIO_FREE_BYTES + self.packed_bytes().saturating_mul(RATIO_MAX);
        if self.is_packed && self.unpacked > bound {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a few packed bytes become absurdly many"));
        }
        Ok(read)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("is_packed", &self.is_packed).finish_non_exhaustive()
    }
}

struct Counted<R> {
    inner: R,
    count: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count.fetch_add(read as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(read)
    }
}
