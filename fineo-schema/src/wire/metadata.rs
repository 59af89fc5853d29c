//! A tenant's document as the Avro record `Metadata`.

mod roles;

use std::collections::BTreeMap;

use bytes::Bytes;
use fineo_core::{Error, MetricId, Result, TenantId, Timestamp, repo::Version};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{METADATA, none_if_empty};
use crate::{
    Change, ChangeId, HistoryEntry,
    document::{IdentityEntry, MetricEntry, Name, Positions, SettingsDocument, TenantDocument, metric_number},
    undo::Delta,
};

/// The record as it is written; a metric's document has one too, for its fields' names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) canonical_name: String,
    pub(super) canonical_names_to_aliases: BTreeMap<String, Vec<Name>>,
    version: Option<i64>,
    metrics: Option<Vec<Entry>>,
    next_metric: Option<i64>,
    metric_keys: Option<Vec<Name>>,
    timestamp_aliases: Option<Vec<Name>>,
    timestamp_formats: Option<Vec<String>>,
    unknown_metric: Option<String>,
    missing_timestamp: Option<String>,
    identity: Option<Vec<IdentityWire>>,
    retain_days: Option<String>,
    roles: Option<Vec<roles::RoleWire>>,
    change: Option<ChangeWire>,
}

impl Metadata {
    /// The names of a metric's fields.
    pub(super) fn of_fields(id: &MetricId, names: BTreeMap<String, Vec<Name>>) -> Self {
        Self { canonical_name: id.to_string(), canonical_names_to_aliases: names, ..Self::default() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "MetricEntry", rename_all = "camelCase")]
struct Entry {
    id: String,
    version: i64,
    is_declared: bool,
    is_ruled_out: bool,
    merged_into: Option<String>,
    deleted_through: Option<BTreeMap<String, String>>,
    former_names: Option<Vec<Name>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "IdentityEntry")]
pub(super) struct IdentityWire {
    from: i64,
    identity: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "Change")]
struct ChangeWire {
    id: String,
    at: i64,
    author: Option<String>,
    changes: String,
    summary: Vec<String>,
    inverse: String,
}

/// The change that made a version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangeRecord {
    pub(crate) id: ChangeId,
    pub(crate) at: Timestamp,
    pub(crate) author: Option<String>,
    pub(crate) changes: Vec<Change>,
    pub(crate) summary: Vec<String>,
    pub(crate) deltas: Vec<Delta>,
}

/// One version of a tenant's subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TenantVersion {
    pub(crate) version: Version,
    pub(crate) document: TenantDocument,
    pub(crate) change: ChangeRecord,
}

/// What a schema is made of: a version without what its change was. Of that only the form is read here.
#[derive(Debug)]
pub(crate) struct TenantState {
    pub(crate) document: TenantDocument,
    pub(crate) changed_at: Timestamp,
}

impl TenantVersion {
    pub(crate) fn encode(&self, tenant: &TenantId) -> Result<Bytes> {
        let document = &self.document;
        let names =
            |(number, entry): (&u64, &MetricEntry)| (MetricId::numbered(*number).to_string(), entry.names.clone());
        let settings = &document.settings;
        METADATA.encode(&Metadata {
            canonical_name: tenant.to_string(),
            canonical_names_to_aliases: document.metrics.iter().map(names).collect(),
            version: Some(self.version.0.cast_signed()),
            metrics: Some(document.metrics.iter().map(|(number, entry)| Entry::of(*number, entry)).collect()),
            next_metric: Some(document.next_metric.cast_signed()),
            metric_keys: none_if_empty(settings.metric_keys.clone()),
            timestamp_aliases: none_if_empty(settings.timestamp_aliases.clone()),
            timestamp_formats: none_if_empty(settings.timestamp_formats.clone()),
            unknown_metric: Some(settings.unknown_metric.to_string()),
            missing_timestamp: Some(settings.missing_timestamp.to_string()),
            identity: none_if_empty(settings.identity.iter().map(IdentityWire::of).collect()),
            retain_days: settings.retain_days.map(|days| days.to_string()),
            roles: none_if_empty(document.roles.iter().map(|(name, role)| roles::RoleWire::of(name, role)).collect()),
            change: Some(ChangeWire::of(&self.change)?),
        })
    }

    /// Reads a body of `tenant`'s subject that stands there as `version`.
    pub(crate) fn decode(body: &[u8], tenant: &TenantId, version: Version) -> Result<Self> {
        let (document, change) = Metadata::decode(body, tenant, version)?;
        Ok(Self { version, document, change: change.into_record()? })
    }

    pub(crate) fn into_history(self) -> HistoryEntry {
        let ChangeRecord { id, at, author, changes, summary, deltas } = self.change;
        HistoryEntry { version: self.version, id, at, author, changes, summary, deltas }
    }
}

impl TenantState {
    /// As [`TenantVersion::decode`].
    pub(crate) fn decode(body: &[u8], tenant: &TenantId, version: Version) -> Result<Self> {
        let (document, change) = Metadata::decode(body, tenant, version)?;
        Ok(Self { document, changed_at: change.checked()? })
    }
}

impl Metadata {
    fn decode(body: &[u8], tenant: &TenantId, version: Version) -> Result<(TenantDocument, ChangeWire)> {
        let wire: Self = METADATA.decode(body)?;
        if wire.canonical_name != tenant.as_str() || wire.version != Some(version.0.cast_signed()) {
            return Err(Error::corrupt("a schema document stands in the place of another").with("version", version));
        }
        let mut metrics = BTreeMap::new();
        for entry in wire.metrics.unwrap_or_default() {
            let names = wire.canonical_names_to_aliases.get(&entry.id).cloned().unwrap_or_default();
            let number = number_of(&entry.id)?;
            if names.is_empty() {
                return Err(Error::corrupt("a metric has no name").with("metric", entry.id));
            }
            metrics.insert(number, entry.into_document(names)?);
        }
        let identity: Result<Vec<_>> =
            wire.identity.unwrap_or_default().into_iter().map(IdentityWire::into_entry).collect();
        let settings = SettingsDocument {
            metric_keys: wire.metric_keys.unwrap_or_default(),
            timestamp_aliases: wire.timestamp_aliases.unwrap_or_default(),
            timestamp_formats: wire.timestamp_formats.unwrap_or_default(),
            unknown_metric: wire
                .unknown_metric
                .map(|text| text.parse())
                .transpose()
                .map_err(broken)?
                .unwrap_or_default(),
            missing_timestamp: wire
                .missing_timestamp
                .map(|text| text.parse())
                .transpose()
                .map_err(broken)?
                .unwrap_or_default(),
            identity: identity?,
            retain_days: wire.retain_days.map(|text| text.parse()).transpose().map_err(broken)?,
        };
        let next_metric = wire.next_metric.unwrap_or(1).cast_unsigned();
        if metrics.keys().next_back().is_some_and(|last| *last >= next_metric) {
            return Err(Error::corrupt("a schema document would use a metric's number again"));
        }
        let change = wire.change.ok_or_else(|| Error::corrupt("a schema document does not say what changed"))?;
        let roles: Result<_> = wire.roles.unwrap_or_default().into_iter().map(roles::RoleWire::into_document).collect();
        let document = TenantDocument { settings, metrics, roles: roles?, next_metric };
        Ok((document, change))
    }
}

impl Entry {
    fn of(number: u64, entry: &MetricEntry) -> Self {
        Self {
            id: MetricId::numbered(number).to_string(),
            version: entry.version.0.cast_signed(),
            is_declared: entry.is_declared,
            is_ruled_out: entry.is_ruled_out,
            merged_into: entry.merged_into.map(|into| MetricId::numbered(into).to_string()),
            deleted_through: entry.deleted.as_ref().map(Positions::to_texts),
            former_names: none_if_empty(entry.former_names.clone()),
        }
    }

    fn into_document(self, names: Vec<Name>) -> Result<MetricEntry> {
        Ok(MetricEntry {
            names,
            is_declared: self.is_declared,
            is_ruled_out: self.is_ruled_out,
            merged_into: self.merged_into.as_deref().map(number_of).transpose()?,
            deleted: self.deleted_through.as_ref().map(Positions::from_texts).transpose().map_err(broken)?,
            former_names: self.former_names.unwrap_or_default(),
            version: Version(self.version.cast_unsigned()),
        })
    }
}

impl IdentityWire {
    pub(super) fn of(entry: &IdentityEntry) -> Self {
        Self { from: entry.from, identity: entry.identity.map(|identity| identity.to_string()) }
    }

    pub(super) fn into_entry(self) -> Result<IdentityEntry> {
        let identity = self.identity.map(|text| text.parse()).transpose().map_err(broken)?;
        Ok(IdentityEntry { from: self.from, identity })
    }
}

impl ChangeWire {
    fn of(change: &ChangeRecord) -> Result<Self> {
        let fails = |source| Error::internal("a change has no json").with_source(source);
        Ok(Self {
            id: change.id.to_string(),
            at: change.at.micros(),
            author: change.author.clone(),
            changes: serde_json::to_string(&change.changes).map_err(fails)?,
            summary: change.summary.clone(),
            inverse: serde_json::to_string(&change.deltas).map_err(fails)?,
        })
    }

    /// When the change was made. What it was must be legal JSON; whether that says a change is for [`ChangeWire::into_record`].
    fn checked(&self) -> Result<Timestamp> {
        self.id.parse::<ChangeId>().map_err(broken)?;
        for text in [&self.changes, &self.inverse] {
            serde_json::from_str::<IgnoredAny>(text).map_err(unreadable)?;
        }
        Timestamp::from_micros(self.at).map_err(broken)
    }

    fn into_record(self) -> Result<ChangeRecord> {
        Ok(ChangeRecord {
            id: self.id.parse().map_err(broken)?,
            at: Timestamp::from_micros(self.at).map_err(broken)?,
            author: self.author,
            changes: serde_json::from_str(&self.changes).map_err(unreadable)?,
            summary: self.summary,
            deltas: serde_json::from_str(&self.inverse).map_err(unreadable)?,
        })
    }
}

fn unreadable(source: serde_json::Error) -> Error {
    Error::corrupt("a recorded change cannot be read").with_source(source)
}

pub(super) fn broken(source: Error) -> Error {
    Error::corrupt("a schema document holds an illegal value").with_source(source)
}

fn number_of(id: &str) -> Result<u64> {
    let number = MetricId::new(id).ok().as_ref().and_then(metric_number);
    number.ok_or_else(|| Error::corrupt("a schema document names a metric that has no number").with("metric", id))
}
