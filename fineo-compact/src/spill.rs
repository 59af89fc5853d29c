//! Bytes in many groups that together may be larger than memory: what is over the budget goes to scratch files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    ops::RangeInclusive,
    path::PathBuf,
};

use fineo_core::{Error, ErrorKind, Result};

/// A part of a group in memory grows to this, further only for an entry that does not fit: to grow it is to copy it.
const PART_BYTES: usize = 64 << 10;
/// Where a part has less room, the next one begins.
const ROOM_BYTES: usize = 1 << 10;

/// Where scratch files are made. They have no name there and vanish with the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch(pub(crate) Option<PathBuf>);

impl Scratch {
    fn file(&self) -> Result<File> {
        let made = match &self.0 {
            Some(directory) => std::fs::create_dir_all(directory).and_then(|()| tempfile::tempfile_in(directory)),
            None => tempfile::tempfile(),
        };
        made.map_err(failed)
    }
}

/// Groups of bytes, each in the order in which it was appended to.
#[derive(Debug)]
pub(crate) struct Spill<K> {
    scratch: Scratch,
    bytes_max: usize,
    held: usize,
    /// Each group in parts, which hold all of what was appended at once.
    open: BTreeMap<K, Vec<Vec<u8>>>,
    runs: Vec<Run<K>>,
}

/// What was in memory at once, by group.
#[derive(Debug)]
struct Run<K> {
    file: File,
    places: BTreeMap<K, (u64, usize)>,
}

impl<K: Ord + Clone> Spill<K> {
    /// Holds at most about `bytes_max` in memory.
    pub(crate) fn new(scratch: Scratch, bytes_max: usize) -> Self {
        Self { scratch, bytes_max, held: 0, open: BTreeMap::new(), runs: Vec::new() }
    }

    /// Lets `write` append to a group.
    ///
    /// # Errors
    ///
    /// When a scratch file cannot be written.
    pub(crate) fn append(&mut self, key: &K, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let parts = match self.open.get_mut(key) {
            Some(parts) => parts,
            None => self.open.entry(key.clone()).or_insert_with(|| vec![Vec::new()]),
        };
        let is_full = |part: &Vec<u8>| part.capacity() >= PART_BYTES && part.capacity() - part.len() < ROOM_BYTES;
        if parts.last().is_none_or(is_full) {
            self.held += PART_BYTES;
            parts.push(Vec::with_capacity(PART_BYTES));
        }
        if let Some(part) = parts.last_mut() {
            let before = part.capacity();
            write(part);
            self.held += part.capacity() - before;
        }
        if self.held > self.bytes_max { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let mut file = self.scratch.file()?;
        let mut places = BTreeMap::new();
        let mut at = 0;
        for (key, parts) in std::mem::take(&mut self.open) {
            parts.iter().try_for_each(|part| file.write_all(part)).map_err(failed)?;
            let length = length_of(&parts);
            places.insert(key, (at, length));
            at += length as u64;
        }
        self.runs.push(Run { file, places });
        self.held = 0;
        Ok(())
    }

    /// Every group with its size, in order.
    pub(crate) fn groups(&self) -> BTreeMap<K, usize> {
        let mut groups = BTreeMap::new();
        let spilled = self.runs.iter().flat_map(|run| run.places.iter().map(|(key, (_, length))| (key, *length)));
        for (key, length) in spilled.chain(self.open.iter().map(|(key, parts)| (key, length_of(parts)))) {
            *groups.entry(key.clone()).or_insert(0) += length;
        }
        groups
    }

    /// The groups of `range`, in order.
    pub(crate) fn keys(&self, range: RangeInclusive<K>) -> BTreeSet<K> {
        let spilled = self.runs.iter().flat_map(|run| run.places.range(range.clone()).map(|(key, _)| key.clone()));
        spilled.chain(self.open.range(range.clone()).map(|(key, _)| key.clone())).collect()
    }

    /// The size of a group; 0 for one that was taken or never was.
    pub(crate) fn size(&self, key: &K) -> usize {
        let spilled = self.runs.iter().filter_map(|run| run.places.get(key)).map(|(_, length)| *length);
        spilled.sum::<usize>() + self.open.get(key).map_or(0, |parts| length_of(parts))
    }

    /// Takes a group's bytes out, part by part in the order of appending.
    ///
    /// # Errors
    ///
    /// When a scratch file cannot be read, or whatever `visit` answers.
    pub(crate) fn take(&mut self, key: &K, mut visit: impl FnMut(Vec<u8>) -> Result<()>) -> Result<()> {
        for run in &mut self.runs {
            let Some((at, length)) = run.places.remove(key) else { continue };
            let mut bytes = vec![0; length];
            run.file.seek(SeekFrom::Start(at)).and_then(|_| run.file.read_exact(&mut bytes)).map_err(failed)?;
            visit(bytes)?;
        }
        for part in self.open.remove(key).unwrap_or_default() {
            self.held = self.held.saturating_sub(part.capacity());
            visit(part)?;
        }
        Ok(())
    }
}

fn length_of(parts: &[Vec<u8>]) -> usize {
    parts.iter().map(Vec::len).sum()
}

fn failed(source: std::io::Error) -> Error {
    let kind = match source.kind() {
        std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "a scratch file of compaction failed").with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_back_in_order_however_little_memory_there_is() {
        for (bytes_max, numbers) in
            [(0, 1_000), (100, 1_000), (10_000, 1_000), (300_000, 200_000), (usize::MAX, 200_000)]
        {
            let mut spill = Spill::new(Scratch::default(), bytes_max);
            for number in 0..numbers {
                spill.append(&(number % 7), |out| out.extend_from_slice(&u32::to_le_bytes(number))).unwrap();
            }
            assert_eq!(spill.groups().values().sum::<usize>(), 4 * numbers as usize);
            for key in 0..7 {
                let mut read = Vec::new();
                spill
                    .take(&key, |bytes| {
                        read.extend(bytes);
                        Ok(())
                    })
                    .unwrap();
                let expected: Vec<u8> =
                    (0..numbers).filter(|number| number % 7 == key).flat_map(u32::to_le_bytes).collect();
                assert_eq!(read, expected, "{bytes_max}");
            }
        }
    }
}
