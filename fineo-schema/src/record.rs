//! The staged record: Avro, written from and read into names and texts without values in between.

pub(crate) mod number;
mod read;
mod write;

use std::{collections::BTreeSet, fmt, sync::Arc};

use fineo_core::{ContentHash, Error, EventId, MetricId, Result, Timestamp};
use serde_json::{Value, json};

use crate::{FieldId, FieldType, Slot};

/// What every staged record has beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead<'a> {
    /// The metric's name as sent.
    pub alias: &'a str,
    /// When the event happened.
    pub timestamp: Timestamp,
    /// When it arrived at the edge.
    pub written_at: Timestamp,
    /// Which event it is. It stands beside the record, not in it.
    pub id: EventId,
    /// What the event said. In the record only where it is not the id.
    pub content: ContentHash,
}

/// One field of an event: its name and text as sent, and where the layout's metric puts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The name as sent.
    pub name: &'a str,
    /// The text of the value.
    pub text: &'a str,
    /// What [`crate::Metric::slot`] answers for the name.
    pub slot: Option<Slot>,
}

/// The cells of a record, by number.
pub trait Cells {
    /// The slot of every cell, in order.
    fn slots(&self) -> impl Iterator<Item = Option<Slot>>;

    /// The cell of a number below that of the slots.
    fn cell(&self, number: usize) -> Cell<'_>;
}

impl Cells for [Cell<'_>] {
    fn slots(&self) -> impl Iterator<Item = Option<Slot>> {
        self.iter().map(|cell| cell.slot)
    }

    fn cell(&self, number: usize) -> Cell<'_> {
        self[number]
    }
}

/// Takes in what [`RecordLayout::read`] finds: the head, then the cells in stored order.
pub trait RecordVisitor {
    /// What every record has.
    fn head(&mut self, head: &RecordHead<'_>);

    /// A cell: its name and text as sent.
    fn cell(&mut self, name: &str, text: &str);

    /// A cell whose name the layout knows: `slot` is the place of the name among all of the layout's, below
    /// [`RecordLayout::slots`]. A visitor that keeps something by name can look it up by that.
    fn declared(&mut self, _slot: usize, name: &str, text: &str) {
        self.cell(name, text);
    }
}

/// A value of a declared field as a record holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RecordValue<'a> {
    /// A [`FieldType::String`] or [`FieldType::Json`].
    Text(&'a str),
    /// A [`FieldType::Boolean`].
    Boolean(bool),
    /// A [`FieldType::Int`], a [`FieldType::Long`], the microseconds of a [`FieldType::Timestamp`] or the days of a
    /// [`FieldType::Date`].
    Integer(i64),
    /// A [`FieldType::Float`].
    Float(f32),
    /// A [`FieldType::Double`].
    Double(f64),
    /// The unscaled value of a [`FieldType::Decimal`].
    Decimal(i128),
    /// A [`FieldType::Bytes`].
    Bytes(&'a [u8]),
}

/// The name of a declared field as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentName<'a> {
    /// The name.
    pub text: &'a str,
    /// Its place among all names of the layout ([`RecordLayout::slot_names`]); none for a name that the layout does not
    /// know.
    pub slot: Option<usize>,
}

/// Takes in what [`RecordLayout::read_values`] finds, without turning values into texts: undeclared cells first, then
/// the declared fields that the record has.
pub trait ValueVisitor<'a> {
    /// An undeclared cell: its name and text as sent.
    fn undeclared(&mut self, name: &'a str, text: &'a str);

    /// A declared field: its place in [`RecordLayout::fields`], its name as sent, its value where the text fits, and
    /// its text where the value does not give it back. It has one of both at least.
    fn declared(&mut self, field: usize, name: SentName<'a>, value: Option<RecordValue<'a>>, text: Option<&'a str>);
}

/// How records of a metric are written under one version of its schema. Equal layouts write the same bytes.
#[derive(PartialEq, Eq, Hash)]
pub struct RecordLayout {
    metric: MetricId,
    fields: Vec<(FieldId, FieldType)>,
    /// Of each field the names by rank: a record tells a name of them by its rank.
    names: Vec<Vec<Arc<str>>>,
}

impl RecordLayout {
    /// The layout of a metric with these declared fields, whose records tell every name in full.
    pub fn new(metric: &MetricId, fields: impl Iterator<Item = (FieldId, FieldType)>) -> Self {
        Self::named(metric, fields.map(|(id, field_type)| (id, field_type, Vec::new())))
    }

    /// The layout of a metric with these declared fields and their names by rank.
    pub fn named(metric: &MetricId, fields: impl Iterator<Item = (FieldId, FieldType, Vec<Arc<str>>)>) -> Self {
        let (fields, names) = fields.map(|(id, field_type, names)| ((id, field_type), names)).unzip();
        Self { metric: metric.clone(), fields, names }
    }

    /// How many names the layout knows, of all fields together.
    pub fn slots(&self) -> usize {
        self.names.iter().map(Vec::len).sum()
    }

    /// All names that the layout knows, in order of their slots.
    pub fn slot_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.iter().flatten()
    }

    /// The declared fields in the order of the record.
    pub fn fields(&self) -> &[(FieldId, FieldType)] {
        &self.fields
    }

    /// The Avro schema of the record: `BaseRecord`, extended by the declared fields under canonical ids.
    pub fn avro_schema(&self) -> Value {
        let mut fields = vec![json!({ "name": "baseFields", "type": base_fields() })];
        let mut named = BTreeSet::new();
        for ((id, field_type), names) in self.fields.iter().zip(&self.names) {
            let name = instance_name(*field_type);
            let is_new = named.insert(name.clone());
            let instance = if is_new { instance(&name, *field_type, &mut named) } else { json!(name) };
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            fields.push(json!({
                "name": id.to_string(), "type": ["null", instance], "default": null, NAMES_KEY: names,
            }));
        }
        json!({ "type": "record", "name": self.metric.as_str(), "namespace": "fineo", "fields": fields })
    }

    /// Reads the layout back from an Avro schema made by [`RecordLayout::avro_schema`].
    ///
    /// # Errors
    ///
    /// `Corrupt` when it is no such schema.
    pub fn of_avro_schema(schema: &Value) -> Result<Self> {
        let corrupt = || Error::corrupt("not the avro schema of a staged record");
        let metric = schema["name"].as_str().ok_or_else(corrupt)?;
        let fields = schema["fields"].as_array().ok_or_else(corrupt)?;
        let mut found = Vec::new();
        for field in fields.iter().skip(1) {
            let names = field[NAMES_KEY].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names = names.map(Arc::from).collect();
            let instance = &field["type"][1];
            let name = instance.as_str().or_else(|| instance["name"].as_str()).ok_or_else(corrupt)?;
            let id = field["name"].as_str().ok_or_else(corrupt)?.parse().map_err(|_| corrupt())?;
            found.push((id, type_of_instance(name).ok_or_else(corrupt)?, names));
        }
        Ok(Self::named(&MetricId::new(metric).map_err(|_| corrupt())?, found.into_iter()))
    }
}

impl fmt::Debug for RecordLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordLayout").field("metric", &self.metric).field("fields", &self.fields).finish()
    }
}

/// The attribute of a field's Avro schema that lists its names by rank.
const NAMES_KEY: &str = "fineo.names";
/// The Avro record of a number of few digits.
const SHORT: &str = "Short";

fn base_fields() -> Value {
    let id = json!({ "type": "fixed", "name": "Id", "size": 16 });
    json!({ "type": "record", "name": "BaseFields", "namespace": "fineo", "fields": [
        { "name": "aliasName", "type": "string" },
        { "name": "timestamp", "type": { "type": "long", "logicalType": "timestamp-micros" } },
        { "name": "writeTime", "type": { "type": "long", "logicalType": "timestamp-micros" }, "default": 0 },
        { "name": "unknown_fields", "type": { "type": "map", "values": "string" } },
        { "name": "eventId", "type": ["null", id], "default": null },
        { "name": "contentHash", "type": ["null", "Id"], "default": null },
    ] })
}

fn instance_name(field_type: FieldType) -> String {
    match field_type {
        FieldType::Decimal { precision, scale } => format!("Decimal_{precision}_{scale}"),
        FieldType::String => "String".to_owned(),
        FieldType::Boolean => "Boolean".to_owned(),
        FieldType::Int => "Int".to_owned(),
        FieldType::Long => "Long".to_owned(),
        FieldType::Float => "Float".to_owned(),
        FieldType::Double => "Double".to_owned(),
        FieldType::Timestamp => "Timestamp".to_owned(),
        FieldType::Date => "Date".to_owned(),
        FieldType::Bytes => "Bytes".to_owned(),
        FieldType::Json => "Json".to_owned(),
    }
}

fn type_of_instance(name: &str) -> Option<FieldType> {
    match name.strip_prefix("Decimal_").and_then(|rest| rest.split_once('_')) {
        Some((precision, scale)) => format!("decimal({precision},{scale})").parse().ok(),
        None => name.parse().ok(),
    }
}

/// A number of few digits, exactly as sent: `unscaled / 10^places`.
fn short(named: &mut BTreeSet<String>) -> Value {
    if !named.insert(SHORT.to_owned()) {
        return json!(SHORT);
    }
    json!({ "type": "record", "name": SHORT, "namespace": "fineo", "fields": [
        { "name": "unscaled", "type": "long" },
        { "name": "places", "type": "int" },
    ] })
}

fn instance(name: &str, field_type: FieldType, named: &mut BTreeSet<String>) -> Value {
    let value = match field_type {
        FieldType::String | FieldType::Json => json!("string"),
        FieldType::Boolean => json!("boolean"),
        FieldType::Int => json!("int"),
        FieldType::Long => json!("long"),
        FieldType::Float => json!("float"),
        FieldType::Double => json!("double"),
        FieldType::Decimal { precision, scale } => {
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
        }
        FieldType::Timestamp => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        FieldType::Date => json!({ "type": "int", "logicalType": "date" }),
        FieldType::Bytes => json!("bytes"),
    };
    let values = match field_type {
        FieldType::Float | FieldType::Double => json!(["null", value, short(named)]),
        FieldType::String
        | FieldType::Json
        | FieldType::Boolean
        | FieldType::Int
        | FieldType::Long
        | FieldType::Decimal { .. }
        | FieldType::Timestamp
        | FieldType::Date
        | FieldType::Bytes => json!(["null", value]),
    };
    json!({ "type": "record", "name": name, "namespace": "fineo", "fields": [
        { "name": "displayName", "type": "string", "doc": "empty where the rank says it" },
        { "name": "rank", "type": ["null", "int"], "default": null },
        { "name": "value", "type": values, "default": null },
        { "name": "text", "type": ["null", "string"], "default": null },
    ] })
}

#[cfg(test)]
mod tests;
