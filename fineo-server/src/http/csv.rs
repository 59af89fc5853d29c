//! Rows as CSV (RFC 4180): null is nothing, the empty string is `""`, so that whoever reads them can tell one from the other.

use arrow::{
    array::{Array, RecordBatch},
    datatypes::Schema,
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};

use crate::floats::in_words;

/// The row of names.
pub(super) fn header(schema: &Schema) -> Vec<u8> {
    let mut line = String::new();
    for (index, field) in schema.fields().iter().enumerate() {
        separate(index, &mut line);
        quote(field.name(), &mut line);
    }
    line.push('\n');
    line.into_bytes()
}

/// The rows of `batch`.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let batch = in_words(batch)?;
    let options = FormatOptions::default();
    let texts = batch.columns().iter().map(|column| match column.data_type().is_nested() {
        true => Err(ArrowError::CsvError(format!("CSV has no {}", column.data_type()))),
        false => Ok((column, ArrayFormatter::try_new(column, &options)?)),
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let (mut lines, mut field) = (String::new(), String::new());
    for row in 0..batch.num_rows() {
        for (index, (column, text)) in texts.iter().enumerate() {
            separate(index, &mut lines);
            if !column.is_null(row) {
                field.clear();
                text.value(row).write(&mut field)?;
                quote(&field, &mut lines);
            }
        }
        lines.push('\n');
    }
    Ok(lines.into_bytes())
}

fn separate(index: usize, line: &mut String) {
    if index > 0 {
        line.push(',');
    }
}

/// Writes `field`, in quotes where it needs them.
fn quote(field: &str, line: &mut String) {
    if !field.is_empty() && !field.contains([',', '"', '\n', '\r']) {
        return line.push_str(field);
    }
    line.push('"');
    line.push_str(&field.replace('"', "\"\""));
    line.push('"');
}
