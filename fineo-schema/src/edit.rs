//! Applies the steps of a change to the documents. Pure: nothing is read or written elsewhere.

mod conversion;
mod field;
mod known;
mod looks;
mod merge;
mod metric;
mod role;
pub(crate) mod setting;

use std::sync::Arc;

use fineo_core::{Error, ErrorKind, Result, Timestamp};

use crate::{
    Change,
    document::{MetricDocument, MetricEntry, State},
    name,
};

/// The most metrics of a tenant, merged and deleted ones too.
pub(crate) const METRICS_MAX: usize = 20_000;
/// With so many metrics, events bring in no more.
pub(crate) const DISCOVERED_METRICS_MAX: usize = 5_000;
/// The most declared fields of a metric.
pub(crate) const FIELDS_MAX: usize = 10_000;
/// The most names of all fields of a metric, or of one metric.
pub(crate) const NAMES_MAX: usize = 100_000;

/// The documents while a change is made.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    /// What was done, one line per step.
    pub(crate) summary: Vec<String>,
    looks: looks::Looks,
    known: known::Known,
}

impl Edit {
    pub(crate) fn new(state: State, now: Timestamp) -> Self {
        Self { state, now, summary: Vec::new(), looks: looks::Looks::default(), known: known::Known::default() }
    }

    /// Makes one step.
    pub(crate) fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::CreateMetric { name, aliases } => self.create_metric(name, aliases),
            Change::RenameMetric { metric, to } => self.rename_metric(metric, to),
            Change::AddMetricAlias { metric, alias } => self.add_metric_alias(metric, alias),
            Change::RemoveMetricAlias { metric, alias } => self.remove_metric_alias(metric, alias),
            Change::MergeMetric { from, into } => self.merge_metric(from, into),
            Change::DeleteMetric { metric, through } => self.delete_metric(metric, through),
            Change::UndeclareMetric { metric } => self.undeclare_metric(metric),
            Change::RuleOutMetric { metric } => self.rule_metric(metric, true),
            Change::RuleInMetric { metric } => self.rule_metric(metric, false),
            Change::AddField { metric, name, field_type, aliases, unit } => {
                self.add_field(metric, name, field_type, aliases, unit.as_deref())
            }
            Change::RenameField { metric, field, to } => self.rename_field(metric, field, to),
            Change::AddFieldAlias { metric, field, alias } => self.add_field_alias(metric, field, alias),
            Change::RemoveFieldAlias { metric, field, alias } => self.remove_field_alias(metric, field, alias),
            Change::RankFieldAliases { metric, field, aliases } => self.rank_field_aliases(metric, field, aliases),
            Change::RetypeField { metric, field, field_type } => self.retype_field(metric, field, field_type),
            Change::SetUnit { metric, field, unit } => self.set_unit(metric, field, unit.as_deref()),
            Change::AddConversion { metric, field, conversion } => self.add_conversion(metric, field, conversion),
            Change::RemoveConversions { metric, field } => self.remove_conversions(metric, field),
            Change::HideField { metric, field } => self.hide_field(metric, field, true),
            Change::UnhideField { metric, field } => self.hide_field(metric, field, false),
            Change::UndeclareField { metric, field } => self.undeclare_field(metric, field),
            Change::DeleteField { metric, field, through } => self.delete_field(metric, field, through),
            Change::RuleOutField { metric, field } => self.rule_field(metric, field, true),
            Change::RuleInField { metric, field } => self.rule_field(metric, field, false),
            Change::SetMetricKeys { keys } => self.set_metric_keys(keys),
            Change::SetTimestampFormats { metric, formats } => self.set_timestamp_formats(metric.as_deref(), formats),
            Change::SetTimestampAliases { metric, aliases } => self.set_timestamp_aliases(metric.as_deref(), aliases),
            Change::SetUnknownMetric { policy } => {
                self.state.tenant.settings.unknown_metric = *policy;
                self.note(format!("events of unknown metrics: {policy}"))
            }
            Change::SetMissingTimestamp { metric, policy } => self.set_missing_timestamp(metric.as_deref(), *policy),
            Change::SetIdentity { metric, identity } => self.set_identity(metric.as_deref(), *identity),
            Change::SetRetainDays { metric, days } => self.set_retain_days(metric.as_deref(), *days),
            Change::CreateRole { role } => self.create_role(role),
            Change::DeleteRole { role } => self.delete_role(role),
            Change::GrantRead { role, metric, fields, later } => self.grant_read(role, metric, fields, *later),
            Change::RevokeRead { role, metric, fields } => self.revoke_read(role, metric, fields),
            Change::DiscoverMetrics { names } => self.discover_metrics(names),
            Change::Undo { .. } => Err(Error::internal("an undo is made from the history, not from its step")),
        }
    }

    fn note(&mut self, line: String) -> Result<()> {
        self.summary.push(line);
        Ok(())
    }

    /// The number of the live metric that has exactly this name.
    fn metric_number(&self, wanted: &str) -> Result<u64> {
        if let Some(number) = self.holder_of_metric_name(wanted) {
            return Ok(number);
        }
        let names = self.state.tenant.metrics.values().filter(|entry| entry.is_live()).flat_map(|entry| &entry.names);
        let near = name::near(wanted, names.map(|name| &**name));
        Err(not_found("there is no such metric", "metric", wanted, &near))
    }

    fn holder_of_metric_name(&self, wanted: &str) -> Option<u64> {
        let live = || self.state.tenant.metrics.iter().filter(|(_, entry)| entry.is_live());
        // Most are called by the display name.
        let displayed = live().find(|(_, entry)| *entry.names[0] == *wanted);
        let found = displayed.or_else(|| live().find(|(_, entry)| entry.names.iter().any(|name| **name == *wanted)));
        found.map(|(number, _)| *number)
    }

    fn entry(&mut self, number: u64) -> Result<&mut MetricEntry> {
        self.state.tenant.metrics.get_mut(&number).ok_or_else(|| Error::internal("a metric has no entry"))
    }

    fn document(&mut self, number: u64) -> &mut MetricDocument {
        Arc::make_mut(self.state.metrics.entry(number).or_default())
    }

    fn display(&self, number: u64) -> String {
        self.state.tenant.metrics.get(&number).map_or_else(String::new, |entry| entry.names[0].to_string())
    }

    /// The number of the metric and that of the declared field which has exactly this name.
    fn field_number(&self, metric: &str, field: &str) -> Result<(u64, u32)> {
        let number = self.metric_number(metric)?;
        if let Some(field) = self.holder_of_field_name(number, field) {
            return Ok((number, field));
        }
        let document = self.state.metrics.get(&number);
        let names = document.into_iter().flat_map(|document| document.fields.values()).flat_map(|field| &field.names);
        let near = name::near(field, names.map(|name| &**name));
        Err(not_found("the metric has no such declared field", "field", field, &near).with("metric", metric))
    }

    fn holder_of_field_name(&self, metric: u64, wanted: &str) -> Option<u32> {
        let document = self.state.metrics.get(&metric)?;
        let displayed = document.fields.iter().find(|(_, field)| *field.names[0] == *wanted);
        let mut fields = document.fields.iter();
        let found = displayed.or_else(|| fields.find(|(_, field)| field.names.iter().any(|name| **name == *wanted)));
        found.map(|(number, _)| *number)
    }
}

fn not_found(message: &str, what: &'static str, wanted: &str, near: &[String]) -> Error {
    let error = Error::not_found(message).with(what, wanted);
    if near.is_empty() { error } else { error.with("near", near.join(", ")) }
}

fn clash(what: &'static str, name: &str, holder: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, "the name is taken").with("name", name).with(what, holder)
}

fn too_many(what: &'static str, limit: usize) -> Error {
    Error::new(ErrorKind::LimitExceeded, "the schema would have too many of these")
        .with("what", what)
        .with("max", limit)
}

#[cfg(test)]
mod tests;
