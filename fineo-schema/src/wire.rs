//! The documents as Avro: what stands in the repository.

mod metadata;
mod metric;
mod names;

use std::sync::LazyLock;

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use bytes::Bytes;
use fineo_core::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use metadata::{ChangeRecord, TenantVersion};
pub(crate) use metric::{decode_metric, encode_metric};
pub(crate) use names::{NamesHead, decode_head, decode_names, encode_head, encode_names};

/// The Avro schema of a tenant's document.
pub(crate) const METADATA_SCHEMA: &str = include_str!("../avro/metadata.avsc");
/// The Avro schema of a metric's document, with that of `Metadata` inside.
pub(crate) static METRIC_SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let refers_to_metadata = include_str!("../avro/metric.avsc");
    refers_to_metadata.replacen("\"Metadata\"", METADATA_SCHEMA.trim(), 1)
});

/// A schema and the mark that bodies written with it begin with.
struct Format {
    schema: Schema,
    /// Avro's single-object header: two fixed bytes and the schema's fingerprint.
    header: [u8; 10],
}

impl Format {
    fn new(schema: Schema) -> Self {
        let mut header = [0xc3, 0x01, 0, 0, 0, 0, 0, 0, 0, 0];
        let fingerprint = schema.fingerprint::<apache_avro::rabin::Rabin>();
        header[2..].copy_from_slice(&fingerprint.bytes);
        Self { schema, header }
    }

    fn encode(&self, document: &impl Serialize) -> Result<Bytes> {
        let fails = |source| Error::internal("a schema document has no avro").with_source(source);
        let writer = GenericDatumWriter::builder(&self.schema).build().map_err(fails)?;
        let mut body = self.header.to_vec();
        writer.write_ser(&mut body, document).map_err(fails)?;
        Ok(body.into())
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        let mut rest = body
            .strip_prefix(&self.header)
            .ok_or_else(|| Error::corrupt("a schema document does not begin with the mark of its avro schema"))?;
        let fails = |source| Error::corrupt("a schema document is not the avro that it should be").with_source(source);
        let reader = GenericDatumReader::builder(&self.schema).build().map_err(fails)?;
        let document = reader.read_deser(&mut rest).map_err(fails)?;
        if rest.is_empty() { Ok(document) } else { Err(Error::corrupt("a schema document is followed by something")) }
    }
}

static METADATA: LazyLock<Format> = LazyLock::new(|| {
    Format::new(Schema::parse_str(METADATA_SCHEMA).expect("the file in the source tree is an avro schema"))
});

static METRIC: LazyLock<Format> = LazyLock::new(|| {
    Format::new(Schema::parse_str(&METRIC_SCHEMA).expect("the files in the source tree are an avro schema"))
});

static NAMES: LazyLock<Format> = LazyLock::new(|| {
    let schema = Schema::parse_str(include_str!("../avro/names.avsc"));
    Format::new(schema.expect("the file in the source tree is an avro schema"))
});

fn none_if_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests;
