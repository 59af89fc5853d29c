//! Reads a shard: the newest frames from memory, older ones from the files, then waits.

use std::sync::Arc;

use bytes::Bytes;
use fineo_core::{
    Error, ErrorKind, Position, Result,
    stream::{Delivery, ReadFrom},
};
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use super::{
    file::{self, LogFile},
    frame::{self, Frame},
    recover,
    shard::{FoundFile, ShardLog},
};
use crate::{disk::DiskFile, failure};

/// A batch takes no further frame beyond this many bytes.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// The number of a position of this backend; one of another backend is behind all of ours.
pub(super) fn number(position: Position) -> u64 {
    position.to_u128().and_then(|number| u64::try_from(number).ok()).unwrap_or(u64::MAX)
}

/// The deliveries of `shard`, batch by batch.
pub(super) fn deliveries(shard: Arc<ShardLog>, from: ReadFrom) -> BoxStream<'static, Result<Vec<Delivery>>> {
    let end = shard.end();
    let reader = Reader { shard, from, after: None, cursor: None, end };
    Box::pin(stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(batch)) => Some((Ok(batch), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    }))
}

#[derive(Debug)]
struct Reader {
    shard: Arc<ShardLog>,
    from: ReadFrom,
    /// The last position that was delivered or passed over.
    after: Option<u64>,
    cursor: Option<Cursor>,
    end: watch::Receiver<u64>,
}

/// A place in a file.
#[derive(Debug)]
struct Cursor {
    file: LogFile,
    disk_file: Arc<dyn DiskFile>,
    offset: u64,
    /// The position that the frame at `offset` must begin with.
    expected: u64,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Vec<Delivery>>> {
        loop {
            let after = self.begin()?;
            let last = *self.end.borrow_and_update();
            let frames = match self.shard.cached(after, BATCH_BYTES_MAX) {
                Some(frames) => frames,
                None => self.read_file(after).await?,
            };
            let mut batch = Vec::new();
            for frame in &frames {
                frame.deliver(after, &mut batch)?;
            }
            if let Some(delivery) = batch.last() {
                self.after = Some(number(delivery.position));
                return Ok(Some(batch));
            }
            if self.after.is_some_and(|now| now > after) {
                continue;
            }
            if after >= last {
                if self.shard.is_closed {
                    return Ok(None);
                }
                // The sender lives as long as the shard that we hold.
                let _ = self.end.changed().await;
            }
        }
    }

    /// The position to read behind; fails when entries behind it were trimmed.
    fn begin(&mut self) -> Result<u64> {
        if let Some(after) = self.after {
            return Ok(after);
        }
        let (before_first, first) = self.shard.start();
        let after = match self.from {
            ReadFrom::Start => before_first,
            ReadFrom::After(position) => number(position),
        };
        if after < before_first {
            return Err(trimmed(first));
        }
        self.after = Some(after);
        Ok(after)
    }

    /// Frames behind `after` from the file that has them; none when the file has no more.
    async fn read_file(&mut self, after: u64) -> Result<Vec<Frame>> {
        let (before_first, first) = self.shard.start();
        if after < before_first {
            return Err(trimmed(first));
        }
        let at_least = self.cursor.as_ref().map_or(0, |cursor| cursor.file.first);
        let Some(found) = self.shard.file_of(after, at_least) else { return Ok(Vec::new()) };
        let cursor = self.cursor.take().filter(|cursor| cursor.file.first == found.file.first);
        let shard = Arc::clone(&self.shard);
        let work = move || {
            let mut cursor = match cursor {
                Some(cursor) => Cursor { file: found.file.clone(), ..cursor },
                None => Cursor::open(&shard, found.file.clone())?,
            };
            let (frames, passed) = cursor.frames(after, &found)?;
            Ok((cursor, frames, passed))
        };
        let done = tokio::task::spawn_blocking(work).await;
        let done: Result<_> =
            done.map_err(|error| Error::new(ErrorKind::Cancelled, "the read was cut off").with_source(error))?;
        let (cursor, frames, passed) = match done {
            Ok(done) => done,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(trimmed(self.shard.start().1)),
            Err(error) => return Err(error),
        };
        self.cursor = Some(cursor);
        self.after = Some(after.max(passed));
        Ok(frames)
    }
}

fn trimmed(first: u64) -> Error {
    Error::not_found("entries behind this position were trimmed").with("first", Position::from(first))
}

impl Cursor {
    fn open(shard: &ShardLog, file: LogFile) -> Result<Self> {
        let opened = shard.root.disk.open(&file.path, false);
        let disk_file = opened.map_err(|source| failure::disk_error("open", &file.path, source))?;
        let expected = file.first;
        Ok(Self { file, disk_file, offset: file::HEADER_BYTES as u64, expected })
    }

    /// The next frames that have entries behind `after`, and the position up to which nothing is behind it here.
    fn frames(&mut self, after: u64, found: &FoundFile) -> Result<(Vec<Frame>, u64)> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES_MAX && self.offset < self.file.len {
            for frame in self.chunk()? {
                let Some(frame) = frame else {
                    if !frames.is_empty() {
                        // Deliver what is whole; the damage is met again by the next read.
                        return Ok((frames, 0));
                    }
                    self.pass_damage(after, found)?;
                    break;
                };
                self.offset += frame.len() as u64;
                self.expected = frame.next();
                if frame.next() > after + 1 && frame.count > 0 {
                    bytes += frame.len();
                    frames.push(frame);
                }
            }
        }
        if self.offset >= self.file.len && frames.is_empty() {
            if let Some(last) = found.last.filter(|last| self.expected <= *last && after < *last) {
                return Err(self.damage(self.expected, last));
            }
            return Ok((frames, found.pass_to));
        }
        Ok((frames, 0))
    }

    /// Whole frames from the place on; none at its end where the bytes there are no frame.
    fn chunk(&self) -> Result<Vec<Option<Frame>>> {
        const CHUNK: u64 = 256 << 10;
        let left = self.file.len - self.offset;
        // A frame larger than that is read in one piece, whose size it says itself.
        let mut header = [0; frame::HEADER_BYTES];
        let header = &mut header[..frame::HEADER_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let read = self.disk_file.read_at(header, self.offset);
        read.map_err(|source| failure::disk_error("read", &self.file.path, source))?;
        let len = CHUNK.max(frame::frame_bytes(header).unwrap_or(0) as u64).min(left);
        let mut bytes = vec![0; usize::try_from(len).expect("a chunk is small")];
        let read = self.disk_file.read_at(&mut bytes, self.offset);
        read.map_err(|source| failure::disk_error("read", &self.file.path, source))?;
        let bytes = Bytes::from(bytes);
        let mut frames = Vec::new();
        let mut at = 0;
        let mut expected = self.expected;
        while at < bytes.len() {
            let rest = bytes.slice(at..);
            let is_cut =
                rest.len() < frame::HEADER_BYTES || frame::frame_bytes(&rest).is_some_and(|len| len > rest.len());
            if is_cut && at > 0 {
                break;
            }
            let frame = if is_cut {
                recover::frame_at(&*self.disk_file, &self.file, self.offset)?
            } else {
                Frame::decode(&rest)
            };
            let Some(frame) = frame.filter(|frame| frame.first == expected) else {
                frames.push(None);
                break;
            };
            at += frame.len();
            expected = frame.next();
            frames.push(Some(frame));
        }
        Ok(frames)
    }

    /// Finds the next whole frame. What lies between is reported, unless the reader is behind it already.
    fn pass_damage(&mut self, after: u64, found: &FoundFile) -> Result<()> {
        let frame = recover::next_frame(&*self.disk_file, &self.file, self.offset + 1)?;
        let frame = frame.filter(|(_, frame)| frame.first >= self.expected);
        let end = (self.file.len, found.last.unwrap_or(found.pass_to) + 1);
        let (offset, next) = frame.map_or(end, |(offset, frame)| (offset, frame.first));
        if next > after + 1 && next > self.expected {
            return Err(self.damage(self.expected, next - 1));
        }
        self.offset = offset;
        self.expected = next.max(self.expected);
        Ok(())
    }

    fn damage(&self, from: u64, to: u64) -> Error {
        failure::corrupt(&self.file.path, "entries of a log are damaged")
            .with("from", Position::from(from))
            .with("to", Position::from(to))
    }
}
