//! Finds what a crash left of a shard's log and cuts off the torn end.

use std::path::Path;

use bytes::Bytes;
use fineo_core::Result;

use super::{
    file::{self, LogFile},
    frame::{self, Frame},
};
use crate::{disk, disk::DiskFile, failure, root::Root};

/// What is left.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The files, in order of positions.
    pub(super) files: Vec<LogFile>,
    /// The last position; 0 when there never was one.
    pub(super) last: u64,
}

/// Looks at the files of `folder`; only the last one can have a torn end.
pub(super) fn recover(root: &Root, folder: &Path) -> Result<Recovered> {
    let names = disk::names(folder).map_err(|source| failure::disk_error("list", folder, source))?;
    let mut files = Vec::new();
    for first in names.iter().filter_map(|name| LogFile::first_of_name(name)) {
        let path = LogFile::path(folder, first);
        let (_, file) = open(root, &path, first)?;
        files.push(file);
    }
    let mut last = 0;
    while let Some(file) = files.last_mut() {
        let (disk_file, _) = open(root, &file.path, file.first)?;
        let end = end_of(&*disk_file, file)?;
        let is_empty = end.frames == 0 && !end.is_damaged;
        last = end.last.or(file.previous).unwrap_or(0);
        if !end.is_damaged && end.len < file.len {
            tracing::warn!(path = %file.path.display(), from = end.len, to = file.len, "cut off a torn end");
            disk_file.set_len(end.len).map_err(|source| failure::disk_error("cut", &file.path, source))?;
            root.sync_file(&*disk_file, &file.path)?;
            file.len = end.len;
        }
        // An empty file that is not the only one says nothing that its forerunner does not.
        if !is_empty || (files.len() == 1 && last > 0) {
            break;
        }
        if let Some(empty) = files.pop() {
            root.disk.remove(&empty.path).map_err(|source| failure::disk_error("remove", &empty.path, source))?;
        }
    }
    Ok(Recovered { files, last })
}

fn open(root: &Root, path: &Path, first: u64) -> Result<(std::sync::Arc<dyn DiskFile>, LogFile)> {
    let failed = |source| failure::disk_error("open", path, source);
    let disk_file = root.disk.open(path, false).map_err(failed)?;
    let len = disk_file.len().map_err(failed)?;
    let mut header = [0; file::HEADER_BYTES];
    let previous = if len >= header.len() as u64 {
        disk_file.read_at(&mut header, 0).map_err(failed)?;
        file::previous_of_header(&header, first)
    } else {
        None
    };
    Ok((disk_file, LogFile { first, previous, len, path: path.to_path_buf() }))
}

/// Where the frames of a file end.
struct End {
    len: u64,
    last: Option<u64>,
    frames: usize,
    /// Whether bytes that had reached the disk are not what was written: nothing may be cut off then.
    is_damaged: bool,
}

fn end_of(disk_file: &dyn DiskFile, log_file: &LogFile) -> Result<End> {
    let start = file::HEADER_BYTES as u64;
    let mut end = End { len: start.min(log_file.len), last: None, frames: 0, is_damaged: false };
    let mut at = start;
    while let Some(frame) = frame_at(disk_file, log_file, at)? {
        at += frame.len() as u64;
        end.len = at;
        end.frames += 1;
        if frame.count > 0 {
            end.last = Some(frame.next() - 1);
        }
    }
    // A later frame that knows the bad place to have been on disk tells damage from a torn end.
    let bad = end.len;
    let mut from = bad;
    while let Some((offset, frame)) = next_frame(disk_file, log_file, from)? {
        from = offset + frame.len() as u64;
        if frame.durable > bad {
            end.is_damaged = true;
        }
        if end.is_damaged && frame.next() > 1 {
            end.last = Some(frame.next() - 1).max(end.last);
        }
    }
    Ok(end)
}

/// The frame at `offset`, if a whole one is there.
pub(super) fn frame_at(disk_file: &dyn DiskFile, log_file: &LogFile, offset: u64) -> Result<Option<Frame>> {
    let left = log_file.len.saturating_sub(offset);
    if left < frame::HEADER_BYTES as u64 {
        return Ok(None);
    }
    let failed = |source| failure::disk_error("read", &log_file.path, source);
    let mut header = [0; frame::HEADER_BYTES];
    disk_file.read_at(&mut header, offset).map_err(failed)?;
    let Some(len) = frame::frame_bytes(&header).filter(|len| *len as u64 <= left) else { return Ok(None) };
    let mut bytes = vec![0; len];
    disk_file.read_at(&mut bytes, offset).map_err(failed)?;
    Ok(Frame::decode(&Bytes::from(bytes)))
}

/// The next whole frame behind `offset`, wherever it begins.
pub(super) fn next_frame(disk_file: &dyn DiskFile, log_file: &LogFile, offset: u64) -> Result<Option<(u64, Frame)>> {
    const WINDOW: usize = 1 << 20;
    let mut at = offset;
    while at + (frame::HEADER_BYTES as u64) <= log_file.len {
        let len = usize::try_from(log_file.len - at).unwrap_or(WINDOW).min(WINDOW);
        let mut window = vec![0; len];
        let read = disk_file.read_at(&mut window, at);
        read.map_err(|source| failure::disk_error("read", &log_file.path, source))?;
        for found in 0..len.saturating_sub(frame::MAGIC.len() - 1) {
            if window[found..found + frame::MAGIC.len()] == frame::MAGIC
                && let Some(frame) = frame_at(disk_file, log_file, at + found as u64)?
            {
                return Ok(Some((at + found as u64, frame)));
            }
        }
        at += (len - frame::MAGIC.len() + 1) as u64;
    }
    Ok(None)
}
