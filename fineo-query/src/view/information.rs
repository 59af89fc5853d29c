//! `information_schema`: what the session's own tenant has, and nothing else.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringViewBuilder, UInt64Builder},
        datatypes::{DataType, Field, Schema},
    },
    catalog::TableProvider,
};

use super::{View, error_columns, of_rows};
use crate::{
    catalog::{ERRORS, INFORMATION_SCHEMA, PUBLIC, Sources, visible_columns},
    column::Column,
};

/// The rows of a table of texts.
struct Texts {
    names: &'static [&'static str],
    columns: Vec<StringViewBuilder>,
}

impl Texts {
    fn new(names: &'static [&'static str]) -> Self {
        Self { names, columns: names.iter().map(|_| StringViewBuilder::new()).collect() }
    }

    fn add(&mut self, values: &[&str]) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.append_value(value);
        }
    }

    fn finish(self, more: Option<(&'static str, ArrayRef)>) -> Arc<dyn TableProvider> {
        let mut fields: Vec<Field> =
            self.names.iter().map(|name| Field::new(*name, DataType::Utf8View, false)).collect();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for mut column in self.columns {
            arrays.push(Arc::new(column.finish()));
        }
        if let Some((name, array)) = more {
            fields.push(Field::new(name, array.data_type().clone(), false));
            arrays.push(array);
        }
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
        let rows = rows.expect("the columns were made for these fields");
        of_rows(rows.schema(), rows)
    }
}

pub(super) fn tables(sources: &Sources) -> Arc<dyn TableProvider> {
    let mut texts = Texts::new(&["table_catalog", "table_schema", "table_name", "table_type"]);
    for metric in sources.metrics() {
        texts.add(&["fineo", PUBLIC, metric.name(), "BASE TABLE"]);
    }
    for view in [View::Conflicts, View::Discovered] {
        texts.add(&["fineo", PUBLIC, view.name(), "VIEW"]);
    }
    if sources.schema.has_errors() {
        texts.add(&["fineo", ERRORS, View::Errors.name(), "VIEW"]);
    }
    for view in [View::Tables, View::Columns, View::Schemata] {
        texts.add(&["fineo", INFORMATION_SCHEMA, view.name(), "VIEW"]);
    }
    texts.finish(None)
}

pub(super) fn schemata() -> Arc<dyn TableProvider> {
    let mut texts = Texts::new(&["catalog_name", "schema_name"]);
    for schema in [PUBLIC, ERRORS, INFORMATION_SCHEMA] {
        texts.add(&["fineo", schema]);
    }
    texts.finish(None)
}

pub(super) fn columns(sources: &Sources) -> Arc<dyn TableProvider> {
    let mut rows = ColumnRows {
        texts: Texts::new(&["table_catalog", "table_schema", "table_name", "column_name", "data_type", "is_nullable"]),
        positions: UInt64Builder::new(),
    };
    for metric in sources.metrics() {
        rows.add(PUBLIC, metric.name(), &visible_columns(metric, &sources.seen(metric)));
    }
    if sources.schema.has_errors() {
        rows.add(ERRORS, View::Errors.name(), &error_columns());
    }
    let positions: ArrayRef = Arc::new(rows.positions.finish());
    rows.texts.finish(Some(("ordinal_position", positions)))
}

struct ColumnRows {
    texts: Texts,
    positions: UInt64Builder,
}

impl ColumnRows {
    fn add(&mut self, schema: &str, table: &str, columns: &[Column]) {
        for (position, column) in (1..).zip(columns) {
            let is_nullable = if column.is_nullable() { "YES" } else { "NO" };
            self.texts.add(&["fineo", schema, table, &column.name, &column.type_name(), is_nullable]);
            self.positions.append_value(position);
        }
    }
}
