//! Values that were sent in another unit, and values that were deleted.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Decimal128Builder, FixedSizeBinaryArray, Float32Builder,
        Float64Builder, Int32Builder, Int64Builder, StringViewArray,
    },
    buffer::BooleanBuffer,
    compute::nullif,
};
use fineo_core::{Cover, Error, Position, Result, ShardId};
use fineo_schema::{Conversion, FieldType, LogicalColumn, coerce};

use super::Cells;

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
        match &self.column.field_type {
            Some(field_type) if super::has_conversions(self.column) => self.scaled(*field_type, rows, &readable),
            Some(_) | None => Cells::new(rows, readable.iter()).typed(self.column.field_type.as_ref()),
        }
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

    /// The number at `row`: the first stored value in rank order, in the field's unit.
    fn number(&self, row: usize, sources: &[StringViewArray]) -> Option<f64> {
        let at = sources.iter().position(|source| source.is_valid(row))?;
        let value = coerce::double(sources[at].value(row))?;
        let alias = self.context.aliases.map(|aliases| aliases.value(row));
        let scope = Scope { at: self.context.timestamps[row], alias };
        Some(in_unit(value, &self.column.sources[at].conversions, &scope))
    }

    fn scaled(&self, field_type: FieldType, rows: usize, sources: &[StringViewArray]) -> Result<ArrayRef> {
        if !field_type.is_number() {
            // These have no unit; a conversion on them changes nothing.
            return Cells::new(rows, sources.iter()).typed(Some(&field_type));
        }
        scaled(field_type, rows, (0..rows).map(|row| self.number(row, sources)))
    }
}

/// What says which conversions hold for a row.
pub(crate) struct Scope<'a> {
    /// Microseconds of its time.
    pub(crate) at: i64,
    /// The metric's name as sent, where some conversion asks for it.
    pub(crate) alias: Option<&'a str>,
}

/// `number` by the first of `conversions` that holds.
pub(crate) fn in_unit(number: f64, conversions: &[Conversion], scope: &Scope<'_>) -> f64 {
    match conversions.iter().find(|conversion| applies(conversion, scope)) {
        Some(conversion) => number * conversion.scale + conversion.offset,
        None => number,
    }
}

fn applies(conversion: &Conversion, scope: &Scope<'_>) -> bool {
    let is_named = match (&conversion.metric_name, scope.alias) {
        (None, _) => true,
        (Some(wanted), Some(alias)) => alias == &**wanted,
        (Some(_), None) => false,
    };
    is_named
        && conversion.from.is_none_or(|from| from.micros() <= scope.at)
        && conversion.to.is_none_or(|to| scope.at < to.micros())
}

/// `numbers`, one per row, as values of a type of numbers. What does not fit is null.
pub(crate) fn scaled(
    field_type: FieldType,
    rows: usize,
    numbers: impl Iterator<Item = Option<f64>>,
) -> Result<ArrayRef> {
    Ok(match field_type {
        FieldType::Double => {
            let mut values = Float64Builder::with_capacity(rows);
            numbers.for_each(|number| values.append_option(number));
            Arc::new(values.finish())
        }
        FieldType::Float => {
            let mut values = Float32Builder::with_capacity(rows);
            numbers.for_each(|number| values.append_option(number.map(|number| number as f32)));
            Arc::new(values.finish())
        }
        FieldType::Int => {
            let mut values = Int32Builder::with_capacity(rows);
            numbers.for_each(|number| {
                values.append_option(number.and_then(whole).and_then(|whole| i32::try_from(whole).ok()));
            });
            Arc::new(values.finish())
        }
        FieldType::Long => {
            let mut values = Int64Builder::with_capacity(rows);
            numbers.for_each(|number| values.append_option(number.and_then(whole)));
            Arc::new(values.finish())
        }
        FieldType::Decimal { precision, scale } => {
            let mut values = Decimal128Builder::with_capacity(rows);
            for number in numbers {
                let text = number.map(|number| format!("{number:.*}", usize::try_from(scale).unwrap_or(0)));
                values.append_option(text.and_then(|text| coerce::decimal(&text, precision, scale)));
            }
            let typed = values.finish().with_precision_and_scale(precision, scale);
            Arc::new(typed.map_err(|source| Error::internal("not a decimal type").with_source(source))?)
        }
        FieldType::String
        | FieldType::Boolean
        | FieldType::Timestamp
        | FieldType::Date
        | FieldType::Bytes
        | FieldType::Json => return Err(Error::internal("only numbers have a unit")),
    })
}

/// `number` as an integer, where it is one within what a double holds exactly.
fn whole(number: f64) -> Option<i64> {
    // Beyond 2^53 a double no longer tells neighbours apart.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}
