//! What a segment's image holds and where.

use std::sync::Arc;

use super::{
    codec::{Put, Take},
    image::Section,
};

/// A column of an empty name takes so many bytes.
const COLUMN_BYTES_MIN: usize = 3 * 4 + 1 + 3 * 16;

/// A column of texts in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnPlace {
    /// The stored name; empty for the alias and the shard.
    pub(super) name: Arc<str>,
    /// How many texts.
    pub(super) texts: u32,
    /// Where each of them ends, then their bytes.
    pub(super) dictionary: Section,
    /// How many cells.
    pub(super) cells: u32,
    /// The rows that have a cell; empty when `codes` has an entry for every row.
    pub(super) rows: Section,
    /// The number of each cell's text; `texts` stands for none.
    pub(super) codes: Section,
    /// The bytes of a code; 0 when every row has the one text.
    pub(super) width: u8,
}

/// Where what rows have beside their cells lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadPlaces {
    pub(super) rows: u32,
    pub(super) timestamps: Section,
    pub(super) ingested: Section,
    pub(super) ids: Section,
    /// Empty when every content is as its id.
    pub(super) contents: Section,
    /// Eight bytes each, or all bytes of a position.
    pub(super) positions: Section,
    /// Hashes of ids, ascending.
    pub(super) hashes: Section,
    /// The row of each of them.
    pub(super) hash_rows: Section,
}

impl HeadPlaces {
    /// How many bytes of a footer they are, at its beginning.
    pub(super) const BYTES: u64 = 4 + 7 * 16;

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.put_u32(self.rows);
        let sections =
            [self.timestamps, self.ingested, self.ids, self.contents, self.positions, self.hashes, self.hash_rows];
        sections.into_iter().for_each(|section| put_section(bytes, section));
    }

    /// Reads the beginning of what [`Footer::encode`] made.
    pub(super) fn take(take: &mut Take<'_>) -> Option<Self> {
        let rows = take.u32()?;
        let mut sections = [Section::default(); 7];
        for section in &mut sections {
            *section = take_section(take)?;
        }
        let [timestamps, ingested, ids, contents, positions, hashes, hash_rows] = sections;
        Some(Self { rows, timestamps, ingested, ids, contents, positions, hashes, hash_rows })
    }
}

/// The directory of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) heads: HeadPlaces,
    pub(super) alias: ColumnPlace,
    pub(super) shard: ColumnPlace,
    /// In order of names.
    pub(super) columns: Vec<ColumnPlace>,
}

impl Footer {
    /// The bytes to store.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.heads.put(&mut bytes);
        put_column(&mut bytes, &self.alias);
        put_column(&mut bytes, &self.shard);
        bytes.put_u32(u32::try_from(self.columns.len()).expect("columns are bounded"));
        self.columns.iter().for_each(|column| put_column(&mut bytes, column));
        bytes
    }

    /// Reads what [`Footer::encode`] made.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut take = Take(bytes);
        let heads = HeadPlaces::take(&mut take)?;
        let alias = take_column(&mut take)?;
        let shard = take_column(&mut take)?;
        let count = take.u32()? as usize;
        // There may be many: no room is left for more.
        let mut columns = Vec::with_capacity(count.min(take.0.len() / COLUMN_BYTES_MIN));
        for _ in 0..count {
            columns.push(take_column(&mut take)?);
        }
        Some(Self { heads, alias, shard, columns })
    }

    /// The number and place of the column of `name`.
    pub(super) fn column(&self, name: &str) -> Option<(usize, &ColumnPlace)> {
        let number = self.columns.binary_search_by(|column| column.name.as_ref().cmp(name)).ok()?;
        Some((number, &self.columns[number]))
    }

    /// The memory it takes, about.
    pub(super) fn memory_bytes(&self) -> usize {
        let names: usize = self.columns.iter().map(|column| column.name.len()).sum();
        512 + names + self.columns.len() * (size_of::<ColumnPlace>() + 16)
    }
}

fn put_section(bytes: &mut Vec<u8>, section: Section) {
    bytes.put_u64(section.offset);
    bytes.put_u64(section.bytes);
}

fn take_section(take: &mut Take<'_>) -> Option<Section> {
    Some(Section { offset: take.u64()?, bytes: take.u64()? })
}

fn put_column(bytes: &mut Vec<u8>, column: &ColumnPlace) {
    bytes.put_text(&column.name);
    bytes.put_u32(column.texts);
    bytes.put_u32(column.cells);
    bytes.push(column.width);
    put_section(bytes, column.dictionary);
    put_section(bytes, column.rows);
    put_section(bytes, column.codes);
}

fn take_column(take: &mut Take<'_>) -> Option<ColumnPlace> {
    Some(ColumnPlace {
        name: take.shared_text()?,
        texts: take.u32()?,
        cells: take.u32()?,
        width: take.array::<1>()?[0],
        dictionary: take_section(take)?,
        rows: take_section(take)?,
        codes: take_section(take)?,
    })
}
