//! What `#[fineo(…)]` says on a struct and on its fields.

use syn::{Attribute, LitStr, Result};

/// Where fields are, besides what their attributes say.
const FINEO: &str = "fineo";

/// What is said of the struct.
#[derive(Default)]
pub(crate) struct OfStruct {
    pub(crate) metric: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
}

/// What is said of a field.
#[derive(Default)]
pub(crate) struct OfField {
    pub(crate) name: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) unit: Option<LitStr>,
    pub(crate) field_type: Option<LitStr>,
    pub(crate) is_timestamp: bool,
    pub(crate) is_skipped: bool,
}

impl OfStruct {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut said = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(FINEO)) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("metric") {
                    said.metric = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("alias") {
                    said.aliases.push(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected metric = \"…\" or alias = \"…\""));
                }
                Ok(())
            })?;
        }
        Ok(said)
    }
}

impl OfField {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut said = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(FINEO)) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    said.name = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("alias") {
                    said.aliases.push(meta.value()?.parse()?);
                } else if meta.path.is_ident("unit") {
                    said.unit = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("field_type") {
                    said.field_type = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("timestamp") {
                    said.is_timestamp = true;
                } else if meta.path.is_ident("skip") {
                    said.is_skipped = true;
                } else {
                    return Err(meta.error("expected name, alias, unit or field_type = \"…\", timestamp, or skip"));
                }
                Ok(())
            })?;
        }
        Ok(said)
    }
}
