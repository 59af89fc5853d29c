//! A segment read from its beginning to its end, to make another one of it. Of what is small a piece is read at a time: the
//! columns of thousands of rare names lie side by side. Nothing is kept behind it, and what look-ups keep stays.

use std::{cell::RefCell, sync::Arc};

use arrow_buffer::{ArrowNativeType, Buffer, ScalarBuffer};
use fineo_core::{ContentHash, EventId, Result};

use super::{
    column::{Codes, dictionary_parts},
    heads::{Contents, Positions},
    image::{BLOCK_BYTES, Section},
    reading::Reading,
    segment::{ReadReach, Segment},
    source::{Cells, RowSource, Which},
};

/// The bytes that are read ahead.
const AHEAD_BYTES: usize = 32 * BLOCK_BYTES;

/// The rows of a segment for a new one.
#[derive(Debug)]
pub(super) struct Sequential {
    reading: Reading,
    ahead: RefCell<Ahead>,
}

/// A piece of an image.
#[derive(Debug, Default)]
struct Ahead {
    begin: u64,
    bytes: Option<Buffer>,
}

impl Sequential {
    /// The rows of `segment`.
    pub(super) fn open(segment: &Arc<Segment>) -> Result<Self> {
        let footer = Arc::new(segment.footer(ReadReach::Disk)?);
        let reading = Reading { segment: Arc::clone(segment), reach: ReadReach::Disk, footer };
        Ok(Self { reading, ahead: RefCell::default() })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.reading.segment.rows()
    }

    /// The whole `section`, out of the piece that is at hand, or the one that begins with it.
    fn read(&self, section: Section) -> Result<Buffer> {
        if section.bytes > AHEAD_BYTES as u64 / 2 {
            return self.reading.read_all(section);
        }
        let mut ahead = self.ahead.borrow_mut();
        if let Some(found) = ahead.find(section) {
            return Ok(found);
        }
        let begin = section.offset / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
        let bytes = self.reading.segment.blocks_bytes().saturating_sub(begin).min(AHEAD_BYTES as u64);
        *ahead = Ahead { begin, bytes: Some(self.reading.read_all(Section { offset: begin, bytes })?) };
        ahead.find(section).ok_or_else(|| self.reading.segment.damaged().with("reason", "section beyond the segment"))
    }

    fn numbers<T: ArrowNativeType>(&self, section: Section, count: usize) -> Result<ScalarBuffer<T>> {
        let bytes = self.read(section)?;
        if bytes.len() < count * size_of::<T>() {
            return Err(self.reading.segment.damaged().with("reason", "read beyond a section"));
        }
        Ok(ScalarBuffer::new(bytes, 0, count))
    }
}

impl Ahead {
    fn find(&self, section: Section) -> Option<Buffer> {
        let bytes = self.bytes.as_ref()?;
        let from = usize::try_from(section.offset.checked_sub(self.begin)?).ok()?;
        let len = usize::try_from(section.bytes).ok()?;
        (from.checked_add(len)? <= bytes.len()).then(|| bytes.slice_with_length(from, len))
    }
}

impl RowSource for Sequential {
    fn timestamps(&self) -> Result<Vec<i64>> {
        Ok(self.reading.timestamps(0, self.rows())?.to_vec())
    }

    fn ingested(&self) -> Result<Vec<i64>> {
        Ok(self.reading.ingested(0, self.rows())?.to_vec())
    }

    fn ids(&self) -> Result<Vec<EventId>> {
        Ok(sixteens(&self.reading.ids(0, self.rows())?, EventId))
    }

    fn contents(&self) -> Result<Contents> {
        if self.reading.footer.heads.contents.bytes == 0 {
            return Ok(Contents::default());
        }
        Ok(Contents::of(sixteens(&self.reading.contents(0, self.rows())?, ContentHash)))
    }

    fn positions(&self) -> Result<Positions> {
        self.reading.positions(0, self.rows())
    }

    fn names(&self) -> Result<Vec<Arc<str>>> {
        Ok(self.reading.footer.columns.iter().map(|column| Arc::clone(&column.name)).collect())
    }

    fn cells(&self, which: Which<'_>) -> Result<Option<Cells<'_>>> {
        let (footer, segment) = (&self.reading.footer, &self.reading.segment);
        let found = match which {
            Which::Alias => Some(&footer.alias),
            Which::Shard => Some(&footer.shard),
            Which::Name(name) => footer.column(name).map(|(_, place)| place),
        };
        let Some(place) = found else { return Ok(None) };
        let (ends, text) = dictionary_parts(segment, self.read(place.dictionary)?, place)?;
        let text = String::from_utf8(text.to_vec()).map_err(|source| segment.damaged().with_source(source))?;
        let count = if place.rows.bytes > 0 { place.cells as usize } else { self.rows() };
        let codes = match place.width {
            0 => vec![0; count],
            1 => Codes::One(self.numbers(place.codes, count)?).widen(),
            2 => Codes::Two(self.numbers(place.codes, count)?).widen(),
            _ => Codes::Four(self.numbers(place.codes, count)?).widen(),
        };
        let rows: Vec<u32> = if place.rows.bytes > 0 {
            self.numbers::<u32>(place.rows, count)?.to_vec()
        } else {
            (0..segment.entry.rows).collect()
        };
        if rows.iter().any(|row| *row >= segment.entry.rows) {
            return Err(segment.damaged());
        }
        let present = rows.into_iter().zip(codes).filter(|(_, code)| *code < place.texts);
        let (rows, codes): (Vec<u32>, Vec<u32>) = present.unzip();
        Ok(Some(Cells { text: text.into(), ends: ends.to_vec().into(), rows: rows.into(), codes: codes.into() }))
    }
}

fn sixteens<T>(bytes: &[u8], make: impl Fn([u8; 16]) -> T) -> Vec<T> {
    bytes.chunks_exact(16).map(|id| make(id.try_into().expect("a chunk of that length"))).collect()
}
