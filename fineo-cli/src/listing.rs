//! Lists of the program's own (metrics, changes, suggestions), printed like results.

use std::{io, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};

use crate::{
    args::Format,
    failure::Failure,
    output::{Style, result_writer},
};

/// A list with named columns; a cell may be absent.
#[derive(Debug)]
pub(crate) struct Listing {
    names: Vec<&'static str>,
    columns: Vec<Vec<Option<String>>>,
}

impl Listing {
    /// An empty list with these columns.
    pub(crate) fn new(names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), columns: vec![Vec::new(); names.len()] }
    }

    /// Adds a row; `cells` are as many as the columns.
    pub(crate) fn push<const N: usize>(&mut self, cells: [Option<String>; N]) {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    }

    /// Whether it has no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.first().is_none_or(Vec::is_empty)
    }

    /// Prints the list on stdout.
    pub(crate) fn print(self, format: Format) -> Result<(), Failure> {
        let fields: Vec<_> = self.names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = self.columns.into_iter().map(|column| Arc::new(StringArray::from(column)) as ArrayRef).collect();
        let batch = RecordBatch::try_new(schema.clone(), columns).map_err(io::Error::other)?;
        let style = Style { format, ..Style::default() };
        let mut writer = result_writer(style, &schema, Box::new(io::stdout()))?;
        writer.write(&batch)?;
        Ok(writer.finish()?)
    }
}

/// A cell with text.
pub(crate) fn cell(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}
