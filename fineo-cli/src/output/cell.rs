//! One value of a result as text or as JSON, exactly.

use std::fmt::{Debug, Write};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{
        DataType, Date32Type, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
    },
    util::display::{ArrayFormatter, FormatOptions},
};
use jiff::{SignedDuration, civil};

use super::screen::is_active;

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

/// `array` in one of the few types that this module prints itself; others stay as they are.
pub(crate) fn simplified(array: &ArrayRef) -> ArrayRef {
    let Some(simple) = simple_type(array.data_type()) else {
        return array.clone();
    };
    cast(array, &simple).unwrap_or_else(|_| array.clone())
}

fn simple_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            Some(DataType::Int64)
        }
        DataType::Float16 => Some(DataType::Float32),
        DataType::Utf8View | DataType::LargeUtf8 => Some(DataType::Utf8),
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => Some(DataType::Binary),
        DataType::Date64 => Some(DataType::Date32),
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) => Some(DataType::List(field.clone())),
        DataType::Dictionary(_, values) => Some(simple_type(values).unwrap_or_else(|| values.as_ref().clone())),
        DataType::RunEndEncoded(_, values) => {
            Some(simple_type(values.data_type()).unwrap_or_else(|| values.data_type().clone()))
        }
        _ => None,
    }
}

/// Whether there is no value at `row`.
pub(crate) fn is_null(array: &dyn Array, row: usize) -> bool {
    array.is_null(row) || *array.data_type() == DataType::Null
}

/// Whether values of this type are numbers, which align to the right.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Whether values of this type are free text, in which anything may stand.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// Appends the value at `row` of a simplified array as text; nothing for null.
pub(crate) fn push_text(array: &dyn Array, row: usize, out: &mut String) {
    if is_null(array, row) {
        return;
    }
    match array.data_type() {
        DataType::Utf8 => out.push_str(array.as_string::<i32>().value(row)),
        DataType::Float32 => push_float(array.as_primitive::<Float32Type>().value(row), out),
        DataType::Float64 => push_float(array.as_primitive::<Float64Type>().value(row), out),
        DataType::Binary => push_base64(array.as_binary::<i32>().value(row), out),
        DataType::Timestamp(unit, zone) => push_timestamp(array, *unit, zone.is_some(), row, out),
        DataType::Date32 => push_date(array.as_primitive::<Date32Type>().value(row), out),
        DataType::List(_) | DataType::Struct(_) | DataType::Map(..) => push_json(array, row, out),
        DataType::Boolean | DataType::Int64 | DataType::UInt64 => push_plain(array, row, out),
        _ => push_formatted(array, row, out),
    }
}

/// Appends the value at `row` of a simplified array as JSON.
pub(crate) fn push_json(array: &dyn Array, row: usize, out: &mut String) {
    if is_null(array, row) {
        out.push_str("null");
        return;
    }
    match array.data_type() {
        DataType::Utf8 => push_quoted(array.as_string::<i32>().value(row), out),
        DataType::Boolean | DataType::Int64 | DataType::UInt64 => push_plain(array, row, out),
        DataType::Float32 | DataType::Float64 => push_json_float(array, row, out),
        data_type if data_type.is_decimal() => push_formatted(array, row, out),
        DataType::List(_) => push_list(&simplified(&array.as_list::<i32>().value(row)), out),
        DataType::Struct(_) => push_struct(array, row, out),
        DataType::Map(..) => push_map(array, row, out),
        _ => {
            let mut text = String::new();
            push_text(array, row, &mut text);
            push_quoted(&text, out);
        }
    }
}

fn push_plain(array: &dyn Array, row: usize, out: &mut String) {
    let _ = match array.data_type() {
        DataType::Boolean => write!(out, "{}", array.as_boolean().value(row)),
        DataType::UInt64 => write!(out, "{}", array.as_primitive::<UInt64Type>().value(row)),
        _ => write!(out, "{}", array.as_primitive::<Int64Type>().value(row)),
    };
}

/// The shortest digits that read back as the same value. Rust's `Debug` of floats promises just that.
fn push_float(value: impl Into<f64> + Debug + Copy, out: &mut String) {
    let wide: f64 = value.into();
    if wide.is_infinite() {
        out.push_str(if wide > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        let _ = write!(out, "{value:?}");
    }
}

/// JSON has no number for NaN and infinity: they become text, so that nothing is lost.
fn push_json_float(array: &dyn Array, row: usize, out: &mut String) {
    let mut text = String::new();
    push_text(array, row, &mut text);
    if text.contains(['N', 'I']) {
        push_quoted(&text, out);
    } else {
        out.push_str(&text);
    }
}

fn push_formatted(array: &dyn Array, row: usize, out: &mut String) {
    let options = FormatOptions::default().with_display_error(true);
    if let Ok(formatter) = ArrayFormatter::try_new(array, &options) {
        let _ = write!(out, "{}", formatter.value(row));
    }
}

/// Appends a time, as an instant or, where it has no zone, as what a clock shows.
fn push_timestamp(array: &dyn Array, unit: TimeUnit, is_instant: bool, row: usize, out: &mut String) {
    let (value, per_second, name) = match unit {
        TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().value(row), 1, "s"),
        TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().value(row), 1_000, "ms"),
        TimeUnit::Microsecond => (array.as_primitive::<TimestampMicrosecondType>().value(row), 1_000_000, "µs"),
        TimeUnit::Nanosecond => (array.as_primitive::<TimestampNanosecondType>().value(row), NANOS, "ns"),
    };
    let nanos = i32::try_from(value.rem_euclid(per_second) * (NANOS / per_second)).unwrap_or_default();
    // A civil date-time, because jiff's own instants end 26 hours before the year 9999 does.
    let epoch = civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let _ = match epoch.checked_add(SignedDuration::new(value.div_euclid(per_second), nanos)) {
        Ok(time) => write!(out, "{time}{}", if is_instant { "Z" } else { "" }),
        Err(_) => write!(out, "{value} {name} after 1970-01-01"),
    };
}

fn push_date(days: i32, out: &mut String) {
    let span = jiff::Span::new().try_days(days);
    let date = span.and_then(|span| civil::date(1970, 1, 1).checked_add(span));
    let _ = match date {
        Ok(date) => write!(out, "{date}"),
        Err(_) => write!(out, "{days} days after 1970-01-01"),
    };
}

fn push_list(values: &ArrayRef, out: &mut String) {
    out.push('[');
    for row in 0..values.len() {
        if row > 0 {
            out.push(',');
        }
        push_json(values, row, out);
    }
    out.push(']');
}

fn push_struct(array: &dyn Array, row: usize, out: &mut String) {
    let array = array.as_struct();
    out.push('{');
    for (index, (name, column)) in array.column_names().iter().zip(array.columns()).enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_quoted(name, out);
        out.push(':');
        push_json(&simplified(&column.slice(row, 1)), 0, out);
    }
    out.push('}');
}

fn push_map(array: &dyn Array, row: usize, out: &mut String) {
    let entries = array.as_map().value(row);
    let (keys, values) = (simplified(entries.column(0)), simplified(entries.column(1)));
    out.push('{');
    for entry in 0..entries.len() {
        if entry > 0 {
            out.push(',');
        }
        let mut key = String::new();
        push_text(&keys, entry, &mut key);
        push_quoted(&key, out);
        out.push(':');
        push_json(&values, entry, out);
    }
    out.push('}');
}

/// Appends `text` as a JSON string; what a terminal would act on is escaped, which JSON reads back as the same text.
pub(crate) fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All of these lie in the first plane, so that four digits hold them.
            other if is_active(other) => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

fn push_base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().enumerate().fold(0_u32, |word, (index, byte)| word | u32::from(*byte) << (16 - 8 * index));
        for digit in 0..4_usize {
            let value = (word >> (18 - 6 * digit)) & 63;
            out.push(if digit <= chunk.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
}
