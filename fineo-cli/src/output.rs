//! Prints results, batch by batch, in the form that was asked for.

use std::io;

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use crate::args::Format;

mod cell;
mod csv;
mod json;
mod parquet;
mod screen;
mod table;

pub(crate) use screen::screened;

use self::{csv::CsvWriter, json::JsonWriter, parquet::ParquetWriter, table::TableWriter};

/// Where results go.
pub(crate) type Sink = Box<dyn io::Write + Send>;

/// Prints the batches of one result; memory does not grow with their number.
pub(crate) trait ResultWriter: Send {
    /// Prints `batch`.
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()>;

    /// Prints what is left, and the end of the form.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A choice of form.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    /// The form.
    pub(crate) format: Format,
    /// Whether csv defuses text that a spreadsheet would run.
    pub(crate) formula_guard: bool,
}

/// A writer of results with the columns of `schema` to `sink`.
pub(crate) fn result_writer(style: Style, schema: &SchemaRef, sink: Sink) -> io::Result<Box<dyn ResultWriter>> {
    Ok(match style.format {
        Format::Table => Box::new(TableWriter::new(schema, sink)),
        Format::Csv => Box::new(CsvWriter::new(schema, sink, style.formula_guard)?),
        Format::Json => Box::new(JsonWriter::array(schema, sink)),
        Format::Ndjson => Box::new(JsonWriter::lines(schema, sink)),
        Format::Parquet => Box::new(ParquetWriter::new(schema, sink)?),
    })
}

#[cfg(test)]
mod tests;
