//! What has to change for a schema to hold what a file says.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use fineo_core::{Error, Result, Timestamp, repo::Version};

use super::{ConversionDeclaration, Declaration, FieldDeclaration, MetricDeclaration};
use crate::{Change, FieldType, Metric, SeenNames, StatedConversion, TenantSchema, Unit, edit::Edit, time};

/// The steps to what a file says, and what they do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The version that they are for; to be given as the base of the change.
    pub base: Version,
    /// The steps.
    pub changes: Vec<Change>,
    /// What they do, one line per step, with every merge and take-over.
    pub lines: Vec<String>,
}

impl Plan {
    /// What `changes` do to `schema`, without doing it. `seen` tells which names a metric's events bore.
    ///
    /// # Errors
    ///
    /// `Invalid`, `NotFound` or `AlreadyExists` when a step is illegal or clashes, naming the holder.
    pub fn new(schema: &TenantSchema, changes: Vec<Change>, seen: &dyn Fn(&Metric) -> Arc<SeenNames>) -> Result<Self> {
        let mut edit = Edit::new(schema.state().clone(), Timestamp::default());
        for change in &changes {
            edit.apply(change)?;
        }
        let mut lines = edit.summary;
        lines.extend(take_overs(schema, &changes, seen));
        Ok(Self { base: schema.version(), changes, lines })
    }

    /// Whether the schema holds already what the file says.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// One line per step.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl Declaration {
    /// The steps that bring `schema` to what this file says. `seen` tells which names a metric's events bore.
    ///
    /// # Errors
    ///
    /// `Invalid` or `AlreadyExists` when a step is illegal or clashes, naming the holder.
    pub fn plan(&self, schema: &TenantSchema, seen: &dyn Fn(&Metric) -> Arc<SeenNames>) -> Result<Plan> {
        if let Some(tenant) = self.tenant.as_deref().filter(|tenant| *tenant != schema.tenant().as_str()) {
            return Err(Error::invalid("the file is for another tenant")
                .with("file", tenant)
                .with("tenant", schema.tenant())
                .with("hint", "take the line with the tenant out of the file to apply it to any"));
        }
        let mut changes = self.settings(schema);
        for (name, metric) in self.metrics.iter() {
            plan_metric(schema, name, metric, &mut changes)?;
        }
        for name in &self.ruled_out {
            if !schema.metric_named(name).is_some_and(|metric| metric.is_ruled_out()) {
                changes.push(Change::RuleOutMetric { metric: name.clone() });
            }
        }
        Plan::new(schema, changes, seen)
    }

    fn settings(&self, schema: &TenantSchema) -> Vec<Change> {
        let settings = &schema.state().tenant.settings;
        let mut changes = Vec::new();
        if let Some(keys) = self.metric_keys.as_ref().filter(|keys| !is_same(keys, &settings.metric_keys)) {
            changes.push(Change::SetMetricKeys { keys: keys.clone() });
        }
        if let Some(aliases) = self.timestamp_aliases.as_ref()
            && !is_same(aliases, &settings.timestamp_aliases)
        {
            changes.push(Change::SetTimestampAliases { metric: None, aliases: aliases.clone() });
        }
        if let Some(formats) = self.timestamp_formats.as_ref().filter(|formats| **formats != settings.timestamp_formats)
        {
            changes.push(Change::SetTimestampFormats { metric: None, formats: formats.clone() });
        }
        if let Some(policy) = self.unknown_metric.filter(|policy| *policy != settings.unknown_metric) {
            changes.push(Change::SetUnknownMetric { policy });
        }
        if let Some(policy) = self.missing_timestamp.filter(|policy| *policy != settings.missing_timestamp) {
            changes.push(Change::SetMissingTimestamp { metric: None, policy: Some(policy) });
        }
        let identity = settings.identity.last().and_then(|entry| entry.identity).unwrap_or_default();
        if let Some(wanted) = self.identity.filter(|wanted| *wanted != identity) {
            changes.push(Change::SetIdentity { metric: None, identity: Some(wanted) });
        }
        if let Some(days) = self.retain_days.filter(|days| *days != settings.retain_days.unwrap_or_default()) {
            changes.push(Change::SetRetainDays { metric: None, days: Some(days) });
        }
        changes
    }
}

fn is_same(wanted: &[String], present: &[Arc<str>]) -> bool {
    wanted.len() == present.len() && wanted.iter().zip(present).all(|(wanted, present)| **wanted == **present)
}

/// Those of `wanted` that are not among `present`.
fn missing<'a>(wanted: &'a [String], present: &[Arc<str>]) -> Vec<&'a String> {
    let present: HashSet<&str> = present.iter().map(|name| &**name).collect();
    wanted.iter().filter(|alias| !alias.is_empty() && !present.contains(alias.as_str())).collect()
}

fn plan_metric(schema: &TenantSchema, name: &str, wanted: &MetricDeclaration, changes: &mut Vec<Change>) -> Result<()> {
    let found = schema.metric_named(name);
    let metric = || name.to_owned();
    match found.filter(|found| found.is_declared() || wanted.declared == Some(false)) {
        None => changes.push(Change::CreateMetric { name: metric(), aliases: wanted.aliases.clone() }),
        Some(found) => {
            for alias in missing(&wanted.aliases, found.names()) {
                changes.push(Change::AddMetricAlias { metric: metric(), alias: alias.clone() });
            }
        }
    }
    let found = found.map(|found| &**found);
    if let Some(identity) = wanted.identity.filter(|wanted| found.and_then(Metric::identity) != Some(*wanted)) {
        changes.push(Change::SetIdentity { metric: Some(metric()), identity: Some(identity) });
    }
    let missing = found.and_then(Metric::own_missing_timestamp);
    if let Some(policy) = wanted.missing_timestamp.filter(|policy| missing != Some(*policy)) {
        changes.push(Change::SetMissingTimestamp { metric: Some(metric()), policy: Some(policy) });
    }
    let days = found.and_then(Metric::own_retain_days);
    if let Some(wanted) = wanted.retain_days.filter(|wanted| days != Some(*wanted)) {
        changes.push(Change::SetRetainDays { metric: Some(metric()), days: Some(wanted) });
    }
    let timestamp = wanted.timestamp.clone().unwrap_or_default();
    let own_aliases = found.map_or(&[][..], Metric::own_timestamp_aliases);
    if let Some(aliases) = timestamp.aliases.filter(|aliases| !is_same(aliases, own_aliases)) {
        changes.push(Change::SetTimestampAliases { metric: Some(metric()), aliases });
    }
    let own_formats: Vec<String> =
        found.map_or(&[][..], Metric::own_timestamp_formats).iter().map(ToString::to_string).collect();
    if let Some(formats) = timestamp.formats.filter(|formats| *formats != own_formats) {
        changes.push(Change::SetTimestampFormats { metric: Some(metric()), formats });
    }
    for (field, declared) in wanted.fields.iter() {
        plan_field(found, name, field, declared, changes)?;
    }
    for field in wanted.ruled_out.iter().filter(|field| !found.is_some_and(|found| found.is_field_ruled_out(field))) {
        changes.push(Change::RuleOutField { metric: metric(), field: field.clone() });
    }
    Ok(())
}

fn plan_field(
    metric: Option<&Metric>,
    metric_name: &str,
    name: &str,
    wanted: &FieldDeclaration,
    changes: &mut Vec<Change>,
) -> Result<()> {
    let (metric_owned, field) = (metric_name.to_owned(), name.to_owned());
    let field_type: Option<FieldType> = wanted.field_type.as_deref().map(str::parse).transpose()?;
    let found = metric.and_then(|metric| metric.field_named(name));
    match found {
        None => changes.push(Change::AddField {
            metric: metric_owned.clone(),
            name: field.clone(),
            field_type: field_type.ok_or_else(|| untyped(metric_name, name))?.to_string(),
            aliases: wanted.aliases.clone(),
            unit: wanted.unit.clone(),
        }),
        Some(found) => {
            if let Some(field_type) = field_type.filter(|field_type| *field_type != found.field_type) {
                let field_type = field_type.to_string();
                changes.push(Change::RetypeField { metric: metric_owned.clone(), field: field.clone(), field_type });
            }
            for alias in missing(&wanted.aliases, &found.names) {
                let (metric, field) = (metric_owned.clone(), field.clone());
                changes.push(Change::AddFieldAlias { metric, field, alias: alias.clone() });
            }
            if let Some(aliases) = ranked_otherwise(&wanted.aliases, &found.names) {
                let (metric, field) = (metric_owned.clone(), field.clone());
                changes.push(Change::RankFieldAliases { metric, field, aliases });
            }
            if let Some(unit) = wanted.unit.as_ref().filter(|unit| found.unit.as_ref().map(Unit::as_str) != Some(unit))
            {
                let (metric, field) = (metric_owned.clone(), field.clone());
                changes.push(Change::SetUnit { metric, field, unit: Some(unit.clone()) });
            }
        }
    }
    if let Some(conversions) = &wanted.conversions {
        let stated: Result<Vec<StatedConversion>> = conversions.iter().map(ConversionDeclaration::stated).collect();
        let stated = stated?;
        let present: Vec<StatedConversion> =
            found.map_or_else(Vec::new, |found| super::export::stated_conversions(found));
        if present != stated {
            if !present.is_empty() {
                changes.push(Change::RemoveConversions { metric: metric_owned.clone(), field: field.clone() });
            }
            // The one stated last goes first.
            for conversion in stated.into_iter().rev() {
                changes.push(Change::AddConversion { metric: metric_owned.clone(), field: field.clone(), conversion });
            }
        }
    }
    let is_hidden = found.is_some_and(|found| found.is_hidden());
    match wanted.hidden.filter(|hidden| *hidden != is_hidden) {
        Some(true) => changes.push(Change::HideField { metric: metric_owned, field }),
        Some(false) => changes.push(Change::UnhideField { metric: metric_owned, field }),
        None => {}
    }
    Ok(())
}

/// `wanted`, where the aliases of them that are among `present` stand there in another order.
fn ranked_otherwise(wanted: &[String], present: &[Arc<str>]) -> Option<Vec<String>> {
    let (display, present) = present.split_first()?;
    let places: HashMap<&str, usize> = present.iter().enumerate().map(|(place, name)| (&**name, place)).collect();
    let mut last = None;
    let is_ranked =
        wanted.iter().filter_map(|alias| places.get(alias.as_str())).all(|place| last.replace(place) < Some(place));
    if is_ranked {
        return None;
    }
    let mut listed = Vec::new();
    for alias in wanted.iter().filter(|alias| !alias.is_empty() && alias.as_str() != &**display) {
        if !listed.contains(alias) {
            listed.push(alias.clone());
        }
    }
    Some(listed)
}

fn untyped(metric: &str, field: &str) -> Error {
    Error::invalid("a field that is not declared yet needs a type").with("metric", metric).with("field", field)
}

impl ConversionDeclaration {
    fn stated(&self) -> Result<StatedConversion> {
        let has_numbers = self.scale.is_some() || self.offset.is_some();
        if self.unit.is_some() == has_numbers {
            return Err(Error::invalid("a conversion states either a unit or a scale and an offset"));
        }
        let instant = |text: &String| {
            let time: Option<Timestamp> = time::read_builtin(text);
            time.ok_or_else(|| Error::invalid("not a time").with("time", text))
        };
        Ok(StatedConversion {
            unit: self.unit.clone(),
            scale: self.scale.unwrap_or(1.0),
            offset: self.offset.unwrap_or(0.0),
            name: self.name.as_deref().map(Into::into),
            metric_name: self.metric_name.as_deref().map(Into::into),
            from: self.from.as_ref().map(instant).transpose()?,
            to: self.to.as_ref().map(instant).transpose()?,
        })
    }
}

/// A line for every name, declared or added as an alias, under which events have sent values already.
fn take_overs(schema: &TenantSchema, changes: &[Change], seen: &dyn Fn(&Metric) -> Arc<SeenNames>) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        let (metric, field, names) = if let Change::AddField { metric, name, aliases, .. } = change {
            (metric, name, std::iter::once(name).chain(aliases).collect::<Vec<_>>())
        } else if let Change::AddFieldAlias { metric, field, alias } = change {
            (metric, field, vec![alias])
        } else if let Change::RenameField { metric, field, to } = change {
            (metric, field, vec![to])
        } else {
            continue;
        };
        let Some(metric) = schema.metric_named(metric) else { continue };
        let seen = seen(metric);
        for stats in names.into_iter().filter_map(|name| seen.stats_of(name)) {
            lines.push(format!(
                "metric {}: field {field} takes over {} values sent as {}",
                metric.name(),
                stats.count,
                stats.name
            ));
        }
    }
    lines
}
