//! A segment as it is read: where everything lies, and how far one goes for it.

use std::sync::Arc;

use arrow_buffer::{ArrowNativeType, Buffer, ScalarBuffer};
use fineo_core::{Position, Result};

use super::{
    cache::Thing,
    footer::{ColumnPlace, Footer},
    heads::Positions,
    image::Section,
    segment::{ROWS_PER_MARK, ReadReach, Segment},
};

/// A segment being read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) segment: Arc<Segment>,
    pub(super) reach: ReadReach,
    pub(super) footer: Arc<Footer>,
}

impl Reading {
    /// Reads `segment` as far as `reach` says.
    pub(super) fn open(segment: &Arc<Segment>, reach: ReadReach) -> Result<Self> {
        let footer = segment.cache.footer(segment.number(), || segment.footer(reach))?;
        Ok(Self { segment: Arc::clone(segment), reach, footer })
    }

    /// Where the column `thing` lies; none for what is no column.
    pub(super) fn place(&self, thing: Thing) -> Option<&ColumnPlace> {
        match thing {
            Thing::Alias => Some(&self.footer.alias),
            Thing::Shard => Some(&self.footer.shard),
            Thing::Column(number) => self.footer.columns.get(number),
            Thing::Footer | Thing::Block(_) => None,
        }
    }

    /// The column of the stored name `name`.
    pub(super) fn column(&self, name: &str) -> Option<Thing> {
        self.footer.column(name).map(|(number, _)| Thing::Column(number))
    }

    /// Numbers of `section` from the place `from` to before `to`.
    pub(super) fn numbers<T: ArrowNativeType>(
        &self,
        section: Section,
        from: usize,
        to: usize,
    ) -> Result<ScalarBuffer<T>> {
        self.segment.numbers(self.reach, section, from, to)
    }

    /// The whole `section`.
    pub(super) fn read_all(&self, section: Section) -> Result<Buffer> {
        self.segment.read_all(self.reach, section)
    }

    /// The first row at or behind `instant`.
    pub(super) fn row_at(&self, instant: i64) -> Result<usize> {
        if instant <= self.segment.entry.time_min {
            return Ok(0);
        }
        if instant > self.segment.entry.time_max {
            return Ok(self.segment.rows());
        }
        let mark = self.segment.mark_at(instant);
        let from = mark.saturating_sub(1) * ROWS_PER_MARK;
        let to = (mark * ROWS_PER_MARK).min(self.segment.rows());
        Ok(from + self.timestamps(from, to)?.partition_point(|timestamp| *timestamp < instant))
    }

    /// When the rows from `from` to before `to` happened.
    pub(super) fn timestamps(&self, from: usize, to: usize) -> Result<ScalarBuffer<i64>> {
        self.numbers(self.footer.heads.timestamps, from, to)
    }

    /// Likewise when they arrived.
    pub(super) fn ingested(&self, from: usize, to: usize) -> Result<ScalarBuffer<i64>> {
        self.numbers(self.footer.heads.ingested, from, to)
    }

    /// Likewise their ids, sixteen bytes each.
    pub(super) fn ids(&self, from: usize, to: usize) -> Result<Buffer> {
        self.sixteens(self.footer.heads.ids, from, to)
    }

    /// Likewise their contents.
    pub(super) fn contents(&self, from: usize, to: usize) -> Result<Buffer> {
        let heads = &self.footer.heads;
        self.sixteens(if heads.contents.bytes == 0 { heads.ids } else { heads.contents }, from, to)
    }

    fn sixteens(&self, section: Section, from: usize, to: usize) -> Result<Buffer> {
        self.segment.read(self.reach, section, 16 * from as u64, 16 * to as u64)
    }

    /// Likewise their positions.
    pub(super) fn positions(&self, from: usize, to: usize) -> Result<Positions> {
        let section = self.footer.heads.positions;
        if section.bytes == 8 * self.segment.rows() as u64 {
            return Ok(Positions::Narrow(self.numbers(section, from, to)?.to_vec()));
        }
        let width = Position::LEN as u64;
        let bytes = self.segment.read(self.reach, section, from as u64 * width, to as u64 * width)?;
        let position = |bytes: &[u8]| Position::from_bytes(bytes.try_into().expect("a chunk of that length"));
        Ok(Positions::Wide(bytes.chunks_exact(Position::LEN).map(position).collect()))
    }
}
