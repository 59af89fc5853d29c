//! Results as a Parquet file.

use std::{io, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, StringBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use fineo_server::distinct_names;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

use super::{ResultWriter, Sink, cell::push_text};

/// The most rows of a row group.
const ROW_GROUP_ROWS: usize = 256 * 1024;
/// The most bytes that a row group may take in memory.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Writes Parquet.
pub(crate) struct ParquetWriter {
    schema: SchemaRef,
    writer: ArrowWriter<Sink>,
}

impl ParquetWriter {
    /// Begins a file with the columns of `schema`, their names made distinct.
    pub(crate) fn new(schema: &SchemaRef, sink: Sink) -> io::Result<Self> {
        let names = distinct_names(schema).into_iter();
        let fields = schema
            .fields()
            .iter()
            .zip(names)
            .map(|(field, name)| Field::new(name, storable_type(field.data_type()), field.is_nullable()));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties)).map_err(io_error)?;
        Ok(Self { schema, writer })
    }
}

impl ResultWriter for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns = batch.columns().iter().map(storable).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(io::Error::other)?;
        self.writer.write(&batch).map_err(io_error)?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush().map_err(io_error)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let mut sink = self.writer.into_inner().map_err(io_error)?;
        io::Write::flush(&mut sink)
    }
}

/// Parquet has no form for some types of the engine: they are stored as their text.
fn storable_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Interval(_) | DataType::Duration(_) | DataType::Union(..) | DataType::RunEndEncoded(..) => {
            DataType::Utf8
        }
        other => other.clone(),
    }
}

fn storable(array: &ArrayRef) -> ArrayRef {
    if storable_type(array.data_type()) == *array.data_type() {
        return array.clone();
    }
    let mut texts = StringBuilder::new();
    let mut text = String::new();
    for row in 0..array.len() {
        text.clear();
        push_text(array, row, &mut text);
        texts.append_option((!array.is_null(row)).then_some(&text));
    }
    Arc::new(texts.finish())
}

/// Gives back the error of the sink, so that a broken pipe is known as one.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
