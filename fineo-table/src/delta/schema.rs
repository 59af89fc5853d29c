//! The columns of a Delta table: read, compared with what a file brings, extended.

use std::sync::Arc;

use deltalake_core::kernel::Metadata;
use fineo_core::{Error, ErrorKind, Result};
use fineo_schema::FieldType;
use serde_json::{Value, json};

use crate::{COLUMN_DAY, COLUMN_TIMESTAMP, TableColumn};
use fineo_core::nearline::COLUMN_EVENT_ID;

/// The metadata of a Delta table, kept as the JSON of its action so that what others put there stays.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableMetadata {
    action: Value,
    fields: Vec<Value>,
}

impl TableMetadata {
    /// The metadata of a new table.
    pub(crate) fn new(id: &str, name: &str, created_millis: i64, commits_per_checkpoint: u64) -> Self {
        let configuration = json!({
            "delta.checkpointInterval": commits_per_checkpoint.to_string(),
            // Removed files are told to collectors of garbage for longer than any reader may live.
            "delta.deletedFileRetentionDuration": "interval 30 days",
        });
        let action = json!({
            "id": id,
            "name": name,
            "description": null,
            "format": { "provider": "parquet", "options": {} },
            "schemaString": "",
            "partitionColumns": [COLUMN_DAY],
            "configuration": configuration,
            "createdTime": created_millis,
        });
        let mut metadata = Self { action, fields: Vec::new() };
        for column in TableColumn::system() {
            metadata.push(&column);
        }
        metadata.fields.push(field(COLUMN_DAY, "date", true));
        metadata
    }

    /// The metadata of an action.
    pub(crate) fn of(metadata: &Metadata) -> Result<Self> {
        Self::of_value(serde_json::to_value(metadata).map_err(damaged)?)
    }

    /// Reads what [`TableMetadata::to_json`] wrote.
    pub(crate) fn from_json(json: &str) -> Result<Self> {
        Self::of_value(serde_json::from_str(json).map_err(damaged)?)
    }

    fn of_value(mut action: Value) -> Result<Self> {
        // A map comes in any order: equal metadata is equal text.
        if let Some(Value::Object(configuration)) = action.get_mut("configuration") {
            configuration.sort_keys();
        }
        let missing = || Error::corrupt("the metadata of a table has no columns");
        let schema = action.get("schemaString").and_then(Value::as_str).ok_or_else(missing)?;
        let mut schema: Value = serde_json::from_str(schema).map_err(damaged)?;
        let Some(Value::Array(fields)) = schema.get_mut("fields").map(Value::take) else { return Err(missing()) };
        let partitions = action.get("partitionColumns");
        if partitions != Some(&json!([COLUMN_DAY])) {
            let message = "another program made the table: it is not partitioned by day alone";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(Self { action, fields })
    }

    /// As text, for [`TableMetadata::from_json`].
    pub(crate) fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// As an action for the log.
    pub(crate) fn to_action(&self) -> Result<Metadata> {
        serde_json::from_value(self.to_value()).map_err(damaged)
    }

    fn to_value(&self) -> Value {
        let mut action = self.action.clone();
        if let Some(object) = action.as_object_mut() {
            let schema = json!({ "type": "struct", "fields": self.fields });
            object.insert("schemaString".into(), Value::String(schema.to_string()));
        }
        action
    }

    /// The columns of types that Fineo has, the day aside.
    pub(crate) fn columns(&self) -> Vec<TableColumn> {
        let known = self.fields.iter().filter(|field| name_of(field) != COLUMN_DAY);
        let column = |field: &Value| Some(TableColumn { name: name_of(field).into(), value_type: type_of(field)? });
        known.filter_map(column).collect()
    }

    /// The columns of other types, which another program added.
    pub(crate) fn foreign_columns(&self) -> Vec<Arc<str>> {
        let foreign = self.fields.iter().filter(|field| name_of(field) != COLUMN_DAY && type_of(field).is_none());
        foreign.map(|field| name_of(field).into()).collect()
    }

    /// Adds the columns that are missing; answers whether there were any.
    pub(crate) fn extend(&mut self, columns: &[TableColumn]) -> Result<bool> {
        let mut grew = false;
        for column in columns {
            let same = |field: &&Value| name_of(field).to_lowercase() == column.name.to_lowercase();
            match self.fields.iter().find(same) {
                None => {
                    self.push(column);
                    grew = true;
                }
                Some(field) if name_of(field) != &*column.name => {
                    let error = Error::invalid("a column of the table has the same name in another case");
                    return Err(error.with("column", &column.name).with("holder", name_of(field)));
                }
                Some(field) if type_of(field).map(delta_type) != Some(delta_type(column.value_type)) => {
                    let error = Error::invalid("a column of the table has another type: types never change");
                    let found = field.get("type").map(ToString::to_string).unwrap_or_default();
                    return Err(error.with("column", &column.name).with("type", column.value_type).with("has", found));
                }
                Some(_) => {}
            }
        }
        self.check_nullable(columns)?;
        Ok(grew)
    }

    /// No column may be required that the files do not have.
    fn check_nullable(&self, columns: &[TableColumn]) -> Result<()> {
        let is_required = |field: &&Value| field.get("nullable").and_then(Value::as_bool) == Some(false);
        for field in self.fields.iter().filter(is_required) {
            let name = name_of(field);
            if !is_ours_and_required(name) || !columns.iter().any(|column| &*column.name == name) {
                let message = "another program added a column that may not be null: let it be null";
                return Err(Error::new(ErrorKind::Unsupported, message).with("column", name));
            }
        }
        Ok(())
    }

    fn push(&mut self, column: &TableColumn) {
        let nullable = !is_ours_and_required(&column.name);
        self.fields.push(field(&column.name, &delta_type(column.value_type), nullable));
    }
}

fn is_ours_and_required(name: &str) -> bool {
    name == COLUMN_TIMESTAMP || name == COLUMN_EVENT_ID
}

fn damaged(source: serde_json::Error) -> Error {
    Error::corrupt("the metadata of a table is damaged").with_source(source)
}

fn field(name: &str, delta_type: &str, nullable: bool) -> Value {
    json!({ "name": name, "type": delta_type, "nullable": nullable, "metadata": {} })
}

fn name_of(field: &Value) -> &str {
    field.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Delta's name of a type.
pub(crate) fn delta_type(value_type: FieldType) -> String {
    match value_type {
        FieldType::String | FieldType::Json => "string".into(),
        FieldType::Boolean => "boolean".into(),
        FieldType::Int => "integer".into(),
        FieldType::Long => "long".into(),
        FieldType::Float => "float".into(),
        FieldType::Double => "double".into(),
        FieldType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        FieldType::Timestamp => "timestamp".into(),
        FieldType::Date => "date".into(),
        FieldType::Bytes => "binary".into(),
    }
}

/// The type of a field; none for one that Fineo does not have.
fn type_of(field: &Value) -> Option<FieldType> {
    let text = field.get("type")?.as_str()?;
    match text {
        "string" => Some(FieldType::String),
        "boolean" => Some(FieldType::Boolean),
        "integer" => Some(FieldType::Int),
        "long" => Some(FieldType::Long),
        "float" => Some(FieldType::Float),
        "double" => Some(FieldType::Double),
        "timestamp" => Some(FieldType::Timestamp),
        "date" => Some(FieldType::Date),
        "binary" => Some(FieldType::Bytes),
        decimal => decimal.parse().ok().filter(|parsed| matches!(parsed, FieldType::Decimal { .. })),
    }
}
