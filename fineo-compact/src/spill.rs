//! Bytes in many groups that together may be larger than memory: what is over the budget goes to scratch files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    ops::RangeInclusive,
    path::PathBuf,
};

use fineo_core::{Error, ErrorKind, Result};

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
    open: BTreeMap<K, Vec<u8>>,
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
        let group = match self.open.get_mut(key) {
            Some(group) => group,
            None => self.open.entry(key.clone()).or_default(),
        };
        let before = group.capacity();
        write(group);
        self.held += group.capacity() - before;
        if self.held > self.bytes_max { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let mut file = self.scratch.file()?;
        let mut places = BTreeMap::new();
        let mut at = 0;
        for (key, bytes) in std::mem::take(&mut self.open) {
            file.write_all(&bytes).map_err(failed)?;
            places.insert(key, (at, bytes.len()));
            at += bytes.len() as u64;
        }
        self.runs.push(Run { file, places });
        self.held = 0;
        Ok(())
    }

    /// Every group with its size, in order.
    pub(crate) fn groups(&self) -> BTreeMap<K, usize> {
        let mut groups = BTreeMap::new();
        let spilled = self.runs.iter().flat_map(|run| run.places.iter().map(|(key, (_, length))| (key, *length)));
        for (key, length) in spilled.chain(self.open.iter().map(|(key, bytes)| (key, bytes.len()))) {
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
        spilled.sum::<usize>() + self.open.get(key).map_or(0, Vec::len)
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
        match self.open.remove(key) {
            Some(bytes) => {
                self.held = self.held.saturating_sub(bytes.capacity());
                visit(bytes)
            }
            None => Ok(()),
        }
    }
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
        for bytes_max in [0, 100, 10_000, usize::MAX] {
            let mut spill = Spill::new(Scratch::default(), bytes_max);
            for number in 0..1_000_u32 {
                spill.append(&(number % 7), |out| out.extend_from_slice(&number.to_le_bytes())).unwrap();
            }
            assert_eq!(spill.groups().values().sum::<usize>(), 4_000);
            for key in 0..7 {
                let mut read = Vec::new();
                spill
                    .take(&key, |bytes| {
                        read.extend(bytes);
                        Ok(())
                    })
                    .unwrap();
                let expected: Vec<u8> =
                    (0..1_000_u32).filter(|number| number % 7 == key).flat_map(u32::to_le_bytes).collect();
                assert_eq!(read, expected, "{bytes_max}");
            }
        }
    }
}
