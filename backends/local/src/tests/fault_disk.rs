//! A disk that can be full, fail to sync, and lose what was not synced.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, ThreadId},
};

use crate::disk::{Disk, DiskFile, SystemDisk};

/// What goes wrong, and what would be lost.
#[derive(Debug, Default)]
struct State {
    /// How many bytes may be stored; none for any number.
    capacity: Option<u64>,
    used: u64,
    /// How many bytes were written.
    written: u64,
    syncs: u64,
    /// The number of the sync that fails, counted from 0.
    failing_sync: Option<u64>,
    is_dead: bool,
    /// Whether the next sync of a file panics.
    is_panicking: bool,
    /// Whether syncs of files wait.
    is_held: bool,
    /// Files whose paths have the text in them are not opened: the system says the code.
    refused: Option<(&'static str, i32)>,
    /// Reads and writes of files wait whose paths have this in them.
    held_of: Option<&'static str>,
    /// How often was read, and by which thread.
    reads: Vec<ThreadId>,
    /// Writes since the last sync of the file, oldest first: offset, what was there, length before.
    unsynced: BTreeMap<PathBuf, Vec<Undo>>,
    /// Files whose names are not on disk yet.
    unsynced_names: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone)]
struct Undo {
    offset: u64,
    before: Vec<u8>,
    len_before: u64,
}

/// A real folder on a disk with faults.
#[derive(Debug, Default, Clone)]
pub(super) struct FaultDisk(Arc<Mutex<State>>, Arc<Condvar>);

#[derive(Debug)]
struct FaultFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    disk: FaultDisk,
}

fn system() -> SystemDisk {
    SystemDisk::new(false)
}

fn failed(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl FaultDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.is_dead { Err(failed("the machine is off")) } else { Ok(state) }
    }

    /// From now on at most `bytes` more can be stored.
    pub(super) fn set_free(&self, bytes: u64) {
        let mut state = self.state();
        state.capacity = Some(state.used + bytes);
    }

    /// The sync that is `after` the next fails.
    pub(super) fn fail_sync(&self, after: u64) {
        let mut state = self.state();
        state.failing_sync = Some(state.syncs + after);
    }

    /// Whether the sync to fail has come.
    pub(super) fn has_failed(&self) -> bool {
        let state = self.state();
        state.failing_sync.is_some_and(|failing| state.syncs > failing)
    }

    /// The next sync of a file panics.
    pub(super) fn panic_at_sync(&self) {
        self.state().is_panicking = true;
    }

    /// Syncs of files wait from now on.
    pub(super) fn hold_syncs(&self) {
        self.state().is_held = true;
    }

    /// They wait no more.
    pub(super) fn release_syncs(&self) {
        self.state().is_held = false;
        self.1.notify_all();
    }

    /// Files whose paths have `of` in them are not opened from now on: the system says `code`.
    pub(super) fn refuse(&self, of: &'static str, code: i32) {
        self.state().refused = Some((of, code));
    }

    /// Reads and writes of files whose paths have `of` in them wait from now on.
    pub(super) fn hold(&self, of: &'static str) {
        self.state().held_of = Some(of);
    }

    /// They wait no more.
    pub(super) fn release(&self) {
        self.state().held_of = None;
        self.1.notify_all();
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> u64 {
        self.state().written
    }

    /// How often something was synced.
    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// How often something was read.
    pub(super) fn reads(&self) -> u64 {
        self.state().reads.len() as u64
    }

    /// How often this thread read something.
    pub(super) fn reads_here(&self) -> usize {
        self.state().reads.iter().filter(|of| **of == thread::current().id()).count()
    }

    /// Turns the machine off: of what was not synced some is lost, as `chance` says (a number below its argument).
    pub(super) fn crash(&self, mut chance: impl FnMut(u64) -> u64) {
        let mut state = self.state();
        state.is_dead = true;
        for (path, undos) in std::mem::take(&mut state.unsynced) {
            let Ok(file) = system().open(&path, false) else { continue };
            // In order, or any of them: files that are only appended to may lose what is in the middle.
            let kept_in_order = chance(undos.len() as u64 + 1);
            let any_order = chance(4) == 0;
            for (number, undo) in undos.iter().enumerate().rev() {
                let is_lost = if any_order { chance(2) == 0 } else { number as u64 >= kept_in_order };
                if is_lost {
                    let torn = if number as u64 == kept_in_order { chance(undo.before.len() as u64 + 1) } else { 0 };
                    let torn = usize::try_from(torn).unwrap() / 512 * 512;
                    file.write_at(&undo.before[torn..], undo.offset + torn as u64).unwrap();
                    if !any_order && torn == 0 {
                        file.set_len(undo.len_before).unwrap();
                    }
                }
            }
        }
        for path in std::mem::take(&mut state.unsynced_names) {
            if chance(2) == 0 {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.alive()?;
        if let Some((of, code)) = state.refused
            && path.to_string_lossy().contains(of)
        {
            return Err(io::Error::from_raw_os_error(code));
        }
        let is_new = !path.exists();
        let file = system().open(path, create)?;
        if is_new {
            state.unsynced_names.insert(path.to_path_buf());
        }
        Ok(Arc::new(FaultFile { path: path.to_path_buf(), file, disk: self.clone() }))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.count_sync()?;
        state.unsynced_names.retain(|name| name.parent() != Some(path));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.unsynced_names.insert(to.to_path_buf());
        system().link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.unsynced_names.remove(from);
        state.unsynced_names.insert(to.to_path_buf());
        system().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.used = state.used.saturating_sub(path.metadata().map_or(0, |meta| meta.len()));
        state.unsynced.remove(path);
        state.unsynced_names.remove(path);
        system().remove(path)
    }
}

impl State {
    fn count_sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.failing_sync == Some(self.syncs - 1) { Err(failed("the sync failed")) } else { Ok(()) }
    }
}

impl FaultFile {
    /// Waits as long as the file is held.
    fn unheld<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let is_held = |state: &mut State| state.held_of.is_some_and(|of| self.path.to_string_lossy().contains(of));
        self.disk.1.wait_while(state, is_held).unwrap()
    }
}

impl DiskFile for FaultFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.unheld(self.disk.alive()?);
        let len_before = self.file.len()?;
        let growth = (offset + bytes.len() as u64).saturating_sub(len_before);
        let room = state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used));
        let missing = usize::try_from(growth.saturating_sub(room)).unwrap();
        let written = &bytes[..bytes.len().saturating_sub(missing)];
        let mut before = vec![0; written.len()];
        let readable = usize::try_from(len_before.saturating_sub(offset)).unwrap().min(before.len());
        self.file.read_at(&mut before[..readable], offset)?;
        self.file.write_at(written, offset)?;
        state.used += growth.min(room);
        state.written += written.len() as u64;
        state.unsynced.entry(self.path.clone()).or_default().push(Undo { offset, before, len_before });
        if missing > 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.unheld(self.disk.state()).reads.push(thread::current().id());
        self.file.read_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let state = self.disk.alive()?;
        let mut state = self.disk.1.wait_while(state, |state| state.is_held).unwrap();
        if std::mem::take(&mut state.is_panicking) {
            drop(state);
            panic!("a defect");
        }
        let result = state.count_sync();
        // Linux marks the pages clean, whether the sync failed or not.
        if result.is_ok() {
            state.unsynced.remove(&self.path);
        }
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.alive()?;
        let before = self.file.len()?;
        let room = state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used));
        if len > before && len - before > room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.used = (state.used + len).saturating_sub(before);
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
