//! What stands in one Parquet file, as the file itself says it.

use std::sync::Arc;

use fineo_core::{
    Error, MetricId, Result, TenantId,
    nearline::{COLUMN_ALIAS, COLUMN_CONTENT, COLUMN_EVENT_ID, COLUMN_INGESTED_AT},
    repo::Version,
};
use fineo_schema::{FieldId, FieldType};
use serde::{Deserialize, Serialize};

use crate::{COLUMN_REST, COLUMN_TIMESTAMP, TableColumn, text};

/// What a file says about itself, as JSON under [`FileLayout::KEY`] in its Parquet metadata.
///
/// Every stored cell (name and text) of a row stands in exactly one place: in one of the `columns`, or in the
/// column [`COLUMN_REST`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLayout {
    /// The format of the file: [`FileLayout::FORMAT`].
    pub format: u32,
    /// Whose rows these are.
    #[serde(with = "text::shown")]
    pub tenant: TenantId,
    /// Of which metric.
    #[serde(with = "text::metric")]
    pub metric: MetricId,
    /// The UTC day of every row, counted from 1970-01-01; as a date in the JSON.
    #[serde(with = "text::day")]
    pub day: i32,
    /// The version of the tenant's schema that said which columns there are.
    #[serde(with = "version")]
    pub schema_version: Version,
    /// The columns that hold cells.
    pub columns: Vec<ColumnLayout>,
    /// Every stored name with a cell in the column [`COLUMN_REST`], in order.
    pub rest_names: Vec<Arc<str>>,
}

/// One value column and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnLayout {
    /// The Parquet column that holds the typed value.
    pub column: Arc<str>,
    /// The declared field, which is also the Parquet field id; none for an undeclared name.
    #[serde(with = "text::maybe_shown", default, skip_serializing_if = "Option::is_none")]
    pub field: Option<FieldId>,
    /// The type of `column`.
    #[serde(rename = "type", with = "text::shown")]
    pub value_type: FieldType,
    /// The column of the cell's text, set where printing the typed value does not give the text back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
    /// The stored names whose cells stand here, in order of rank.
    pub names: Vec<Arc<str>>,
    /// The column of the stored name that a row's cell had; none where there is one name only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
}

impl FileLayout {
    /// The key of the Parquet metadata.
    pub const KEY: &'static str = "fineo";
    /// The format that this code writes, and the newest that it reads.
    pub const FORMAT: u32 = 1;

    /// The JSON to put under [`FileLayout::KEY`]: equal layouts have equal JSON.
    ///
    /// # Errors
    ///
    /// `Invalid` when the day is out of range.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|source| Error::invalid("a layout that cannot be written").with_source(source))
    }

    /// Reads what [`FileLayout::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it is no layout, `Unsupported` for the format of a newer Fineo.
    pub fn from_json(json: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |source| Error::corrupt("the file's layout cannot be read").with_source(source);
        let Format { format } = serde_json::from_str(json).map_err(damaged)?;
        if format != Self::FORMAT {
            let kind = fineo_core::ErrorKind::Unsupported;
            return Err(Error::new(kind, "the file has a format of another Fineo: read it with that version")
                .with("format", format)
                .with("known", Self::FORMAT));
        }
        serde_json::from_str(json).map_err(damaged)
    }

    /// Every column that a file of this layout may have, the day aside: what the table must know.
    pub fn table_columns(&self) -> Vec<TableColumn> {
        let mut columns = TableColumn::system().to_vec();
        for layout in &self.columns {
            columns.push(TableColumn { name: Arc::clone(&layout.column), value_type: layout.value_type });
            for beside in [&layout.text, &layout.name].into_iter().flatten() {
                columns.push(TableColumn { name: Arc::clone(beside), value_type: FieldType::String });
            }
        }
        columns
    }
}

impl TableColumn {
    /// The columns that every table has, the day aside.
    pub fn system() -> [Self; 6] {
        [
            (COLUMN_TIMESTAMP, FieldType::Timestamp),
            (COLUMN_EVENT_ID, FieldType::Bytes),
            (COLUMN_ALIAS, FieldType::String),
            (COLUMN_INGESTED_AT, FieldType::Timestamp),
            (COLUMN_CONTENT, FieldType::Bytes),
            (COLUMN_REST, FieldType::String),
        ]
        .map(|(name, value_type)| Self { name: name.into(), value_type })
    }
}

mod version {
    use fineo_core::repo::Version;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
        version.0.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        u64::deserialize(deserializer).map(Version)
    }
}

#[cfg(test)]
mod tests;
