//! What is kept of a column once it was read: its dictionary, and its cells where they are few.

use arrow_array::{StringViewArray, builder::make_view};
use arrow_buffer::{Buffer, NullBuffer, ScalarBuffer};
use fineo_core::Result;

use crate::{
    failure,
    nearline::{footer::ColumnPlace, reading::Reading, segment::Segment},
};

/// So many cells of a sparse column are few: they are read at once, and window by window from memory.
const CELLS_FEW_MAX: u32 = 1 << 13;

/// What is read of a column again and again.
#[derive(Debug)]
pub(in crate::nearline) struct KeptColumn {
    /// The texts, then a null.
    pub(super) dictionary: StringViewArray,
    /// All cells of a sparse column, where they are few.
    pub(super) cells: Option<SparseCells>,
}

impl KeptColumn {
    /// Reads it from the column at `place`.
    pub(super) fn read(reading: &Reading, place: &ColumnPlace) -> Result<Self> {
        let dictionary = load_dictionary(reading, place)?;
        let cells = (place.rows.bytes > 0 && place.cells <= CELLS_FEW_MAX).then(|| SparseCells::read(reading, place));
        Ok(Self { dictionary, cells: cells.transpose()? })
    }

    /// The memory it takes, about.
    pub(in crate::nearline) fn memory_bytes(&self) -> usize {
        let texts: usize = self.dictionary.data_buffers().iter().map(Buffer::capacity).sum();
        let cells = self.cells.as_ref().map_or(0, |cells| 8 * cells.rows.len());
        texts + 17 * self.dictionary.views().len() + cells + 256
    }
}

/// Some cells of a sparse column: their rows, ascending, and their codes.
#[derive(Debug)]
pub(super) struct SparseCells {
    pub(super) rows: ScalarBuffer<u32>,
    pub(super) codes: ScalarBuffer<u32>,
}

impl SparseCells {
    fn read(reading: &Reading, place: &ColumnPlace) -> Result<Self> {
        let cells = place.cells as usize;
        let codes = Codes::read(reading, place, 0, cells)?.widen().into();
        Ok(Self { rows: reading.numbers(place.rows, 0, cells)?, codes })
    }

    /// Those in the rows from `from` to before `to`.
    pub(super) fn between(&self, from: usize, to: usize) -> Self {
        let begin = self.rows.partition_point(|row| (*row as usize) < from);
        let len = self.rows[begin..].partition_point(|row| (*row as usize) < to);
        Self { rows: self.rows.slice(begin, len), codes: self.codes.slice(begin, len) }
    }

    /// Each with its row.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u32)> {
        self.rows.iter().map(|row| *row as usize).zip(self.codes.iter().copied())
    }
}

/// Codes as they lie in the file.
pub(in crate::nearline) enum Codes {
    One(ScalarBuffer<u8>),
    Two(ScalarBuffer<u16>),
    Four(ScalarBuffer<u32>),
}

impl Codes {
    /// Those of the column at `place` from `from` to before `to`.
    pub(super) fn read(reading: &Reading, place: &ColumnPlace, from: usize, to: usize) -> Result<Self> {
        Ok(match place.width {
            1 => Self::One(reading.numbers(place.codes, from, to)?),
            2 => Self::Two(reading.numbers(place.codes, from, to)?),
            _ => Self::Four(reading.numbers(place.codes, from, to)?),
        })
    }

    /// Those of `rows`, in four bytes; the first one here is that of the row `from`.
    pub(super) fn of(&self, rows: &[u32], from: usize) -> Vec<u32> {
        let places = rows.iter().map(|row| *row as usize - from);
        match self {
            Self::One(codes) => places.map(|place| u32::from(codes[place])).collect(),
            Self::Two(codes) => places.map(|place| u32::from(codes[place])).collect(),
            Self::Four(codes) => places.map(|place| codes[place]).collect(),
        }
    }

    /// All of them in four bytes.
    pub(in crate::nearline) fn widen(&self) -> Vec<u32> {
        match self {
            Self::One(codes) => codes.iter().map(|code| u32::from(*code)).collect(),
            Self::Two(codes) => codes.iter().map(|code| u32::from(*code)).collect(),
            Self::Four(codes) => codes.to_vec(),
        }
    }
}

/// Where each text ends, and the bytes of all of them, of the dictionary `bytes` of the column at `place`.
pub(in crate::nearline) fn dictionary_parts(
    segment: &Segment,
    bytes: Buffer,
    place: &ColumnPlace,
) -> Result<(ScalarBuffer<u32>, Buffer)> {
    let damaged = || failure::corrupt(&segment.pack.path, "dictionary is damaged");
    let texts = place.texts as usize;
    let text_bytes = bytes.len().checked_sub(4 * texts).ok_or_else(damaged)?;
    let ends = ScalarBuffer::<u32>::new(bytes.clone(), 0, texts);
    let text = bytes.slice_with_length(4 * texts, text_bytes);
    let is_ascending = ends.windows(2).all(|pair| pair[0] <= pair[1]);
    if !is_ascending || ends.last().is_some_and(|last| *last as usize > text.len()) {
        return Err(damaged());
    }
    Ok((ends, text))
}

fn load_dictionary(reading: &Reading, place: &ColumnPlace) -> Result<StringViewArray> {
    let segment = &*reading.segment;
    let (ends, text) = dictionary_parts(segment, reading.read_all(place.dictionary)?, place)?;
    let mut start = 0;
    let mut views = Vec::with_capacity(ends.len() + 1);
    for end in ends.iter().copied() {
        views.push(make_view(&text[start as usize..end as usize], 0, start));
        start = end;
    }
    views.push(0);
    let nulls = NullBuffer::from_iter((0..views.len()).map(|number| number < ends.len()));
    let array = StringViewArray::try_new(ScalarBuffer::from(views), vec![text], Some(nulls));
    array.map_err(|source| failure::corrupt(&segment.pack.path, "dictionary is damaged").with_source(source))
}
