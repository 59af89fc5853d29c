//! One shard's log: the files, the newest frames in memory, and the end that readers wait for.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use fineo_core::{Error, ErrorKind, Outcome, Position, Result, ShardId, stream::Appended, stream::Entry};
use tokio::sync::watch;

use super::{
    file::{self, LogFile},
    frame::{self, Frame},
    recover,
};
use crate::{disk::DiskFile, failure, root::Root};

/// Positions are the epoch, which grows with each opening, and the number of the entry in it.
pub(crate) const EPOCH_SHIFT: u32 = 40;

/// A shard of a [`super::Log`].
#[derive(Debug)]
pub(super) struct ShardLog {
    id: ShardId,
    pub(super) root: Arc<Root>,
    folder: PathBuf,
    pub(super) is_closed: bool,
    state: Mutex<State>,
    /// Held while files are synced: who finds nothing to sync must not return before they are.
    syncing: Mutex<()>,
    end: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// In order of positions.
    files: VecDeque<LogFile>,
    /// The last of `files`, when it still takes frames.
    active: Option<Arc<dyn DiskFile>>,
    /// What a sync has to reach.
    unsynced: Vec<(Arc<dyn DiskFile>, PathBuf)>,
    is_folder_unsynced: bool,
    /// How much of the active file is known to be on disk.
    durable: u64,
    /// The position of the next entry.
    next: u64,
    /// The last position ever given; 0 for none.
    last: u64,
    cache: Cache,
}

/// The newest frames.
#[derive(Debug)]
struct Cache {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Every entry behind this position is in `frames`.
    after: u64,
}

impl ShardLog {
    /// Opens what is in `folder` and repairs its end.
    pub(super) fn open(root: &Arc<Root>, id: ShardId, folder: PathBuf, epoch: u64, is_closed: bool) -> Result<Self> {
        root.create_directories(&folder)?;
        let found = recover::recover(root, &folder)?;
        let state = State {
            files: found.files.into(),
            active: None,
            unsynced: Vec::new(),
            is_folder_unsynced: true,
            durable: 0,
            next: (epoch << EPOCH_SHIFT) + 1,
            last: found.last,
            cache: Cache { frames: VecDeque::new(), bytes: 0, after: found.last },
        };
        let end = watch::Sender::new(found.last);
        Ok(Self {
            id,
            root: Arc::clone(root),
            folder,
            is_closed,
            state: Mutex::new(state),
            syncing: Mutex::new(()),
            end,
        })
    }

    pub(super) fn id(&self) -> &ShardId {
        &self.id
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends those of `entries` that `indexes` names and notes what became of each. It counts among `appends` before
    /// readers see it: whoever saw it and syncs, finds that there is something to sync.
    pub(super) fn append(
        &self,
        entries: &[Entry],
        indexes: &[u32],
        outcomes: &mut [Option<Outcome<Appended>>],
        appends: &AtomicU64,
    ) {
        let mut state = self.state();
        let mut rest = indexes;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().position(|index| {
                bytes += entries[*index as usize].payload.len();
                bytes > frame::PAYLOAD_BYTES_MAX
            });
            let (now, later) = rest.split_at(fits.unwrap_or(rest.len()).max(1));
            match self.append_frame(&mut state, entries, now) {
                Ok(first) => {
                    for (index, position) in now.iter().zip(first..) {
                        let appended = Appended { shard: self.id.clone(), position: Position::from(position) };
                        outcomes[*index as usize] = Some(Outcome::Done(appended));
                    }
                }
                Err(error) => {
                    // What did not fit now is not tried again: entries of one key keep their order.
                    for index in now {
                        outcomes[*index as usize] = Some(Outcome::of_error(error.clone()));
                    }
                    for index in later {
                        let error = Error::new(error.kind(), error.message()).with_source(error.clone());
                        outcomes[*index as usize] = Some(Outcome::NotDone(error));
                    }
                    break;
                }
            }
            rest = later;
        }
        appends.fetch_add(1, Ordering::AcqRel);
        self.end.send_replace(state.last);
    }

    fn append_frame(&self, state: &mut State, entries: &[Entry], indexes: &[u32]) -> Result<u64> {
        let active = self.active(state)?;
        let first = state.next;
        let bytes = frame::encode(entries, indexes, first, state.durable);
        self.write(state, &*active, &bytes)?;
        let frame = Frame::of_encoded(Bytes::from(bytes)).expect("it was just encoded");
        state.next = frame.next();
        state.last = frame.next() - 1;
        state.cache.push(frame, self.root.options.log_cache_bytes);
        Ok(first)
    }

    /// Writes at the end of the active file; a failed write leaves the file as it was, or the outcome is unknown.
    fn write(&self, state: &mut State, active: &dyn DiskFile, bytes: &[u8]) -> Result<()> {
        let file = state.files.back_mut().expect("there is an active file");
        let Err(source) = active.write_at(bytes, file.len) else {
            file.len += bytes.len() as u64;
            return Ok(());
        };
        let is_undone = active.set_len(file.len).is_ok();
        let error = failure::disk_error("write", &file.path, source);
        if is_undone && error.kind() == ErrorKind::StorageFull {
            return Err(error);
        }
        self.root.poison(&error);
        Err(error.and_may_have_applied())
    }

    /// The file that takes frames, a new one when there is none or it is full.
    fn active(&self, state: &mut State) -> Result<Arc<dyn DiskFile>> {
        let is_full = state.files.back().is_some_and(|file| file.len >= self.root.options.log_segment_bytes);
        if let Some(active) = &state.active
            && !is_full
        {
            return Ok(Arc::clone(active));
        }
        self.roll(state)
    }

    fn roll(&self, state: &mut State) -> Result<Arc<dyn DiskFile>> {
        // A file is on disk before the next begins, so that only the last one can have a torn end. Little of it is
        // not: whoever acknowledges, syncs.
        for (file, path) in &state.unsynced {
            self.root.sync_file(&**file, path)?;
        }
        if let (Some(active), Some(file)) = (state.active.take(), state.files.back()) {
            self.root.sync_file(&*active, &file.path)?;
        }
        state.unsynced.clear();
        let (first, previous) = (state.next, state.last);
        let path = LogFile::path(&self.folder, first);
        let active = self.root.disk.open(&path, true).map_err(|source| failure::disk_error("create", &path, source))?;
        if let Err(source) = active.write_at(&file::header(previous, first), 0) {
            // An empty file is of no use to anybody; recovery would remove it too.
            let _ = self.root.disk.remove(&path);
            return Err(failure::disk_error("write", &path, source));
        }
        state.unsynced.push((Arc::clone(&active), path.clone()));
        state.is_folder_unsynced = true;
        state.active = Some(Arc::clone(&active));
        state.durable = 0;
        let len = file::HEADER_BYTES as u64;
        state.files.push_back(LogFile { first, previous: Some(previous), len, path });
        Ok(active)
    }

    /// Makes what was appended durable. Blocks.
    pub(super) fn sync(&self) -> Result<()> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut unsynced, is_folder_unsynced, active, len) = {
            let mut state = self.state();
            let active = state.active.clone();
            let len = state.files.back().map_or(0, |file| file.len);
            (std::mem::take(&mut state.unsynced), std::mem::take(&mut state.is_folder_unsynced), active, len)
        };
        if let Some(active) = &active
            && !unsynced.iter().any(|(file, _)| Arc::ptr_eq(file, active))
        {
            unsynced.push((Arc::clone(active), self.folder.clone()));
        }
        for (file, path) in &unsynced {
            self.root.sync_file(&**file, path)?;
        }
        if is_folder_unsynced {
            self.root.sync_directory(&self.folder)?;
        }
        let mut state = self.state();
        let same = matches!((&state.active, &active), (Some(now), Some(then)) if Arc::ptr_eq(now, then));
        if same {
            state.durable = state.durable.max(len);
        }
        Ok(())
    }

    /// Ends the active file with a frame that says that all before it is on disk.
    pub(super) fn seal(&self) -> Result<()> {
        self.sync()?;
        let mut state = self.state();
        let Some(active) = state.active.clone() else { return Ok(()) };
        let bytes = frame::encode(&[], &[], state.next, state.durable);
        self.write(&mut state, &*active, &bytes)
    }

    /// The last position; none when there never was one.
    pub(super) fn tail(&self) -> Option<u64> {
        let last = self.state().last;
        (last > 0).then_some(last)
    }

    /// How many entries there are behind `after`; none where a damaged header keeps that from being told. Positions leap with
    /// each opening of the directory, but a file is of one opening, and its entries are numbered one by one.
    pub(super) fn count_after(&self, after: u64) -> Option<u64> {
        let state = self.state();
        let begin = after.saturating_add(1);
        let mut count = 0;
        for (index, file) in state.files.iter().enumerate() {
            let next = state.files.get(index + 1);
            if next.is_some_and(|next| next.first <= begin) {
                continue;
            }
            let last = next.map_or(Some(state.last), |next| next.previous)?;
            count += (last + 1).saturating_sub(begin.max(file.first));
        }
        Some(count)
    }

    /// Removes files whose entries are all at or before `through`.
    pub(super) fn trim(&self, through: u64) -> Result<()> {
        let mut state = self.state();
        let active_bytes = state.files.back().map_or(0, |file| file.len);
        let has_entries = state.files.back().is_some_and(|file| file.first < state.next);
        if has_entries && state.last <= through && active_bytes > self.root.options.log_segment_bytes / 8 {
            self.roll(&mut state)?;
        }
        // Each file knows the position before it, so a file may go once the next one begins behind `through`.
        let is_trimmed = |next: &LogFile| next.previous.is_some_and(|previous| previous <= through);
        let trimmed = state.files.iter().skip(1).take_while(|next| is_trimmed(next)).count();
        if trimmed == 0 {
            return Ok(());
        }
        // The file that stays must be found again before the others go.
        drop(state);
        self.sync()?;
        let mut state = self.state();
        for _ in 0..trimmed {
            // Somebody else may have trimmed meanwhile.
            if !state.files.get(1).is_some_and(is_trimmed) {
                break;
            }
            let Some(file) = state.files.pop_front() else { break };
            self.root.disk.remove(&file.path).map_err(|source| failure::disk_error("remove", &file.path, source))?;
        }
        Ok(())
    }

    /// Wakes when the last position changes.
    pub(super) fn end(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// The position before the oldest entry that is left, and the first that may be left.
    pub(super) fn start(&self) -> (u64, u64) {
        let state = self.state();
        state.files.front().map_or((0, state.next), |file| {
            let previous = file.previous.unwrap_or(file.first - 1);
            (previous, file.first)
        })
    }

    /// The newest frames behind `after`, when all of those are in memory.
    pub(super) fn cached(&self, after: u64, bytes_max: usize) -> Option<Vec<Frame>> {
        let state = self.state();
        if after < state.cache.after {
            return None;
        }
        let begin = state.cache.frames.partition_point(|frame| frame.next() <= after + 1);
        let mut bytes = 0;
        let enough = |frame: &&Frame| {
            let is_first = bytes == 0;
            bytes += frame.len();
            is_first || bytes <= bytes_max
        };
        Some(state.cache.frames.range(begin..).take_while(enough).cloned().collect())
    }

    /// The file in which the first entry behind `after` may be. Files that begin before `at_least` are passed over.
    pub(super) fn file_of(&self, after: u64, at_least: u64) -> Option<FoundFile> {
        let state = self.state();
        let by_position = state.files.iter().rposition(|file| file.first <= after.saturating_add(1)).unwrap_or(0);
        let mut index = state.files.iter().position(|file| file.first >= at_least)?.max(by_position);
        loop {
            let file = state.files.get(index)?.clone();
            let next = state.files.get(index + 1);
            let last = next.map_or(Some(state.last), |next| next.previous);
            if next.is_some() && last.is_some_and(|last| last <= after) {
                index += 1;
                continue;
            }
            let pass_to = next.map_or(state.last, |next| next.first - 1);
            return Some(FoundFile { file, last, pass_to });
        }
    }
}

/// A file to read from.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) file: LogFile,
    /// The last position in it; unknown when the header of the next file is damaged.
    pub(super) last: Option<u64>,
    /// Behind its end, the position to go on behind.
    pub(super) pass_to: u64,
}

impl Cache {
    fn push(&mut self, frame: Frame, bytes_max: usize) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.bytes > bytes_max {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.len();
            self.after = oldest.next() - 1;
        }
    }
}
