//! Stores rows as a file has them, by the letter of its layout.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, BinaryViewArray, RecordBatch, StringViewArray, TimestampMicrosecondArray},
    datatypes::{Field, Schema},
};
use fineo_core::{MetricId, TenantId, repo::Version};
use fineo_schema::{
    FieldType,
    coerce::{self, text},
};
use fineo_table::{ColumnLayout, FileLayout};

use crate::{convert::Cells, scan::file};

/// A stored name and its text.
pub(super) type Cell = (&'static str, &'static str);

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) at: i64,
    pub(super) position: u64,
    pub(super) alias: &'static str,
    pub(super) cells: Vec<Cell>,
}

impl Row {
    pub(super) fn cell(&self, name: &str) -> Option<&'static str> {
        self.cells.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }
}

/// Which columns a file has: name, type, the stored names in order of rank.
#[derive(Debug, Clone)]
pub(super) struct Shape(Vec<(&'static str, FieldType, Vec<&'static str>)>);

impl Shape {
    pub(super) fn of(columns: &[(&'static str, FieldType, &[&'static str])]) -> Self {
        Self(columns.iter().map(|(name, field_type, names)| (*name, *field_type, names.to_vec())).collect())
    }
}

/// Whether printing the value gives `text` back.
fn is_exact(text: &str, field_type: FieldType) -> bool {
    text::is_exact(text, field_type)
}

/// The cell of `row` that `column` has: the best of its names.
fn taken(row: &Row, column: &ColumnLayout) -> Option<Cell> {
    column.names.iter().find_map(|name| row.cells.iter().find(|(known, _)| **name == **known)).copied()
}

fn is_in_column(row: &Row, layout: &FileLayout, name: &str) -> bool {
    layout.columns.iter().any(|column| taken(row, column).is_some_and(|(taken, _)| taken == name))
}

/// The layout of a file of `rows` that has the columns of `shape`.
pub(super) fn layout(shape: &Shape, rows: &[Row]) -> FileLayout {
    let mut layout = FileLayout {
        format: FileLayout::FORMAT,
        tenant: TenantId::new("acme").unwrap(),
        metric: MetricId::numbered(1),
        day: 0,
        schema_version: Version(1),
        columns: Vec::new(),
        rest_names: Vec::new(),
    };
    for (column, value_type, names) in &shape.0 {
        let known = ColumnLayout {
            column: (*column).into(),
            field: None,
            value_type: *value_type,
            text: None,
            names: names.iter().map(|name| (*name).into()).collect(),
            name: (names.len() > 1).then(|| format!("_fineo_name_{column}").into()),
        };
        let is_beside = |row: &Row| taken(row, &known).is_some_and(|(_, text)| !is_exact(text, *value_type));
        let text = rows.iter().any(is_beside).then(|| format!("_fineo_text_{column}").into());
        layout.columns.push(ColumnLayout { text, ..known });
    }
    for row in rows {
        for (name, _) in &row.cells {
            if !is_in_column(row, &layout, name) && !layout.rest_names.iter().any(|known| **known == **name) {
                layout.rest_names.push((*name).into());
            }
        }
    }
    layout
}

/// The columns of a file of `rows`.
pub(super) fn store(layout: &FileLayout, rows: &[Row]) -> RecordBatch {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut add = |name: &str, array: ArrayRef| {
        fields.push(Field::new(name, array.data_type().clone(), array.null_count() > 0));
        arrays.push(array);
    };
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at)).with_timezone("UTC");
    add(file::TIMESTAMP, Arc::new(times.clone()));
    let ids = rows.iter().map(|row| u128::from(row.position).to_be_bytes());
    add(file::EVENT_ID, Arc::new(BinaryViewArray::from_iter_values(ids)));
    add(file::ALIAS, Arc::new(StringViewArray::from_iter_values(rows.iter().map(|row| row.alias))));
    add(file::INGESTED_AT, Arc::new(times));
    for column in &layout.columns {
        let cells: Vec<Option<Cell>> = rows.iter().map(|row| taken(row, column)).collect();
        let texts: StringViewArray = cells.iter().map(|cell| cell.map(|(_, text)| text)).collect();
        let values = Cells::new(rows.len(), std::iter::once(&texts)).typed(Some(&column.value_type)).unwrap();
        add(&column.column, values);
        if let Some(name) = &column.text {
            let beside =
                |cell: &Option<Cell>| cell.map(|(_, text)| text).filter(|text| !is_exact(text, column.value_type));
            add(name, Arc::new(cells.iter().map(beside).collect::<StringViewArray>()));
        }
        if let Some(name) = &column.name {
            add(name, Arc::new(cells.iter().map(|cell| cell.map(|(name, _)| name)).collect::<StringViewArray>()));
        }
    }
    let rest = |row: &Row| {
        let cells = row.cells.iter().filter(|(name, _)| !is_in_column(row, layout, name));
        let cells: serde_json::Map<_, _> =
            cells.map(|(name, text)| ((*name).to_owned(), serde_json::Value::from(*text))).collect();
        (!cells.is_empty()).then(|| serde_json::Value::Object(cells).to_string())
    };
    add(file::REST, Arc::new(rows.iter().map(rest).collect::<StringViewArray>()));
    assert!(coerce::json("{}").is_some());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}
