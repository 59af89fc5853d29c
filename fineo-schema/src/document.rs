//! What a schema is: one document for the tenant and one for each metric.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fineo_core::{Error, MetricId, Result, repo::Version};
use serde::{Deserialize, Serialize};

use crate::{Identity, MissingTimestamp, RetainDays, UnknownMetric};

mod positions;

pub(crate) use positions::Positions;

pub(crate) type Name = Arc<str>;

/// The tenant's part and its metrics', as one change sees them.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) tenant: TenantDocument,
    /// By the metric's number; one that is missing is empty.
    pub(crate) metrics: BTreeMap<u64, Arc<MetricDocument>>,
}

/// Who is who, and what holds for all metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TenantDocument {
    pub(crate) settings: SettingsDocument,
    pub(crate) metrics: BTreeMap<u64, MetricEntry>,
    /// What a reader may see who comes in a role, by the role's name.
    #[serde(default)]
    pub(crate) roles: BTreeMap<Name, RoleDocument>,
    /// The number of the next metric: numbers are never used again.
    #[serde(skip)]
    pub(crate) next_metric: u64,
}

/// What holds for all metrics that do not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SettingsDocument {
    pub(crate) metric_keys: Vec<Name>,
    pub(crate) timestamp_aliases: Vec<Name>,
    pub(crate) timestamp_formats: Vec<String>,
    pub(crate) unknown_metric: UnknownMetric,
    pub(crate) missing_timestamp: MissingTimestamp,
    pub(crate) identity: Vec<IdentityEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retain_days: Option<RetainDays>,
}

/// From when on events are told apart in this way; none means "as the tenant says".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdentityEntry {
    pub(crate) from: i64,
    pub(crate) identity: Option<Identity>,
}

/// A metric as the tenant's document lists it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MetricEntry {
    /// The display name, then the aliases.
    pub(crate) names: Vec<Name>,
    pub(crate) is_declared: bool,
    pub(crate) is_ruled_out: bool,
    pub(crate) merged_into: Option<u64>,
    pub(crate) deleted: Option<Positions>,
    /// Names that it lost and under which its events came: one that is sent again may be a row here. Undo forgets none.
    #[serde(skip)]
    pub(crate) former_names: Vec<Name>,
    /// The version of its own subject; 0 while that has none.
    #[serde(skip)]
    pub(crate) version: Version,
}

impl MetricEntry {
    /// Whether its names are its own: it was neither merged away nor deleted.
    pub(crate) fn is_live(&self) -> bool {
        self.merged_into.is_none() && self.deleted.is_none()
    }
}

/// What a role may read. Numbers are never used again, so a grant never comes to mean anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleDocument {
    /// Whether every metric may be read, those too that come later.
    pub(crate) is_for_all: bool,
    /// Whether `errors.stream` may be read.
    pub(crate) is_for_errors: bool,
    /// By the metric's number.
    pub(crate) metrics: BTreeMap<u64, GrantDocument>,
}

/// What a role may read of a metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GrantDocument {
    /// Whether every field may be read, undeclared ones and those too that come later.
    pub(crate) is_for_all: bool,
    /// The numbers of fields.
    pub(crate) fields: BTreeSet<u32>,
}

/// A metric's own document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MetricDocument {
    pub(crate) fields: BTreeMap<u32, FieldDocument>,
    /// Undeclared fields that make an event malformed.
    pub(crate) ruled_out: Vec<Name>,
    /// Names whose values up to some positions are gone for ever.
    pub(crate) deletions: BTreeMap<String, Positions>,
    pub(crate) timestamp_aliases: Vec<Name>,
    pub(crate) timestamp_formats: Vec<String>,
    pub(crate) missing_timestamp: Option<MissingTimestamp>,
    pub(crate) identity: Vec<IdentityEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retain_days: Option<RetainDays>,
    /// The number of the next field: numbers are never used again.
    #[serde(skip)]
    pub(crate) next_field: u32,
}

/// A declared field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FieldDocument {
    /// The display name, then the aliases.
    pub(crate) names: Vec<Name>,
    pub(crate) field_type: String,
    pub(crate) unit: Option<String>,
    pub(crate) conversions: Vec<ConversionDocument>,
    pub(crate) hidden_since: Option<i64>,
}

impl FieldDocument {
    /// That `name` may be taken from the field, whose values under it are undeclared text then.
    ///
    /// # Errors
    ///
    /// `Invalid` for a hidden field: what is hidden is read again by `unhide` alone.
    pub(crate) fn check_keeps_hidden(&self, name: &str) -> Result<()> {
        match self.hidden_since {
            None => Ok(()),
            Some(_) => Err(Error::invalid(
                "the field is hidden, and its values would be read again as undeclared text; unhide it first, or delete it",
            )
            .with("name", name)
            .with("field", self.names.first().map_or("", |display| display))),
        }
    }
}

/// A stated unit or conversion of some values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConversionDocument {
    pub(crate) name: Option<Name>,
    pub(crate) unit: Option<String>,
    pub(crate) scale: f64,
    pub(crate) offset: f64,
    pub(crate) metric_name: Option<Name>,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// The number of a metric's canonical id.
pub(crate) fn metric_number(id: &MetricId) -> Option<u64> {
    id.as_str().strip_prefix('n')?.parse().ok()
}
