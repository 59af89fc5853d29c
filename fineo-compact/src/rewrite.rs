//! Rows of committed files back into entries, to be written anew under the columns of today.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    Array, RecordBatch, StringArray,
    cast::AsArray,
    types::{Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use fineo_core::{
    ContentHash, Error, EventId, Position, Result, Timestamp,
    nearline::{COLUMN_ALIAS, COLUMN_CONTENT, COLUMN_EVENT_ID, COLUMN_INGESTED_AT},
};
use fineo_schema::{Cell, FieldType, Metric, RecordHead, RecordLayout, coerce::text};
use fineo_table::{COLUMN_REST, COLUMN_TIMESTAMP, ColumnLayout, FileLayout};

use crate::entry::{COMMITTED, Entry};

/// How rows are read back.
pub(crate) struct Rewriting<'a> {
    /// What stands in the file.
    pub(crate) file: &'a FileLayout,
    /// The metric of today; none for one that is gone.
    pub(crate) metric: Option<&'a Metric>,
    /// The layout of the records to be made, and its number.
    pub(crate) layout: (&'a RecordLayout, u32),
    /// The names whose values in this file are unreadable for ever.
    pub(crate) is_deleted: &'a (dyn Fn(&str) -> bool + Sync),
}

/// A cell of a row: its name and text.
type Text = (Arc<str>, String);

impl Rewriting<'_> {
    /// Hands every row of `batch` to `visit` as an entry.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the batch does not have what the layout says, or whatever `visit` answers.
    pub(crate) fn rows(
        &self,
        batch: &RecordBatch,
        mut visit: impl FnMut(&Entry<'_>, &[Text]) -> Result<()>,
    ) -> Result<()> {
        let system = System::of(batch)?;
        let columns: Result<Vec<Column<'_>>> =
            self.file.columns.iter().map(|layout| Column::of(layout, batch)).collect();
        let columns = columns?;
        let rest = batch.column_by_name(COLUMN_REST).map(|rest| strings(rest, COLUMN_REST)).transpose()?;
        let (mut cells, mut record): (Vec<Text>, Vec<u8>) = (Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            cells.clear();
            for column in &columns {
                cells.extend(column.cell(row)?);
            }
            if let Some(rest) = rest.filter(|rest| rest.is_valid(row)) {
                let of_rest: serde_json::Map<String, serde_json::Value> = serde_json::from_str(rest.value(row))
                    .map_err(|source| Error::corrupt("the rest of a row cannot be read").with_source(source))?;
                for (name, value) in of_rest {
                    let value = value.as_str().ok_or_else(|| Error::corrupt("the rest of a row holds no texts"))?;
                    cells.push((name.into(), value.to_owned()));
                }
            }
            cells.retain(|(name, _)| !(self.is_deleted)(name));
            let head = system.head(row)?;
            record.clear();
            let slot = |name: &str| self.metric.and_then(|metric| metric.slot(name));
            let sent: Vec<Cell<'_>> = cells.iter().map(|(name, text)| Cell { name, text, slot: slot(name) }).collect();
            self.layout.0.write(&head, &*sent, &mut record);
            let entry = Entry {
                layout: self.layout.1,
                shard: COMMITTED,
                position: Position::ZERO,
                id: head.id,
                timestamp: head.timestamp,
                record: &record,
            };
            visit(&entry, &cells)?;
        }
        Ok(())
    }
}

struct System<'a> {
    timestamps: &'a arrow_array::TimestampMicrosecondArray,
    ids: &'a arrow_array::BinaryArray,
    aliases: &'a StringArray,
    ingested_at: &'a arrow_array::TimestampMicrosecondArray,
    contents: Option<&'a arrow_array::BinaryArray>,
}

impl<'a> System<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        let times = |name: &'static str| {
            let found =
                batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
            found.ok_or_else(|| missing(name))
        };
        let ids = batch.column_by_name(COLUMN_EVENT_ID).and_then(|column| column.as_binary_opt::<i32>());
        let aliases = batch.column_by_name(COLUMN_ALIAS).ok_or_else(|| missing(COLUMN_ALIAS))?;
        Ok(Self {
            timestamps: times(COLUMN_TIMESTAMP)?,
            ids: ids.ok_or_else(|| missing(COLUMN_EVENT_ID))?,
            aliases: strings(aliases, COLUMN_ALIAS)?,
            ingested_at: times(COLUMN_INGESTED_AT)?,
            contents: batch.column_by_name(COLUMN_CONTENT).and_then(|column| column.as_binary_opt::<i32>()),
        })
    }

    fn head(&self, row: usize) -> Result<RecordHead<'_>> {
        let time = |micros: i64| {
            Timestamp::from_micros(micros).map_err(|_| Error::corrupt("a time of a file is out of range"))
        };
        let bytes =
            |bytes: &[u8]| <[u8; 16]>::try_from(bytes).map_err(|_| Error::corrupt("an id of a file has no 16 bytes"));
        let id = EventId(bytes(self.ids.value(row))?);
        let content = self.contents.filter(|contents| contents.is_valid(row));
        let content = content.map(|contents| bytes(contents.value(row))).transpose()?;
        Ok(RecordHead {
            alias: self.aliases.value(row),
            timestamp: time(self.timestamps.value(row))?,
            written_at: time(self.ingested_at.value(row))?,
            id,
            content: ContentHash(content.unwrap_or(id.0)),
        })
    }
}

struct Column<'a> {
    layout: &'a ColumnLayout,
    values: &'a dyn Array,
    texts: Option<&'a StringArray>,
    names: Option<&'a StringArray>,
    by_text: HashMap<&'a str, &'a Arc<str>>,
}

impl<'a> Column<'a> {
    fn of(layout: &'a ColumnLayout, batch: &'a RecordBatch) -> Result<Self> {
        let find = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
        let texts = layout.text.as_deref().map(|name| find(name).and_then(|texts| strings(texts, name))).transpose()?;
        let names = layout.name.as_deref().map(|name| find(name).and_then(|names| strings(names, name))).transpose()?;
        let by_text = layout.names.iter().map(|name| (&**name, name)).collect();
        Ok(Self { layout, values: &**find(&layout.column)?, texts, names, by_text })
    }

    fn cell(&self, row: usize) -> Result<Option<Text>> {
        let text = match self.texts.filter(|texts| texts.is_valid(row)) {
            Some(texts) => texts.value(row).to_owned(),
            None if self.values.is_null(row) => return Ok(None),
            None => printed(self.values, self.layout.value_type, row).ok_or_else(|| missing(&self.layout.column))?,
        };
        let name = match self.names {
            Some(names) => self.by_text.get(names.value(row)).copied(),
            None => self.layout.names.first(),
        };
        let name = name.ok_or_else(|| Error::corrupt("a row has a name that its file does not list"))?;
        Ok(Some((Arc::clone(name), text)))
    }
}

/// The text of the value at `row`; none when the array is of another type.
pub(crate) fn printed(values: &dyn Array, value_type: FieldType, row: usize) -> Option<String> {
    let mut out = String::new();
    match value_type {
        FieldType::String | FieldType::Json => out.push_str(values.as_string_opt::<i32>()?.value(row)),
        FieldType::Boolean => text::write_boolean(values.as_boolean_opt()?.value(row), &mut out),
        FieldType::Int => text::write_int(values.as_primitive_opt::<Int32Type>()?.value(row), &mut out),
        FieldType::Long => text::write_long(values.as_primitive_opt::<Int64Type>()?.value(row), &mut out),
        FieldType::Float => text::write_float(values.as_primitive_opt::<Float32Type>()?.value(row), &mut out),
        FieldType::Double => text::write_double(values.as_primitive_opt::<Float64Type>()?.value(row), &mut out),
        FieldType::Decimal { scale, .. } => {
            text::write_decimal(values.as_primitive_opt::<Decimal128Type>()?.value(row), scale, &mut out);
        }
        FieldType::Timestamp => {
            text::write_timestamp(values.as_primitive_opt::<TimestampMicrosecondType>()?.value(row), &mut out);
        }
        FieldType::Date => text::write_date(values.as_primitive_opt::<Date32Type>()?.value(row), &mut out),
        FieldType::Bytes => text::write_bytes(values.as_binary_opt::<i32>()?.value(row), &mut out),
    }
    Some(out)
}

fn strings<'a>(array: &'a dyn Array, name: &str) -> Result<&'a StringArray> {
    array.as_string_opt::<i32>().ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Error {
    Error::corrupt("a file does not have a column that it should, of the type that it should").with("column", name)
}

/// What stands at `row`, for tests.
#[cfg(test)]
pub(crate) fn printed_or_null(values: &dyn Array, row: usize) -> String {
    let value_type = match values.data_type() {
        arrow_schema::DataType::Int32 => FieldType::Int,
        arrow_schema::DataType::Int64 => FieldType::Long,
        arrow_schema::DataType::Float64 => FieldType::Double,
        _ => FieldType::String,
    };
    if values.is_null(row) { "null".to_owned() } else { printed(values, value_type, row).unwrap_or_default() }
}
