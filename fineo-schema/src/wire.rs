//! The documents as Avro: what stands in the repository.

mod metadata;
mod metric;
mod names;

use std::sync::LazyLock;

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use bytes::Bytes;
use fineo_core::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use metadata::{ChangeRecord, TenantState, TenantVersion};
pub(crate) use metric::{decode_metric, encode_metric};
pub(crate) use names::{NamesHead, decode_head, decode_names, encode_head, encode_names};

/// The Avro schema of a tenant's document.
pub(crate) const METADATA_SCHEMA: &str = include_str!("../avro/metadata.avsc");
/// The Avro schema of a metric's document, with that of `Metadata` inside.
pub(crate) static METRIC_SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let refers_to_metadata = include_str!("../avro/metric.avsc");
    refers_to_metadata.replacen("\"Metadata\"", METADATA_SCHEMA.trim(), 1)
});

/// The fields that documents got after the first release of their schemas, the latest last.
const LATER_FIELDS: &[&str] = &["retainDays", "roles", "formerNames"];

/// A schema and the mark that bodies written with it begin with.
struct Format {
    schema: Schema,
    /// Avro's single-object header: two fixed bytes and the schema's fingerprint.
    header: [u8; 10],
    /// What bodies of earlier versions were written with.
    former: Vec<([u8; 10], Schema)>,
}

impl Format {
    fn new(schema: Schema) -> Self {
        Self { header: header_of(&schema), schema, former: Vec::new() }
    }

    /// The format of `text`, which also reads what was written before each of [`LATER_FIELDS`] was there.
    fn with_former(text: &str) -> Self {
        let parsed = |text: &str| Schema::parse_str(text).expect("the files in the source tree are avro schemas");
        let mut format = Self::new(parsed(text));
        let mut former: serde_json::Value = serde_json::from_str(text).expect("an avro schema is json");
        for field in LATER_FIELDS.iter().rev() {
            remove_field(&mut former, field);
            let schema = parsed(&former.to_string());
            format.former.push((header_of(&schema), schema));
        }
        format
    }

    fn encode(&self, document: &impl Serialize) -> Result<Bytes> {
        let fails = |source| Error::internal("a schema document has no avro").with_source(source);
        let writer = GenericDatumWriter::builder(&self.schema).build().map_err(fails)?;
        let mut body = self.header.to_vec();
        writer.write_ser(&mut body, document).map_err(fails)?;
        Ok(body.into())
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        let known = self.former.iter().map(|(header, schema)| (header, schema)).chain([(&self.header, &self.schema)]);
        let mut known = known.filter_map(|(header, schema)| Some((body.strip_prefix(header)?, schema)));
        let (mut rest, written) = known
            .next()
            .ok_or_else(|| Error::corrupt("a schema document does not begin with the mark of its avro schema"))?;
        let fails = |source| Error::corrupt("a schema document is not the avro that it should be").with_source(source);
        let reader = GenericDatumReader::builder(written).build().map_err(fails)?;
        let document = reader.read_deser(&mut rest).map_err(fails)?;
        if rest.is_empty() { Ok(document) } else { Err(Error::corrupt("a schema document is followed by something")) }
    }
}

fn header_of(schema: &Schema) -> [u8; 10] {
    let mut header = [0xc3, 0x01, 0, 0, 0, 0, 0, 0, 0, 0];
    let fingerprint = schema.fingerprint::<apache_avro::rabin::Rabin>();
    header[2..].copy_from_slice(&fingerprint.bytes);
    header
}

/// Takes the field `name` out of every record of a schema.
fn remove_field(schema: &mut serde_json::Value, name: &str) {
    match schema {
        serde_json::Value::Array(parts) => {
            parts.retain(|part| part.get("name").and_then(serde_json::Value::as_str) != Some(name));
            parts.iter_mut().for_each(|part| remove_field(part, name));
        }
        serde_json::Value::Object(parts) => parts.values_mut().for_each(|part| remove_field(part, name)),
        _ => {}
    }
}

static METADATA: LazyLock<Format> = LazyLock::new(|| Format::with_former(METADATA_SCHEMA));

static METRIC: LazyLock<Format> = LazyLock::new(|| Format::with_former(&METRIC_SCHEMA));

static NAMES: LazyLock<Format> = LazyLock::new(|| {
    let schema = Schema::parse_str(include_str!("../avro/names.avsc"));
    Format::new(schema.expect("the file in the source tree is an avro schema"))
});

fn none_if_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests;
