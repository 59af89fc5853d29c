//! Computes a merged column of one batch of a file.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, StringViewArray, new_null_array},
    buffer::{BooleanBuffer, NullBuffer},
    compute::{cast, kernels::zip::zip, nullif},
    datatypes::DataType,
};
use fineo_core::{Error, Result};
use fineo_schema::FieldType;

use super::{Merged, Piece, Place, REST, Typed, numbers, rest, texts};
use crate::{
    column::data_type,
    convert::{Cells, Conversions},
};

/// The columns of a batch that a merged column needs, by name.
pub(super) struct Inputs<'a> {
    pub(super) rows: usize,
    pub(super) names: &'a [Arc<str>],
    pub(super) arrays: &'a [ArrayRef],
}

impl<'a> Inputs<'a> {
    pub(super) fn array(&self, name: &str) -> Result<&'a ArrayRef> {
        let place = self.names.iter().position(|known| &**known == name);
        place.map(|place| &self.arrays[place]).ok_or_else(|| Error::internal("a file's column was left out"))
    }

    pub(super) fn texts(&self, name: &str) -> Result<&'a StringViewArray> {
        let texts = self.array(name)?.as_string_view_opt();
        texts.ok_or_else(|| Error::corrupt("a file's column of texts has another type").with("column", name))
    }
}

/// A piece of a column: its values, and which rows have a cell.
struct Cut {
    values: ArrayRef,
    /// None for all rows.
    present: Option<BooleanBuffer>,
}

impl Merged {
    /// The values of one batch.
    pub(super) fn values(&self, inputs: &Inputs<'_>) -> Result<ArrayRef> {
        if let [only] = self.pieces.as_slice() {
            let cut = self.cut(only, inputs)?;
            return match cut.present {
                Some(present) if is_masked(only) => masked(&cut.values, &present),
                Some(_) | None => Ok(cut.values),
            };
        }
        let mut merged: Option<ArrayRef> = None;
        // From the last in rank to the first: each goes before those that are there.
        for piece in self.pieces.iter().rev() {
            let cut = self.cut(piece, inputs)?;
            merged = Some(match (merged, &cut.present) {
                (_, None) => cut.values,
                (None, Some(present)) => masked(&cut.values, present)?,
                (Some(behind), Some(present)) => chosen(present, &cut.values, &behind)?,
            });
        }
        Ok(merged.unwrap_or_else(|| new_null_array(&data_type(self.field_type.as_ref()), inputs.rows)))
    }

    fn cut(&self, piece: &Piece, inputs: &Inputs<'_>) -> Result<Cut> {
        let conversions = Conversions::new(&piece.conversions);
        let picked = numbers::picked(&conversions, inputs)?;
        let wanted = self.field_type.unwrap_or(FieldType::String);
        match &piece.place {
            Place::Rest(name) => {
                let texts = rest::cells(inputs.texts(REST)?, name)?;
                let present = presence(texts.nulls(), inputs.rows);
                let values =
                    picked.merged(|| parsed(&texts, self.field_type.as_ref()), || picked.of_texts(wanted, &texts))?;
                Ok(Cut { values, present })
            }
            Place::Column(typed) => {
                let present = present(typed, inputs)?;
                let values = picked.merged(
                    || typed_values(typed, self.field_type.as_ref(), inputs),
                    || numbers::of_column(typed, &picked, wanted, inputs),
                )?;
                Ok(Cut { values, present })
            }
        }
    }
}

/// Whether rows may have a cell in the column that this piece does not mean.
fn is_masked(piece: &Piece) -> bool {
    matches!(&piece.place, Place::Column(Typed { only: Some(_), .. }))
}

fn parsed(texts: &StringViewArray, field_type: Option<&FieldType>) -> Result<ArrayRef> {
    Cells::new(texts.len(), std::iter::once(texts)).typed(field_type)
}

/// The values of a column as `field_type`, whichever name its cells had.
fn typed_values(typed: &Typed, field_type: Option<&FieldType>, inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let value = inputs.array(&typed.value)?;
    if field_type == Some(&typed.value_type) {
        return Ok(Arc::clone(value));
    }
    let beside = typed.text.as_ref().map(|text| inputs.texts(text)).transpose()?;
    let beside = beside.filter(|texts| texts.null_count() < inputs.rows);
    let is_text = matches!(typed.value_type, FieldType::String | FieldType::Json);
    if is_text && beside.is_none() && matches!(field_type, None | Some(FieldType::String)) {
        return Ok(Arc::clone(value));
    }
    if let Some(field_type) = field_type.filter(|wanted| is_exact_cast(typed.value_type, **wanted)) {
        let cast = cast(value, &data_type(Some(field_type))).map_err(computed)?;
        let Some(beside) = beside else { return Ok(cast) };
        let present = BooleanBuffer::collect_bool(inputs.rows, |row| beside.is_valid(row));
        return chosen(&present, &parsed(beside, Some(field_type))?, &cast);
    }
    let texts = texts::of_column(value, typed.value_type, beside)?;
    parsed(&texts, field_type)
}

/// Whether casting a value gives what parsing its text would.
pub(super) fn is_exact_cast(from: FieldType, to: FieldType) -> bool {
    matches!(
        (from, to),
        (FieldType::Int, FieldType::Long | FieldType::Double | FieldType::Float)
            | (FieldType::Long, FieldType::Int | FieldType::Double | FieldType::Float)
    )
}

/// Which rows have a cell in the column under one of the names that are meant.
fn present(typed: &Typed, inputs: &Inputs<'_>) -> Result<Option<BooleanBuffer>> {
    let rows = inputs.rows;
    let mut present = presence(inputs.array(&typed.value)?.nulls(), rows);
    if let (Some(some), Some(text)) = (&present, &typed.text) {
        let beside = presence(inputs.texts(text)?.nulls(), rows);
        present = beside.map(|beside| some | &beside);
    }
    let Some((column, names)) = &typed.only else { return Ok(present) };
    let stored = inputs.texts(column)?;
    let is_meant = |row| stored.is_valid(row) && names.iter().any(|name| **name == *stored.value(row));
    let meant = BooleanBuffer::collect_bool(rows, is_meant);
    Ok(Some(match present {
        Some(present) => &present & &meant,
        None => meant,
    }))
}

fn presence(nulls: Option<&NullBuffer>, rows: usize) -> Option<BooleanBuffer> {
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0)?;
    debug_assert_eq!(nulls.len(), rows, "one row, one bit");
    Some(nulls.inner().clone())
}

/// `values` where `present`, else null.
fn masked(values: &ArrayRef, present: &BooleanBuffer) -> Result<ArrayRef> {
    nullif(values, &BooleanArray::new(!present, None)).map_err(computed)
}

/// `front` where `present`, else `behind`.
fn chosen(present: &BooleanBuffer, front: &ArrayRef, behind: &ArrayRef) -> Result<ArrayRef> {
    zip(&BooleanArray::new(present.clone(), None), front, behind).map_err(computed)
}

pub(super) fn computed(source: datafusion::arrow::error::ArrowError) -> Error {
    Error::internal("cannot put a column together").with_source(source)
}

/// The type that a merged column has.
pub(super) fn type_of(merged: &Merged) -> DataType {
    data_type(merged.field_type.as_ref())
}
