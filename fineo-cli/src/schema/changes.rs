//! The changes that the words of the command line stand for.

use std::collections::HashMap;

use fineo::{
    core::{Cover, TenantId},
    schema::{Change, Identity, MissingTimestamp, StatedConversion, UnknownMetric},
};
use fineo_server::http::resource::DiscoveredView;

use crate::{
    args::{FieldVerb, IdentityName, MetricVerb, MissingTimestampName, RoleVerb, SetArgs, UnitArgs, UnknownMetricName},
    engine::Engine,
};

/// What a verb of `fineo schema metric` changes; nothing for those that only look.
pub(super) fn of_metric(verb: &MetricVerb) -> Vec<Change> {
    let change = match verb.clone() {
        MetricVerb::Create { metric, aliases, .. } => Change::CreateMetric { name: metric, aliases },
        MetricVerb::Rename { metric, new } => Change::RenameMetric { metric, to: new },
        MetricVerb::Alias { metric, alias } => Change::AddMetricAlias { metric, alias },
        MetricVerb::Unalias { metric, alias } => Change::RemoveMetricAlias { metric, alias },
        MetricVerb::Merge { from, into } => Change::MergeMetric { from, into },
        // The store fills in how far its rows reach when the change is made.
        MetricVerb::Delete { metric } => Change::DeleteMetric { metric, through: Cover::default() },
        MetricVerb::RuleOut { metric } => Change::RuleOutMetric { metric },
        MetricVerb::RuleIn { metric } => Change::RuleInMetric { metric },
        MetricVerb::Show { .. } | MetricVerb::List => return Vec::new(),
    };
    vec![change]
}

/// What a verb of `fineo schema field` changes.
pub(super) fn of_field(verb: &FieldVerb) -> Vec<Change> {
    let change = match verb.clone() {
        FieldVerb::Add { metric, field, field_type, aliases } => {
            Change::AddField { metric, name: field, field_type, aliases, unit: None }
        }
        FieldVerb::Rename(args) => Change::RenameField { metric: args.metric, field: args.field, to: args.new },
        FieldVerb::Alias(args) => Change::AddFieldAlias { metric: args.metric, field: args.field, alias: args.alias },
        FieldVerb::Unalias(args) => {
            Change::RemoveFieldAlias { metric: args.metric, field: args.field, alias: args.alias }
        }
        FieldVerb::Retype { metric, field, field_type } => Change::RetypeField { metric, field, field_type },
        FieldVerb::Hide(args) => Change::HideField { metric: args.metric, field: args.field },
        FieldVerb::Unhide(args) => Change::UnhideField { metric: args.metric, field: args.field },
        FieldVerb::Undeclare(args) => Change::UndeclareField { metric: args.metric, field: args.field },
        FieldVerb::Delete(args) => {
            Change::DeleteField { metric: args.metric, field: args.field, through: Cover::default() }
        }
        FieldVerb::RuleOut(args) => Change::RuleOutField { metric: args.metric, field: args.field },
        FieldVerb::RuleIn(args) => Change::RuleInField { metric: args.metric, field: args.field },
        FieldVerb::Unit(args) => of_unit(args),
    };
    vec![change]
}

/// What a verb of `fineo schema role` changes; nothing for the one that only looks.
pub(super) fn of_role(verb: &RoleVerb) -> Vec<Change> {
    let change = match verb.clone() {
        RoleVerb::Create { role } => Change::CreateRole { role },
        RoleVerb::Delete { role } => Change::DeleteRole { role },
        RoleVerb::Grant { role, metric, fields, later, now_only } => {
            let later = (later || now_only).then_some(later);
            Change::GrantRead { role, metric, fields, later }
        }
        RoleVerb::Revoke { role, metric, fields } => Change::RevokeRead { role, metric, fields },
        RoleVerb::List => return Vec::new(),
    };
    vec![change]
}

/// A line for every name that `changes` give to a field and under which events have sent values already.
pub(super) async fn taken_over(engine: &Engine, tenant: &TenantId, changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut sent_to: HashMap<&str, Vec<DiscoveredView>> = HashMap::new();
    for change in changes {
        let (metric, field, names) = match change {
            Change::AddField { metric, name, aliases, .. } => {
                (metric, name, std::iter::once(name).chain(aliases).collect::<Vec<_>>())
            }
            Change::AddFieldAlias { metric, field, alias } => (metric, field, vec![alias]),
            Change::RenameField { metric, field, to } => (metric, field, vec![to]),
            _ => continue,
        };
        if !sent_to.contains_key(metric.as_str()) {
            // Where nothing can be found out, the change itself says why.
            sent_to.insert(metric, engine.undeclared(tenant, Some(metric)).await.unwrap_or_default());
        }
        for sent in sent_to.get(metric.as_str()).into_iter().flatten() {
            if names.contains(&&sent.field) {
                let (of, count, name) = (&sent.metric, sent.count, &sent.field);
                lines.push(format!("metric {of}: field {field} takes over {count} values sent as {name}"));
            }
        }
    }
    lines
}

/// Without a scope, a unit is the field's own; with one, those values were sent in it.
fn of_unit(args: UnitArgs) -> Change {
    let has_scope = args.alias.is_some() || args.source.is_some() || args.from.is_some() || args.to.is_some();
    if args.unit.is_some() && !has_scope {
        return Change::SetUnit { metric: args.metric, field: args.field, unit: args.unit };
    }
    let conversion = StatedConversion {
        unit: args.unit,
        scale: args.scale.unwrap_or(1.0),
        offset: args.offset.unwrap_or(0.0),
        name: args.alias.map(Into::into),
        metric_name: args.source.map(Into::into),
        from: args.from,
        to: args.to,
    };
    Change::AddConversion { metric: args.metric, field: args.field, conversion }
}

/// What `fineo schema set` changes, as one change.
pub(super) fn of_settings(args: &SetArgs) -> Vec<Change> {
    let metric = || args.metric.clone();
    let mut changes = Vec::new();
    if let Some(keys) = &args.metric_keys {
        changes.push(Change::SetMetricKeys { keys: filled(keys) });
    }
    if let Some(formats) = &args.timestamp_formats {
        changes.push(Change::SetTimestampFormats { metric: metric(), formats: filled(formats) });
    }
    if let Some(aliases) = &args.timestamp_aliases {
        changes.push(Change::SetTimestampAliases { metric: metric(), aliases: filled(aliases) });
    }
    if let Some(policy) = args.unknown_metric {
        changes.push(Change::SetUnknownMetric { policy: unknown_metric(policy) });
    }
    if let Some(policy) = args.missing_timestamp {
        changes.push(Change::SetMissingTimestamp { metric: metric(), policy: Some(missing_timestamp(policy)) });
    }
    if let Some(policy) = args.identity {
        changes.push(Change::SetIdentity { metric: metric(), identity: Some(identity(policy)) });
    }
    if let Some(days) = args.retain_days {
        changes.push(Change::SetRetainDays { metric: metric(), days: Some(days) });
    }
    changes
}

/// An empty word makes an empty list.
fn filled(words: &[String]) -> Vec<String> {
    words.iter().filter(|word| !word.is_empty()).cloned().collect()
}

fn unknown_metric(name: UnknownMetricName) -> UnknownMetric {
    match name {
        UnknownMetricName::Discover => UnknownMetric::Discover,
        UnknownMetricName::Reject => UnknownMetric::Reject,
    }
}

fn missing_timestamp(name: MissingTimestampName) -> MissingTimestamp {
    match name {
        MissingTimestampName::Reject => MissingTimestamp::Reject,
        MissingTimestampName::Arrival => MissingTimestamp::Arrival,
    }
}

fn identity(name: IdentityName) -> Identity {
    match name {
        IdentityName::Content => Identity::Content,
        IdentityName::Key => Identity::Key,
        IdentityName::Arrival => Identity::Arrival,
    }
}

#[cfg(test)]
mod tests;
