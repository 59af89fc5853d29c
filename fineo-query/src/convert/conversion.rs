//! Values that were sent in another unit, and values that were deleted.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, StringViewArray},
    buffer::BooleanBuffer,
    compute::nullif,
};
use fineo_core::{Cover, Error, Position, Result, ShardId};
use fineo_schema::{FieldType, LogicalColumn};

use super::{
    Cells,
    picked::{Conversions, Picked},
};

/// What a row is beside its cells, where a column needs to know.
pub(crate) struct RowContext<'a> {
    /// Microseconds of each row's time.
    pub(crate) timestamps: &'a [i64],
    /// The metric's name as sent, per row.
    pub(crate) aliases: Option<&'a StringViewArray>,
    /// Shard and position per row.
    pub(crate) positions: Option<(&'a StringViewArray, &'a FixedSizeBinaryArray)>,
}

/// A column whose cells are not simply parsed.
pub(crate) struct Converted<'a> {
    pub(crate) column: &'a LogicalColumn,
    pub(crate) context: RowContext<'a>,
}

impl Converted<'_> {
    /// The values of `sources`, one per stored name in rank order.
    pub(crate) fn values(&self, rows: usize, sources: Vec<StringViewArray>) -> Result<ArrayRef> {
        let mut readable = Vec::with_capacity(sources.len());
        for (source, array) in self.column.sources.iter().zip(sources) {
            readable.push(match &source.unreadable_through {
                Some(cover) => self.without_covered(cover, array)?,
                None => array,
            });
        }
        match self.column.field_type {
            Some(field_type) if field_type.is_number() && super::has_conversions(self.column) => {
                self.converted(field_type, rows, &readable)
            }
            field_type => Cells::new(rows, readable.iter()).typed(field_type.as_ref()),
        }
    }

    /// The first stored value of each row in rank order, in the field's unit.
    fn converted(&self, field_type: FieldType, rows: usize, sources: &[StringViewArray]) -> Result<ArrayRef> {
        let conversions: Vec<Conversions<'_>> =
            self.column.sources.iter().map(|source| Conversions::new(&source.conversions)).collect();
        let (times, names) = (self.context.timestamps, self.context.aliases);
        let mut picked: Vec<Picked<'_>> =
            conversions.iter().map(|known| known.picked(rows, Some(times), names)).collect();
        let texts = Cells::new(rows, sources.iter()).texts()?;
        let texts = texts.as_string_view();
        let picked = match picked.as_mut_slice() {
            [only] => std::mem::replace(only, Picked::None),
            several if several.iter().all(|picked| matches!(picked, Picked::None)) => Picked::None,
            several => Picked::Each(
                (0..rows).map(|row| several[sources.iter().position(|source| source.is_valid(row))?].of(row)).collect(),
            ),
        };
        picked.merged(
            || Cells::new(rows, std::iter::once(texts)).typed(Some(&field_type)),
            || picked.of_texts(field_type, texts),
        )
    }

    /// `array` with null wherever the row's position is in `cover`.
    fn without_covered(&self, cover: &Cover, array: StringViewArray) -> Result<StringViewArray> {
        let Some((shards, positions)) = self.context.positions else {
            return Err(Error::internal("a scan left out the positions it needs"));
        };
        let mut last: Option<(&str, ShardId)> = None;
        let mut covered = Vec::with_capacity(array.len());
        for row in 0..array.len() {
            let name = shards.value(row);
            let shard = match &last {
                Some((known, shard)) if *known == name => shard.clone(),
                Some(_) | None => ShardId::new(name)?,
            };
            let bytes = positions.value(row).try_into();
            let bytes = bytes.map_err(|_| Error::corrupt("a stored position has the wrong length"))?;
            covered.push(cover.contains(&shard, Position::from_bytes(bytes)));
            last = Some((name, shard));
        }
        let covered = BooleanArray::new(BooleanBuffer::from(covered), None);
        let kept = nullif(&array, &covered).map_err(|source| Error::internal("cannot mask cells").with_source(source));
        Ok(kept?.as_string_view().clone())
    }
}
