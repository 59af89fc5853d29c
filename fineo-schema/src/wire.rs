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

/// The fields that the documents of tenants and metrics got after the first release of their schemas, the latest last.
const LATER_FIELDS: &[&str] = &["retainDays", "roles", "formerNames"];
/// The same of names.
const LATER_FIELDS_OF_NAMES: &[&str] = &["rows", "early"];

/// A schema, ready to write and read with, and the mark that bodies written with it begin with. There is one of each for as long
/// as the program runs: to make it ready takes longer than to read a document.
struct Format {
    writer: GenericDatumWriter<'static>,
    latest: Readable,
    /// What bodies of earlier versions were written with.
    former: Vec<Readable>,
}

/// Reads bodies that begin with a mark.
struct Readable {
    /// Avro's single-object header: two fixed bytes and the schema's fingerprint.
    header: [u8; 10],
    reader: GenericDatumReader<'static>,
}

impl Readable {
    fn new(schema: &'static Schema) -> Self {
        let reader = GenericDatumReader::builder(schema).build();
        Self { header: header_of(schema), reader: reader.expect(IN_TREE) }
    }
}

/// Why a schema here is one.
const IN_TREE: &str = "the files in the source tree are avro schemas";

/// Parses a schema that is needed as long as the program runs.
fn parsed(text: &str) -> &'static Schema {
    Box::leak(Box::new(Schema::parse_str(text).expect(IN_TREE)))
}

impl Format {
    fn new(text: &str) -> Self {
        let schema = parsed(text);
        let writer = GenericDatumWriter::builder(schema).build().expect(IN_TREE);
        Self { writer, latest: Readable::new(schema), former: Vec::new() }
    }

    /// The format of `text`, which also reads what was written before each of `later` was there.
    fn with_former(text: &str, later: &[&str]) -> Self {
        let mut format = Self::new(text);
        let mut former: serde_json::Value = serde_json::from_str(text).expect("an avro schema is json");
        for field in later.iter().rev() {
            remove_field(&mut former, field);
            format.former.push(Readable::new(parsed(&former.to_string())));
        }
        format
    }

    fn encode(&self, document: &impl Serialize) -> Result<Bytes> {
        let fails = |source| Error::internal("a schema document has no avro").with_source(source);
        let mut body = self.latest.header.to_vec();
        self.writer.write_ser(&mut body, document).map_err(fails)?;
        Ok(body.into())
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        let mut known = self.former.iter().chain([&self.latest]);
        let (mut rest, reader) = known
            .find_map(|known| Some((body.strip_prefix(&known.header)?, &known.reader)))
            .ok_or_else(|| Error::corrupt("a schema document does not begin with the mark of its avro schema"))?;
        let fails = |source| Error::corrupt("a schema document is not the avro that it should be").with_source(source);
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

static METADATA: LazyLock<Format> = LazyLock::new(|| Format::with_former(METADATA_SCHEMA, LATER_FIELDS));

static METRIC: LazyLock<Format> = LazyLock::new(|| Format::with_former(&METRIC_SCHEMA, LATER_FIELDS));

static NAMES: LazyLock<Format> =
    LazyLock::new(|| Format::with_former(include_str!("../avro/names.avsc"), LATER_FIELDS_OF_NAMES));

fn none_if_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests;
