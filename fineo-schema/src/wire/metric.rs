//! A metric's document as the Avro record `Metric`.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use fineo_core::{Error, MetricId, Result, repo::Version};
use serde::{Deserialize, Serialize};

use super::{
    METRIC,
    metadata::{IdentityWire, Metadata, broken},
    none_if_empty,
};
use crate::{
    FieldId, FieldType, RecordLayout,
    document::{ConversionDocument, FieldDocument, MetricDocument, Name, Positions},
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    metadata: Metadata,
    metric_schema: String,
    version: Option<i64>,
    fields: Option<Vec<FieldEntry>>,
    next_field: Option<i64>,
    ruled_out: Option<Vec<Name>>,
    deletions: Option<BTreeMap<String, BTreeMap<String, String>>>,
    timestamp_aliases: Option<Vec<Name>>,
    timestamp_formats: Option<Vec<String>>,
    missing_timestamp: Option<String>,
    identity: Option<Vec<IdentityWire>>,
    retain_days: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FieldEntry {
    id: String,
    #[serde(rename = "type")]
    field_type: String,
    unit: Option<String>,
    hidden_since: Option<i64>,
    conversions: Vec<Conversion>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conversion {
    name: Option<Name>,
    unit: Option<String>,
    scale: f64,
    offset: f64,
    metric_name: Option<Name>,
    from: Option<i64>,
    to: Option<i64>,
}

/// The body of the metric's subject as `version`.
pub(crate) fn encode_metric(id: &MetricId, version: Version, document: &MetricDocument) -> Result<Bytes> {
    let mut types = Vec::new();
    for (number, field) in &document.fields {
        types.push((FieldId(*number), field.field_type.parse::<FieldType>()?));
    }
    let names = |(number, field): (&u32, &FieldDocument)| (FieldId(*number).to_string(), field.names.clone());
    let metadata = Metadata::of_fields(id, document.fields.iter().map(names).collect());
    let deletions: BTreeMap<_, _> =
        document.deletions.iter().map(|(name, positions)| (name.clone(), positions.to_texts())).collect();
    METRIC.encode(&Metric {
        metadata,
        metric_schema: RecordLayout::new(id, types.into_iter()).avro_schema().to_string(),
        version: Some(version.0.cast_signed()),
        fields: none_if_empty(document.fields.iter().map(|(number, field)| FieldEntry::of(*number, field)).collect()),
        next_field: Some(document.next_field.into()),
        ruled_out: none_if_empty(document.ruled_out.clone()),
        deletions: (!deletions.is_empty()).then_some(deletions),
        timestamp_aliases: none_if_empty(document.timestamp_aliases.clone()),
        timestamp_formats: none_if_empty(document.timestamp_formats.clone()),
        missing_timestamp: document.missing_timestamp.map(|policy| policy.to_string()),
        identity: none_if_empty(document.identity.iter().map(IdentityWire::of).collect()),
        retain_days: document.retain_days.map(|days| days.to_string()),
    })
}

/// Reads a body of the metric's subject that stands there as `version`.
pub(crate) fn decode_metric(body: &[u8], id: &MetricId, version: Version) -> Result<Arc<MetricDocument>> {
    let wire: Metric = METRIC.decode(body)?;
    if wire.metadata.canonical_name != id.as_str() || wire.version != Some(version.0.cast_signed()) {
        return Err(Error::corrupt("a metric's document stands in the place of another").with("metric", id));
    }
    let mut fields = BTreeMap::new();
    for entry in wire.fields.unwrap_or_default() {
        let names = wire.metadata.canonical_names_to_aliases.get(&entry.id).cloned().unwrap_or_default();
        if names.is_empty() {
            return Err(Error::corrupt("a field has no name").with("field", entry.id));
        }
        let number: FieldId = entry.id.parse().map_err(broken)?;
        fields.insert(number.0, entry.into_document(names));
    }
    let next_field = wire.next_field.and_then(|number| u32::try_from(number).ok()).unwrap_or(1);
    if fields.keys().next_back().is_some_and(|last| *last >= next_field) {
        return Err(Error::corrupt("a metric's document would use a field's number again").with("metric", id));
    }
    let mut deletions = BTreeMap::new();
    for (name, texts) in wire.deletions.unwrap_or_default() {
        deletions.insert(name, Positions::from_texts(&texts).map_err(broken)?);
    }
    let identity: Result<Vec<_>> =
        wire.identity.unwrap_or_default().into_iter().map(IdentityWire::into_entry).collect();
    Ok(Arc::new(MetricDocument {
        fields,
        ruled_out: wire.ruled_out.unwrap_or_default(),
        deletions,
        timestamp_aliases: wire.timestamp_aliases.unwrap_or_default(),
        timestamp_formats: wire.timestamp_formats.unwrap_or_default(),
        missing_timestamp: wire.missing_timestamp.map(|text| text.parse()).transpose().map_err(broken)?,
        identity: identity?,
        retain_days: wire.retain_days.map(|text| text.parse()).transpose().map_err(broken)?,
        next_field,
    }))
}

impl FieldEntry {
    fn of(number: u32, field: &FieldDocument) -> Self {
        Self {
            id: FieldId(number).to_string(),
            field_type: field.field_type.clone(),
            unit: field.unit.clone(),
            hidden_since: field.hidden_since,
            conversions: field.conversions.iter().cloned().map(Conversion::of).collect(),
        }
    }

    fn into_document(self, names: Vec<Name>) -> FieldDocument {
        FieldDocument {
            names,
            field_type: self.field_type,
            unit: self.unit,
            conversions: self.conversions.into_iter().map(Conversion::into_document).collect(),
            hidden_since: self.hidden_since,
        }
    }
}

impl Conversion {
    fn of(stated: ConversionDocument) -> Self {
        let ConversionDocument { name, unit, scale, offset, metric_name, from, to } = stated;
        Self { name, unit, scale, offset, metric_name, from, to }
    }

    fn into_document(self) -> ConversionDocument {
        let Self { name, unit, scale, offset, metric_name, from, to } = self;
        ConversionDocument { name, unit, scale, offset, metric_name, from, to }
    }
}
