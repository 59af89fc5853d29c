//! What one column of a table is made of, before and after conversion.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, TimeUnit};
use fineo_schema::{FieldType, LogicalColumn, Source};

/// The name of the column that says when an event happened.
pub(crate) const TIMESTAMP: &str = "timestamp";
/// The hidden column with the event's id as hexadecimal text.
pub(crate) const EVENT_ID: &str = "_fineo_event_id";
/// The hidden column with the metric's name as sent.
pub(crate) const ALIAS: &str = "_fineo_alias";
/// The hidden column that says when the event arrived.
pub(crate) const INGESTED_AT: &str = "_fineo_ingested_at";
/// The hidden column with a key `timestamp` that did not give the time.
pub(crate) const SENT_TIMESTAMP: &str = "_fineo_sent_timestamp";

/// A column of a table, under the name that the query calls it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// The name that the query uses; also the name in results.
    pub(crate) name: Arc<str>,
    /// Where its values come from.
    pub(crate) content: Content,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// When the event happened.
    Timestamp,
    /// When the event arrived.
    IngestedAt,
    /// Which event it is.
    EventId,
    /// The metric's name as sent.
    Alias,
    /// The cells of a field or of an undeclared name.
    Cells(Arc<LogicalColumn>),
    /// The bytes that an error row quotes.
    RawBytes,
    /// When an error row was repaired.
    RepairedAt,
}

/// `Timestamp(µs, UTC)`, the type of every instant.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// What marks a column of text as JSON: Arrow's extension type of that name.
fn json_metadata() -> HashMap<String, String> {
    let pairs = [("ARROW:extension:name", "arrow.json"), ("ARROW:extension:metadata", "")];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Column {
    /// A column of text under one stored name.
    pub(crate) fn text(name: &str) -> Self {
        Self::cells(name, name, None)
    }

    /// A column of `field_type` under one stored name.
    pub(crate) fn cells(name: &str, stored: &str, field_type: Option<FieldType>) -> Self {
        let source = Source { name: stored.into(), unreadable_through: None, conversions: Vec::new() };
        let logical = LogicalColumn { name: name.into(), field: None, field_type, sources: vec![source] };
        Self { name: name.into(), content: Content::Cells(Arc::new(logical)) }
    }

    /// The type of its values.
    pub(crate) fn data_type(&self) -> DataType {
        match &self.content {
            Content::Timestamp | Content::IngestedAt | Content::RepairedAt => instant(),
            Content::EventId | Content::Alias => DataType::Utf8View,
            Content::RawBytes => DataType::BinaryView,
            Content::Cells(column) => data_type(column.field_type.as_ref()),
        }
    }

    /// The name of its type as schema and catalog show it.
    pub(crate) fn type_name(&self) -> String {
        match &self.content {
            Content::Timestamp | Content::IngestedAt | Content::RepairedAt => "timestamp".to_owned(),
            Content::EventId | Content::Alias => "string".to_owned(),
            Content::RawBytes => "bytes".to_owned(),
            Content::Cells(column) => match &column.field_type {
                Some(field_type) => field_type.to_string(),
                None => "string".to_owned(),
            },
        }
    }

    /// Whether a row may have no value.
    pub(crate) fn is_nullable(&self) -> bool {
        match &self.content {
            Content::Timestamp | Content::IngestedAt | Content::EventId | Content::Alias => false,
            Content::Cells(_) | Content::RawBytes | Content::RepairedAt => true,
        }
    }

    /// Its form in a table's schema.
    pub(crate) fn field(&self) -> Field {
        let field = Field::new(self.name.as_ref(), self.data_type(), self.is_nullable());
        let is_json = self.logical().is_some_and(|column| matches!(column.field_type, Some(FieldType::Json)));
        if is_json { field.with_metadata(json_metadata()) } else { field }
    }

    /// The field or undeclared name, where the column has one.
    pub(crate) fn logical(&self) -> Option<&LogicalColumn> {
        match &self.content {
            Content::Cells(column) => Some(column),
            Content::Timestamp
            | Content::IngestedAt
            | Content::EventId
            | Content::Alias
            | Content::RawBytes
            | Content::RepairedAt => None,
        }
    }

    /// Whether its values are the stored texts themselves.
    pub(crate) fn is_text(&self) -> bool {
        self.logical().is_some_and(|column| match &column.field_type {
            None | Some(FieldType::String) => column.sources.iter().all(|source| source.conversions.is_empty()),
            Some(
                FieldType::Boolean
                | FieldType::Int
                | FieldType::Long
                | FieldType::Float
                | FieldType::Double
                | FieldType::Decimal { .. }
                | FieldType::Timestamp
                | FieldType::Date
                | FieldType::Bytes
                | FieldType::Json,
            ) => false,
        })
    }
}

/// The type that SQL shows for a field; undeclared names are text.
pub(crate) fn data_type(field_type: Option<&FieldType>) -> DataType {
    match field_type {
        None | Some(FieldType::String | FieldType::Json) => DataType::Utf8View,
        Some(FieldType::Boolean) => DataType::Boolean,
        Some(FieldType::Int) => DataType::Int32,
        Some(FieldType::Long) => DataType::Int64,
        Some(FieldType::Float) => DataType::Float32,
        Some(FieldType::Double) => DataType::Float64,
        Some(FieldType::Decimal { precision, scale }) => DataType::Decimal128(*precision, *scale),
        Some(FieldType::Timestamp) => instant(),
        Some(FieldType::Date) => DataType::Date32,
        Some(FieldType::Bytes) => DataType::BinaryView,
    }
}
