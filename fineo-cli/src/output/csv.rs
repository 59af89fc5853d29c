//! Results as CSV: RFC 4180 quoting, one header row, NULL as an empty field and the empty string as `""`.

use std::io::{self, Write};

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::{
    ResultWriter, Sink,
    cell::{is_null, is_text, push_text, simplified},
};

/// The most bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Writes CSV.
pub(crate) struct CsvWriter {
    sink: Sink,
    formula_guard: bool,
    line: String,
}

impl CsvWriter {
    /// Writes the header row of `schema` to `sink`.
    pub(crate) fn new(schema: &SchemaRef, sink: Sink, formula_guard: bool) -> io::Result<Self> {
        let mut writer = Self { sink, formula_guard, line: String::with_capacity(BUFFER_BYTES) };
        for (index, field) in schema.fields().iter().enumerate() {
            writer.begin_field(index);
            writer.push_field(field.name(), true);
        }
        writer.line.push('\n');
        writer.flush()?;
        Ok(writer)
    }

    fn begin_field(&mut self, index: usize) {
        if index > 0 {
            self.line.push(',');
        }
    }

    fn push_field(&mut self, text: &str, is_text: bool) {
        let is_formula = self.formula_guard && is_text && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if !is_formula && !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
            self.line.push_str(text);
            return;
        }
        self.line.push('"');
        if is_formula {
            self.line.push('\'');
        }
        for part in text.split_inclusive('"') {
            self.line.push_str(part);
            if part.ends_with('"') {
                self.line.push('"');
            }
        }
        self.line.push('"');
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.write_all(self.line.as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

impl ResultWriter for CsvWriter {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns: Vec<_> = batch.columns().iter().map(simplified).collect();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                self.begin_field(index);
                if is_null(column, row) {
                    continue;
                }
                text.clear();
                push_text(column, row, &mut text);
                self.push_field(&text, is_text(column.data_type()));
            }
            self.line.push('\n');
            if self.line.len() >= BUFFER_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()?;
        self.sink.flush()
    }
}
