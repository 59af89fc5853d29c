//! An archive: files that are created once, and removed whole, each with the checksums of its blocks beside it.

mod list;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use fineo_core::{
    Archive, Error, ErrorKind, Outcome, Result,
    archive::{ArchiveCapabilities, Created, SegmentInfo, SegmentName, SegmentQuery},
};
use futures::stream::BoxStream;

use crate::{blocks, disk, failure, root::Root};

const BLOCK_BYTES: usize = 64 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// What the name of the checksums of a file ends with instead of `avro`: the longest name leaves no room for more.
const SIDECAR: &str = "sums";
/// What ends the name of a file that is being written.
const TEMPORARY: &str = "tmp";

/// The archive of a directory.
#[derive(Debug)]
pub(crate) struct LocalArchive {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: Arc<Root>,
    path: PathBuf,
    /// One writer at a time: between "is it there" and "now it is" nobody may come.
    writing: Mutex<()>,
}

impl LocalArchive {
    /// Opens the archive and removes what a crash left half written.
    pub(crate) fn open(root: &Arc<Root>) -> Result<Self> {
        let path = root.path.join("archive");
        root.create_directories(&path)?;
        remove_temporary(&path).map_err(|source| failure::disk_error("clean", &path, source))?;
        Ok(Self { shared: Arc::new(Shared { root: Arc::clone(root), path, writing: Mutex::new(()) }) })
    }
}

fn remove_temporary(folder: &Path) -> io::Result<()> {
    for name in disk::names(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            remove_temporary(&path)?;
        } else if name.ends_with(TEMPORARY) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

impl Shared {
    fn write(&self, name: &SegmentName, bytes: &[u8]) -> Result<Created> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.root.check_writable()?;
        let path = self.path.join(name.path());
        if path.exists() {
            let is_same = self.read(name, None)? == bytes;
            return Ok(if is_same { Created::Same } else { Created::Conflict });
        }
        let folder = path.parent().expect("a segment lies in folders");
        let failed = |source| failure::disk_error("write", &path, source);
        self.root.create_directories(folder)?;
        let temporary = folder.join("segment.tmp");
        let written = self.put(&temporary, bytes).and_then(|()| {
            let sidecar = path.with_extension(SIDECAR);
            let sidecar_temporary = folder.join("sums.tmp");
            let written = self.put(&sidecar_temporary, &sidecar_of(bytes));
            if let Err(error) = written {
                let _ = self.root.disk.remove(&sidecar_temporary);
                return Err(error);
            }
            self.root.disk.rename(&sidecar_temporary, &sidecar).map_err(failed)?;
            // The checksums are on disk before there is a file that needs them.
            self.root.sync_directory(folder)?;
            self.root.disk.link(&temporary, &path).map_err(failed)
        });
        // Whatever became of it, the half of it goes.
        let _ = self.root.disk.remove(&temporary);
        written?;
        self.root.sync_directory(folder)?;
        Ok(Created::New)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let failed = |source| failure::disk_error("write", path, source);
        let file = self.root.disk.open(path, true).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        file.write_at(bytes, 0).map_err(failed)?;
        self.root.sync_file(&*file, path)
    }

    fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        let path = self.path.join(name.path());
        let absent = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::not_found("no such segment").with("segment", name.path()),
            _ => failure::disk_error("open", &path, source),
        };
        let file = self.root.disk.open(&path, false).map_err(absent)?;
        let (len, checksums) = match self.checksums(&path.with_extension(SIDECAR)) {
            // It was removed while it was being read.
            Err(_) if !path.exists() => return Err(absent(io::ErrorKind::NotFound.into())),
            checksums => checksums?,
        };
        if file.len().map_err(absent)? != len {
            return Err(failure::corrupt(&path, "segment has another length").with("bytes", len));
        }
        let (from, to) = range.unwrap_or((0, len));
        if from > to || to > len {
            return Err(Error::invalid("range beyond the segment")
                .with("from", from)
                .with("to", to)
                .with("bytes", len));
        }
        let block = BLOCK_BYTES as u64;
        let first_block = from / block;
        let (begin, end) = (first_block * block, to.div_ceil(block).saturating_mul(block).min(len));
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(begin)).expect("a segment fits in memory")];
        file.read_at(&mut bytes, begin).map_err(|source| failure::disk_error("read", &path, source))?;
        let first = usize::try_from(first_block).expect("a segment fits in memory");
        if let Some(bad) = blocks::first_bad(&bytes, BLOCK_BYTES, first, &checksums) {
            let from = bad as u64 * block;
            let error = failure::corrupt(&path, "segment is damaged").with("from", from).with("to", from + block);
            return Err(error.with("first", name.first).with("last", name.last));
        }
        let offset = |at: u64| usize::try_from(at - begin).expect("a segment fits in memory");
        Ok(Bytes::from(bytes).slice(offset(from.max(begin))..offset(to.max(begin))))
    }

    /// The segment goes before its checksums: what a crash leaves is no segment, and is written over.
    fn remove(&self, name: &SegmentName) -> Result<bool> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.root.check_writable()?;
        let path = self.path.join(name.path());
        let failed = |source| failure::disk_error("remove", &path, source);
        let is_there = path.exists();
        if is_there {
            self.root.disk.remove(&path).map_err(failed)?;
        }
        let folder = path.parent().expect("a segment lies in folders");
        if folder.exists() {
            self.root.sync_directory(folder)?;
        }
        let sidecar = path.with_extension(SIDECAR);
        if sidecar.exists() {
            self.root.disk.remove(&sidecar).map_err(failed)?;
        }
        Ok(is_there)
    }

    /// The length and checksums that a sidecar tells.
    fn checksums(&self, path: &Path) -> Result<(u64, Vec<u32>)> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(failure::corrupt(path, "checksums of a segment are missing"));
            }
            Err(source) => return Err(failure::disk_error("read", path, source)),
        };
        parse_sidecar(&bytes).ok_or_else(|| failure::corrupt(path, "checksums of a segment are damaged"))
    }
}

/// Its own checksum, the length of the file, the checksum of each block.
fn sidecar_of(bytes: &[u8]) -> Vec<u8> {
    let mut body = (bytes.len() as u64).to_le_bytes().to_vec();
    for checksum in blocks::checksums(bytes, BLOCK_BYTES) {
        body.extend_from_slice(&checksum.to_le_bytes());
    }
    let mut sidecar = crc32c::crc32c(&body).to_le_bytes().to_vec();
    sidecar.extend_from_slice(&body);
    sidecar
}

fn parse_sidecar(bytes: &[u8]) -> Option<(u64, Vec<u32>)> {
    let (checksum, body) = bytes.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*checksum) == crc32c::crc32c(body)).then_some(())?;
    let (len, checksums) = body.split_first_chunk::<8>()?;
    let checksums = checksums.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    Some((u64::from_le_bytes(*len), checksums.collect()))
}

impl fmt::Display for LocalArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local archive in {}", self.shared.path.display())
    }
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Cancelled, "the work was cut off").with_source(error).and_may_have_applied())
    })
}

#[async_trait]
impl Archive for LocalArchive {
    fn capabilities(&self) -> ArchiveCapabilities {
        ArchiveCapabilities {
            durability: self.shared.root.durability(),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            listed_within: None,
        }
    }

    async fn write(&self, name: &SegmentName, bytes: Bytes) -> Outcome<Created> {
        if bytes.len() as u64 > SEGMENT_BYTES_MAX {
            let error = Error::invalid("segment too large").with("bytes", bytes.len());
            return Outcome::NotDone(error.with("bytes_max", SEGMENT_BYTES_MAX));
        }
        let (shared, name) = (Arc::clone(&self.shared), name.clone());
        blocking(move || shared.write(&name, &bytes)).await.into()
    }

    fn segments(&self, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
        list::segments(self.shared.path.clone(), query)
    }

    async fn read(&self, name: &SegmentName, range: Option<(u64, u64)>) -> Result<Bytes> {
        let (shared, name) = (Arc::clone(&self.shared), name.clone());
        blocking(move || shared.read(&name, range)).await
    }

    async fn remove(&self, name: &SegmentName) -> Outcome<bool> {
        let (shared, name) = (Arc::clone(&self.shared), name.clone());
        blocking(move || shared.remove(&name)).await.into()
    }
}
