//! Results as JSON: one array of objects, or one object on each line.

use std::io::{self, Write};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use fineo_server::distinct_names;

use super::{
    ResultWriter, Sink,
    cell::{push_json, push_quoted, simplified},
};

/// The most bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Writes JSON.
pub(crate) struct JsonWriter {
    sink: Sink,
    is_array: bool,
    rows: u64,
    /// Per column, its name as JSON with the colon.
    keys: Vec<String>,
    text: String,
}

impl JsonWriter {
    /// One array of objects.
    pub(crate) fn array(schema: &SchemaRef, sink: Sink) -> Self {
        Self::new(schema, sink, true)
    }

    /// One object on each line.
    pub(crate) fn lines(schema: &SchemaRef, sink: Sink) -> Self {
        Self::new(schema, sink, false)
    }

    fn new(schema: &SchemaRef, sink: Sink, is_array: bool) -> Self {
        let key = |name: String| {
            let mut key = String::new();
            push_quoted(&name, &mut key);
            key.push(':');
            key
        };
        let keys = distinct_names(schema).into_iter().map(key).collect();
        Self { sink, is_array, rows: 0, keys, text: String::with_capacity(BUFFER_BYTES) }
    }

    fn begin_row(&mut self) {
        if self.is_array {
            self.text.push_str(if self.rows == 0 { "[\n" } else { ",\n" });
        }
        self.rows += 1;
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }
}

impl ResultWriter for JsonWriter {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns: Vec<_> = batch.columns().iter().map(simplified).collect();
        for row in 0..batch.num_rows() {
            self.begin_row();
            self.text.push('{');
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    self.text.push(',');
                }
                self.text.push_str(&self.keys[index]);
                push_json(column, row, &mut self.text);
            }
            self.text.push('}');
            if !self.is_array {
                self.text.push('\n');
            }
            if self.text.len() >= BUFFER_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.is_array {
            self.text.push_str(if self.rows == 0 { "[]\n" } else { "\n]\n" });
        }
        self.flush()?;
        self.sink.flush()
    }
}
