//! The journal: rows that are on disk before there are enough of them for a segment.

use std::{ops::Range, path::PathBuf, sync::Arc};

use fineo_core::{
    ContentHash, Cover, Error, ErrorKind, EventId, Position, Result, ShardId, Timestamp, nearline::RowHead,
};

use super::{
    codec::{Put, Take},
    manifest::{Cut, Loaded, Manifest, TableKey},
    memtable::MemRows,
};
use crate::{disk, disk::DiskFile, failure, root::Root};

const MAGIC: [u8; 4] = *b"FnJr";
/// Magic, checksum of all that follows, bytes of the body, how much of the file was on disk.
const HEADER_BYTES: usize = 20;
const ROWS: u8 = 0;
const REMOVAL: u8 = 1;
const SEAL: u8 = 2;

/// The journal of a store, open for more.
#[derive(Debug)]
pub(super) struct Journal {
    root: Arc<Root>,
    folder: PathBuf,
    /// Knows which files there are to be.
    manifest: Manifest,
    /// The number of the next file.
    next: u64,
    active: Option<(Arc<dyn DiskFile>, PathBuf)>,
    len: u64,
    durable: u64,
    /// The files that still matter.
    files: Vec<u64>,
    /// Bytes in files before the active one.
    old_bytes: u64,
}

/// What a journal tells when it is read again.
#[derive(Debug)]
pub(super) enum Record<'a> {
    /// Rows of a table; [`apply_rows`] adds them.
    Rows(TableKey, Take<'a>),
    /// What was removed from a table.
    Removal(TableKey, Cover),
}

fn path(folder: &std::path::Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.journal"))
}

impl Journal {
    /// Opens the journal in `folder`, of which `known` tells, and shows `each` record in order, with its place. A place is never
    /// given twice, for what is before a table's cut counts as moved.
    ///
    /// Answers what is damaged or gone, too: of a damaged file nothing behind the damage was shown.
    pub(super) fn open(
        root: &Arc<Root>,
        folder: PathBuf,
        (manifest, known): (&Manifest, &Loaded),
        mut each: impl FnMut(Cut, Record<'_>) -> Result<()>,
    ) -> Result<(Self, Option<Error>)> {
        let names = disk::names(&folder).map_err(|source| failure::disk_error("list", &folder, source))?;
        let number = |name: &String| u64::from_str_radix(name.strip_suffix(".journal")?, 16).ok();
        let files: Vec<u64> = names.iter().filter_map(number).collect();
        let gone = known.journal.iter().find(|number| !files.contains(number));
        let (mut old_bytes, mut damage) =
            (0, gone.map(|number| failure::corrupt(&path(&folder, *number), "journal is gone")));
        for (place, number) in files.iter().enumerate() {
            let is_last = place + 1 == files.len();
            match replay(root, &path(&folder, *number), *number, is_last, &mut each) {
                Ok(bytes) => old_bytes += bytes,
                Err(error) if error.kind() == ErrorKind::Corrupt => damage = damage.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        // Of a directory from before they were noted.
        if damage.is_none() && files.iter().any(|number| !known.journal.contains(number)) {
            manifest.note_journal(&files)?;
        }
        let next = files.last().map_or(1, |last| last + 1).max(known.journal_next());
        let (root, manifest) = (Arc::clone(root), manifest.clone());
        let (active, len, durable) = (None, 0, 0);
        Ok((Self { root, folder, manifest, next, active, len, durable, files, old_bytes }, damage))
    }

    /// The place behind everything written.
    pub(super) fn place(&self) -> Cut {
        match &self.active {
            Some(_) => (self.next - 1, self.len),
            None => (self.next, 0),
        }
    }

    /// How many bytes it has.
    pub(super) fn bytes(&self) -> u64 {
        self.old_bytes + self.len
    }

    /// Adds the rows of `rows` that `range` names.
    pub(super) fn rows(&mut self, key: &TableKey, rows: &MemRows, range: Range<usize>) -> Result<()> {
        let mut body = vec![ROWS];
        put_key(&mut body, key);
        put_rows(&mut body, rows, range);
        self.write(&body)
    }

    /// Adds that what `cover` contains was removed.
    pub(super) fn removal(&mut self, key: &TableKey, cover: &Cover) -> Result<()> {
        let mut body = vec![REMOVAL];
        put_key(&mut body, key);
        let shards: Vec<_> = cover.iter().collect();
        body.put_u32(u32::try_from(shards.len()).expect("few shards"));
        for (shard, position) in shards {
            body.put_text(shard.as_str());
            body.extend_from_slice(&position.to_bytes());
        }
        self.write(&body)
    }

    /// Adds that all before it is on disk.
    pub(super) fn seal(&mut self) -> Result<()> {
        if self.active.is_none() || self.durable == 0 {
            return Ok(());
        }
        self.write(&[SEAL])?;
        self.sync()
    }

    fn write(&mut self, body: &[u8]) -> Result<()> {
        if self.active.is_none() {
            self.begin_file()?;
        }
        let (file, path) = self.active.as_ref().expect("it was just made");
        let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
        frame.extend_from_slice(&MAGIC);
        frame.put_u32(0);
        frame.put_u32(u32::try_from(body.len()).expect("a memtable is bounded"));
        frame.put_u64(self.durable);
        frame.extend_from_slice(body);
        let checksum = crc32c::crc32c(&frame[8..]);
        frame[4..8].copy_from_slice(&checksum.to_le_bytes());
        if let Err(source) = file.write_at(&frame, self.len) {
            // What is behind `len` is never read as a frame once the next one is written over it.
            let _ = file.set_len(self.len);
            return Err(failure::disk_error("write", path, source));
        }
        self.len += frame.len() as u64;
        Ok(())
    }

    /// Begins the next file. It is noted once it is there, and before it has anything: whoever misses it later is right.
    fn begin_file(&mut self) -> Result<()> {
        let path = path(&self.folder, self.next);
        let file = self.root.disk.open(&path, true).map_err(|source| failure::disk_error("create", &path, source))?;
        self.root.sync_directory(&self.folder)?;
        self.manifest.note_journal(&[self.next])?;
        self.active = Some((file, path));
        self.files.push(self.next);
        self.next += 1;
        (self.len, self.durable) = (0, 0);
        Ok(())
    }

    /// Takes back what was written behind `place`; none of it was synced.
    pub(super) fn take_back(&mut self, place: Cut) {
        let Some((file, path)) = &self.active else { return };
        // A file that began since holds nothing else.
        let len = if place.0 + 1 == self.next { place.1 } else { 0 };
        match file.set_len(len) {
            Ok(()) => self.len = len,
            Err(source) => self.root.poison(&failure::disk_error("cut", path, source)),
        }
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        let Some((file, path)) = &self.active else { return Ok(()) };
        self.root.sync_file(&**file, path)?;
        self.durable = self.len;
        Ok(())
    }

    /// Begins anew: everything written is in segments.
    pub(super) fn restart(&mut self) -> Result<()> {
        // Before they go: nobody is to miss them.
        self.manifest.forget_journal()?;
        self.active = None;
        (self.len, self.durable, self.old_bytes) = (0, 0, 0);
        // Nothing needs them, so that one which stays harms nobody, and goes with the next.
        self.files.retain(|number| {
            let path = path(&self.folder, *number);
            let failed = self.root.disk.remove(&path).err().filter(|source| source.kind() != std::io::ErrorKind::NotFound);
            if let Some(error) = &failed {
                tracing::warn!(%error, path = %path.display(), "a file of the journal that nothing needs could not be removed");
            }
            failed.is_some()
        });
        Ok(())
    }
}

fn put_key(body: &mut Vec<u8>, key: &TableKey) {
    body.put_text(key.0.as_str());
    body.put_text(key.1.as_str());
}

fn put_rows(body: &mut Vec<u8>, rows: &MemRows, range: Range<usize>) {
    let number = |row: usize| u32::try_from(row).expect("a memtable is bounded");
    let (from, to) = (number(range.start), number(range.end));
    body.put_u32(to - from);
    for row in range {
        body.extend_from_slice(&rows.timestamps[row].to_le_bytes());
        body.extend_from_slice(&rows.ingested[row].to_le_bytes());
        body.extend_from_slice(&rows.ids[row].0);
        body.extend_from_slice(&rows.contents.get(row, rows.ids[row]).0);
        body.extend_from_slice(&rows.positions.get(row).to_bytes());
        body.put_text(rows.aliases.texts.text(rows.aliases.codes[row]));
        body.put_text(rows.shards.texts.text(rows.shards.codes[row]));
    }
    let present = rows.columns.iter().filter(|(_, column)| !column.places(from, to).is_empty());
    body.put_u32(number(present.clone().count()));
    for (name, column) in present {
        let places = column.places(from, to);
        body.put_text(name);
        body.put_u32(number(places.len()));
        for place in places {
            body.put_u32(column.rows[place] - from);
            body.put_text(column.texts.text(column.codes[place]));
        }
    }
}

/// Adds the rows of a record to `rows`; none when the record does not add up.
pub(super) fn apply_rows(take: &mut Take<'_>, rows: &mut MemRows) -> Option<()> {
    let first = u32::try_from(rows.len()).ok()?;
    let count = take.u32()?;
    for _ in 0..count {
        let timestamp = Timestamp::from_micros(take.i64()?).ok()?;
        let ingested_at = Timestamp::from_micros(take.i64()?).ok()?;
        let (id, content) = (EventId(take.array()?), ContentHash(take.array()?));
        let head = RowHead { timestamp, id, content, position: Position::from_bytes(take.array()?), ingested_at };
        let (alias, shard) = (take.text()?, take.text()?);
        rows.push(&head, alias, shard);
    }
    for _ in 0..take.u32()? {
        let name = take.shared_text()?;
        let column = rows.column_number(&name);
        for _ in 0..take.u32()? {
            let row = take.u32()?;
            (row < count).then_some(())?;
            rows.cell(column, first + row, take.text()?);
        }
    }
    rows.journaled = rows.len();
    Some(())
}

/// Shows the records of a file; cuts off a torn end of the last one. Answers how long the file is then.
fn replay(
    root: &Root,
    path: &std::path::Path,
    number: u64,
    is_last: bool,
    each: &mut impl FnMut(Cut, Record<'_>) -> Result<()>,
) -> Result<u64> {
    let failed = |source| failure::disk_error("read", path, source);
    let file = root.disk.open(path, false).map_err(failed)?;
    // A file is bounded by the option and the largest write.
    let mut bytes = vec![0; usize::try_from(file.len().map_err(failed)?).expect("a journal fits in memory")];
    file.read_at(&mut bytes, 0).map_err(failed)?;
    let mut at = 0;
    while let Some((body, _)) = frame_at(&bytes, at) {
        let damaged = || failure::corrupt(path, "journal is damaged").with("from", at);
        if let Some(record) = parse(body).ok_or_else(damaged)? {
            each((number, at as u64), record)?;
        }
        at += HEADER_BYTES + body.len();
    }
    let knows_better = |from: usize| frame_at(&bytes, from).is_some_and(|(_, durable)| durable > at as u64);
    if at < bytes.len() && (!is_last || (at..bytes.len()).any(knows_better)) {
        return Err(failure::corrupt(path, "journal is damaged").with("from", at).with("to", bytes.len()));
    }
    if at < bytes.len() {
        tracing::warn!(path = %path.display(), from = at, to = bytes.len(), "cut off a torn end");
        file.set_len(at as u64).map_err(failed)?;
        root.sync_file(&*file, path)?;
    }
    Ok(at as u64)
}

/// The body of the frame at `at`, if a whole one is there, and how much it knows to be on disk.
fn frame_at(bytes: &[u8], at: usize) -> Option<(&[u8], u64)> {
    let mut take = Take(bytes.get(at..)?);
    (take.array::<4>()? == MAGIC).then_some(())?;
    let checksum = take.u32()?;
    let checked = take.0;
    let len = take.u32()? as usize;
    let durable = take.u64()?;
    let body = take.bytes(len)?;
    (crc32c::crc32c(checked.get(..12 + len)?) == checksum).then_some((body, durable))
}

/// The record in `body`; a seal is none. Nothing when it does not add up.
pub(super) fn parse(body: &[u8]) -> Option<Option<Record<'_>>> {
    let mut take = Take(body);
    let kind = take.array::<1>()?[0];
    if kind == SEAL {
        return Some(None);
    }
    let tenant = fineo_core::TenantId::new(take.text()?).ok()?;
    let metric = fineo_core::MetricId::new(take.text()?).ok()?;
    if kind == ROWS {
        return Some(Some(Record::Rows((tenant, metric), take)));
    }
    let mut cover = Cover::default();
    for _ in 0..take.u32()? {
        let shard = ShardId::new(take.text()?).ok()?;
        cover.advance(&shard, Position::from_bytes(take.array()?));
    }
    (kind == REMOVAL).then_some(Some(Record::Removal((tenant, metric), cover)))
}
