//! How much rows take as JSON, at most: what a batch has once, a row may show again and again.
//!
//! Views, dictionaries and runs may all point at one long value, and a list of nulls of a fixed size takes no byte at all.

use arrow::{
    array::{Array, AsArray, RecordBatch, downcast_dictionary_array, downcast_run_array},
    datatypes::DataType,
};

/// The marks around a value: two of its own and a comma, and the quotes and the colon of a name; or null and a comma.
const MARKS: usize = 6;
/// A number, or the word for one that is none.
const NUMBER: usize = 24;
/// The digits, the sign and the point of a decimal, but for zeros that its scale adds.
const DECIMAL: usize = 80;
/// A time or an interval, or the words that there is no such time.
const TIME: usize = 192;
/// What a character may grow to when it is escaped.
const ESCAPED: usize = "\\u0000".len();

/// How many of the rows of `batch` from `start` on take `bytes_max` together when each has `each` bytes more than its columns,
/// up to `rows_max`; none when the first takes more.
pub(super) fn rows_within(batch: &RecordBatch, start: usize, each: usize, rows_max: usize, bytes_max: usize) -> usize {
    let end = batch.num_rows().min(start.saturating_add(rows_max));
    let names: usize = batch.schema().fields().iter().map(|field| text_bytes(field.name())).sum();
    let mut left = bytes_max;
    let fits = |row: &usize| {
        take(&mut left, each + names) && batch.columns().iter().all(|column| shows(column, *row, &mut left))
    };
    (start..end).take_while(fits).count()
}

/// How much a row has beside its columns: a text named `name`, and the marks of a line.
pub(super) fn named_bytes(name: &str, text: &str) -> usize {
    text_bytes(name) + text_bytes(text) + 2 * MARKS
}

fn text_bytes(text: &str) -> usize {
    let is_escaped = |byte: &u8| byte.is_ascii_control() || matches!(byte, b'"' | b'\\');
    text.len() + text.bytes().filter(is_escaped).count() * (ESCAPED - 1)
}

fn take(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

/// Takes a text, which is not looked at when it is too long anyway.
fn take_text(left: &mut usize, text: &str) -> bool {
    text.len() <= *left && take(left, text_bytes(text))
}

/// Takes bytes, which are written in base64.
fn take_bytes(left: &mut usize, bytes: &[u8]) -> bool {
    take(left, bytes.len().div_ceil(3).saturating_mul(4))
}

/// Takes from `left` what is shown of the value at `row`; whether there was so much.
fn shows(array: &dyn Array, row: usize, left: &mut usize) -> bool {
    if !take(left, MARKS) || array.is_null(row) {
        return *left > 0;
    }
    let mut all = |items: &dyn Array| (0..items.len()).all(|item| shows(items, item, left));
    match array.data_type() {
        DataType::Utf8 => take_text(left, array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => take_text(left, array.as_string::<i64>().value(row)),
        DataType::Utf8View => take_text(left, array.as_string_view().value(row)),
        DataType::Binary => take_bytes(left, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => take_bytes(left, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => take_bytes(left, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => take_bytes(left, array.as_fixed_size_binary().value(row)),
        DataType::List(_) => all(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => all(&array.as_list::<i64>().value(row)),
        DataType::ListView(_) => all(&array.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => all(&array.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => all(&array.as_fixed_size_list().value(row)),
        DataType::Map(..) => all(&array.as_map().value(row)),
        DataType::Struct(fields) => {
            let mut parts = fields.iter().zip(array.as_struct().columns());
            parts.all(|(field, part)| take_text(left, field.name()) && shows(part, row, left))
        }
        DataType::Union(..) => {
            let union = array.as_union();
            shows(union.child(union.type_id(row)), union.value_offset(row), left)
        }
        DataType::Dictionary(..) => downcast_dictionary_array!(
            array => array.key(row).is_none_or(|key| shows(array.values(), key, left)),
            _ => take(left, NUMBER)
        ),
        DataType::RunEndEncoded(..) => downcast_run_array!(
            array => shows(array.values(), array.get_physical_index(row), left),
            _ => take(left, NUMBER)
        ),
        plain => take(left, plain_bytes(plain)),
    }
}

/// The most bytes of a value that has neither parts nor a length of its own.
fn plain_bytes(data_type: &DataType) -> usize {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => DECIMAL + usize::from(scale.unsigned_abs()),
        temporal if temporal.is_temporal() => TIME,
        _ => NUMBER,
    }
}

#[cfg(test)]
mod tests;
