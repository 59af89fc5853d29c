//! A schema as a file: what somebody wants to hold, in YAML or JSON.

mod example;
mod export;
mod ordered;
mod plan;

use std::fmt;

use fineo_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Identity, MissingTimestamp, RetainDays, UnknownMetric};

pub use example::fields_of_example;
pub use ordered::Ordered;
pub use plan::Plan;

/// What a file says. What it does not mention stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Whose schema it is; if given, it must be the tenant that it is applied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The keys of an event that may name its metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_keys: Option<Vec<String>>,
    /// The keys of an event that may bear its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_aliases: Option<Vec<String>>,
    /// How times are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_formats: Option<Vec<String>>,
    /// What becomes of events of unknown metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_metric: Option<UnknownMetric>,
    /// What becomes of events without a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_timestamp: Option<MissingTimestamp>,
    /// What makes events the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// For how many days rows are kept, or `forever`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<RetainDays>,
    /// Undeclared metrics whose events are errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ruled_out: Vec<String>,
    /// The metrics by display name.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub metrics: Ordered<MetricDeclaration>,
}

/// A metric in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map such as {fields: {temp: {type: double}}}")]
pub struct MetricDeclaration {
    /// `false`: it need not be declared, where events brought it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<bool>,
    /// Its aliases; others that it has stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What makes its events the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// What becomes of its events without a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_timestamp: Option<MissingTimestamp>,
    /// For how many days its rows are kept, or `forever`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_days: Option<RetainDays>,
    /// How its times are found and read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampDeclaration>,
    /// Undeclared fields that make an event an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ruled_out: Vec<String>,
    /// The fields by display name.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub fields: Ordered<FieldDeclaration>,
}

/// How a metric's times are found and read, in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampDeclaration {
    /// The keys of an event that may bear its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    /// The formats, in the order they are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Vec<String>>,
}

/// A field in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map such as {type: double}")]
pub struct FieldDeclaration {
    /// What its values are read as; a field that is declared already may leave it out.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub field_type: Option<String>,
    /// Its aliases in rank order; others that it has stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What it is measured in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether it answers by no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
    /// Its conversions; the first whose scope holds a row is applied to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversions: Option<Vec<ConversionDeclaration>>,
}

/// Values in another unit, or to be converted, in a file. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversionDeclaration {
    /// The unit that the values are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What they are multiplied with, where no unit is given; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// What is then added, where no unit is given; 0 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// Only values sent under this name of the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only rows whose metric's name as sent is this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_name: Option<String>,
    /// Only rows whose time is not before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only rows whose time is before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Declaration {
    /// The largest file.
    pub const BYTES_MAX: usize = 16 << 20;

    /// Reads a file: JSON if it begins with `{`, else YAML.
    ///
    /// # Errors
    ///
    /// `Invalid`, with the place and the legal keys, when it says something that no schema has.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > Self::BYTES_MAX {
            return Err(Error::invalid("the file is too large").with("bytes_max", Self::BYTES_MAX));
        }
        let invalid = |problem: String| Error::invalid("not a schema file").with("problem", problem);
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|source| invalid(source.to_string()));
        }
        if text.trim().is_empty() {
            return Err(Error::invalid("the schema file is empty"));
        }
        serde_norway::from_str(text).map_err(|source| invalid(source.to_string()))
    }

    /// The file as JSON.
    ///
    /// # Errors
    ///
    /// Never, as far as is known.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|source| Error::internal("a file has no json").with_source(source))
    }

    /// The file as YAML.
    ///
    /// # Errors
    ///
    /// Never, as far as is known.
    pub fn to_yaml(&self) -> Result<String> {
        serde_norway::to_string(self).map_err(|source| Error::internal("a file has no yaml").with_source(source))
    }
}

impl fmt::Display for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json().map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests;
