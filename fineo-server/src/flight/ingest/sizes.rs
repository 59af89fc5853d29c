//! How much rows take as JSON, at least about: what a batch has once, a row may show again and again.
//!
//! Views, dictionaries and runs may all point at one long value, and a list of nulls of a fixed size takes no byte at all.

use arrow::{
    array::{Array, AsArray, RecordBatch, downcast_dictionary_array, downcast_run_array},
    datatypes::DataType,
};

/// The marks around a value.
const MARKS: usize = 4;
/// A number, a time, a word.
const WORD: usize = 24;

/// How many of the rows of `batch` from `start` on take `bytes_max` together, up to `rows_max`; none when the first takes more.
pub(super) fn rows_within(batch: &RecordBatch, start: usize, rows_max: usize, bytes_max: usize) -> usize {
    let end = batch.num_rows().min(start.saturating_add(rows_max));
    let names: usize = batch.schema().fields().iter().map(|field| field.name().len()).sum();
    let mut left = bytes_max;
    let fits =
        |row: &usize| take(&mut left, names) && batch.columns().iter().all(|column| shows(column, *row, &mut left));
    (start..end).take_while(fits).count()
}

fn take(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

/// Takes from `left` what is shown of the value at `row`; whether there was so much.
fn shows(array: &dyn Array, row: usize, left: &mut usize) -> bool {
    if !take(left, MARKS) || array.is_null(row) {
        return *left > 0;
    }
    let mut all = |items: &dyn Array| (0..items.len()).all(|item| shows(items, item, left));
    match array.data_type() {
        DataType::Utf8 => take(left, array.as_string::<i32>().value(row).len()),
        DataType::LargeUtf8 => take(left, array.as_string::<i64>().value(row).len()),
        DataType::Utf8View => take(left, array.as_string_view().value(row).len()),
        DataType::Binary => take(left, 2 * array.as_binary::<i32>().value(row).len()),
        DataType::LargeBinary => take(left, 2 * array.as_binary::<i64>().value(row).len()),
        DataType::BinaryView => take(left, 2 * array.as_binary_view().value(row).len()),
        DataType::FixedSizeBinary(_) => take(left, 2 * array.as_fixed_size_binary().value(row).len()),
        DataType::List(_) => all(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => all(&array.as_list::<i64>().value(row)),
        DataType::ListView(_) => all(&array.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => all(&array.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => all(&array.as_fixed_size_list().value(row)),
        DataType::Map(..) => all(&array.as_map().value(row)),
        DataType::Struct(fields) => {
            let mut parts = fields.iter().zip(array.as_struct().columns());
            parts.all(|(field, part)| take(left, field.name().len()) && shows(part, row, left))
        }
        DataType::Union(..) => {
            let union = array.as_union();
            shows(union.child(union.type_id(row)), union.value_offset(row), left)
        }
        DataType::Dictionary(..) => downcast_dictionary_array!(
            array => array.key(row).is_none_or(|key| shows(array.values(), key, left)),
            _ => take(left, WORD)
        ),
        DataType::RunEndEncoded(..) => downcast_run_array!(
            array => shows(array.values(), array.get_physical_index(row), left),
            _ => take(left, WORD)
        ),
        _ => take(left, WORD),
    }
}

#[cfg(test)]
mod tests;
