//! Unpacks what files hold, within bounds.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
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
/// absurdly many; a failure of the source stays what it is.
pub struct Decoder {
    inner: Box<dyn Read + Send>,
    watched: Arc<Watched>,
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
        Self::within(source, None)
    }

    /// As [`Decoder::new`], with at most two to the power of `window_log_max` bytes of zstd's window, or as many as zstd takes by
    /// itself, 128 MiB: so much memory a few packed bytes may ask for.
    ///
    /// # Errors
    ///
    /// As [`Decoder::new`].
    pub fn within(source: impl Read + Send + 'static, window_log_max: Option<u32>) -> io::Result<Self> {
        let watched = Arc::default();
        let mut source = BufReader::with_capacity(256 << 10, Source { inner: source, watched: Arc::clone(&watched) });
        let head = source.fill_buf()?;
        let (inner, is_packed): (Box<dyn Read + Send>, bool) = if head.starts_with(GZIP) {
            (Box::new(flate2::bufread::MultiGzDecoder::new(source)), true)
        } else if head.starts_with(ZSTD) {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            if let Some(window_log_max) = window_log_max {
                decoder.window_log_max(window_log_max)?;
            }
            (Box::new(decoder), true)
        } else {
            (Box::new(source), false)
        };
        Ok(Self { inner, watched, unpacked: 0, is_packed })
    }

    /// Bytes read from the source so far, packed as they are.
    pub fn packed_bytes(&self) -> u64 {
        self.watched.bytes.load(Ordering::Relaxed)
    }
}

impl Read for Decoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out).map_err(|error| {
            let is_broken = self.is_packed && !self.watched.has_failed.load(Ordering::Relaxed);
            let kind = if is_broken { io::ErrorKind::InvalidData } else { error.kind() };
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

/// What is known of a source: whoever unpacks takes its failures for broken packing.
#[derive(Default)]
struct Watched {
    bytes: AtomicU64,
    has_failed: AtomicBool,
}

struct Source<R> {
    inner: R,
    watched: Arc<Watched>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out);
        match &read {
            Ok(read) => drop(self.watched.bytes.fetch_add(*read as u64, Ordering::Relaxed)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.watched.has_failed.store(true, Ordering::Relaxed),
        }
        read
    }
}

#[cfg(test)]
mod tests {
    //! Broken packing, and sources that break.

    use std::io::{self, Read, Write};

    use super::Decoder;

    /// Fails behind its bytes.
    struct Broken(io::Cursor<Vec<u8>>);

    impl Read for Broken {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
                read => Ok(read),
            }
        }
    }

    fn kind(source: impl Read + Send + 'static) -> io::ErrorKind {
        let mut unpacked = Vec::new();
        Decoder::new(source).and_then(|mut decoder| decoder.read_to_end(&mut unpacked)).unwrap_err().kind()
    }

    #[test]
    fn a_window_is_no_larger_than_it_may_be() {
        for (window_log, is_read) in [(20, true), (23, true), (24, false), (27, false)] {
            let mut packed = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
            packed.window_log(window_log).unwrap();
            packed.write_all(&[b'x'; 4096]).unwrap();
            let packed = packed.finish().unwrap();
            let read = |window_log_max: Option<u32>| {
                let mut unpacked = Vec::new();
                let mut decoder = Decoder::within(io::Cursor::new(packed.clone()), window_log_max)?;
                decoder.read_to_end(&mut unpacked)
            };
            let kind = read(Some(23)).map_err(|error| error.kind());
            assert_eq!(kind, if is_read { Ok(4096) } else { Err(io::ErrorKind::InvalidData) }, "{window_log}");
            assert_eq!(read(None).unwrap(), 4096, "{window_log}");
        }
    }

    #[test]
    fn a_source_that_fails_is_told_from_broken_packing() {
        let text: Vec<u8> = (0..1 << 20).map(|at: u32| (at.wrapping_mul(at) >> 7) as u8).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        for mut packed in [gzip.finish().unwrap(), zstd::encode_all(&*text, 1).unwrap()] {
            let half = packed.len() / 2;
            assert_eq!(kind(Broken(io::Cursor::new(packed[..half].to_vec()))), io::ErrorKind::TimedOut);
            assert_eq!(kind(io::Cursor::new(packed[..half].to_vec())), io::ErrorKind::InvalidData);
            packed[half] ^= 0xff;
            packed.truncate(half + 1);
            assert_eq!(kind(io::Cursor::new(packed)), io::ErrorKind::InvalidData);
        }
    }
}
