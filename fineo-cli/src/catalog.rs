//! What a tenant has, by name: for lists, for `\d` and for completion.

use std::sync::Arc;

use fineo::schema::{Field, Metric, SeenNames};

/// A tenant's metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    /// In order of creation.
    pub(crate) metrics: Vec<MetricEntry>,
}

/// A metric by its names.
#[derive(Debug, Clone)]
pub(crate) struct MetricEntry {
    /// The canonical id.
    pub(crate) id: String,
    /// The display name.
    pub(crate) name: String,
    /// Its other names.
    pub(crate) aliases: Vec<String>,
    /// Declared, discovered or ruled out.
    pub(crate) state: &'static str,
    /// Declared fields, then undeclared ones in order of first sight.
    pub(crate) fields: Vec<FieldEntry>,
}

/// A field by its names.
#[derive(Debug, Clone)]
pub(crate) struct FieldEntry {
    /// The display name, or the name as sent.
    pub(crate) name: String,
    /// Its other names in rank order.
    pub(crate) aliases: Vec<String>,
    /// The declared type; none for an undeclared field.
    pub(crate) field_type: Option<String>,
    /// Its unit.
    pub(crate) unit: Option<String>,
    /// Declared, hidden, undeclared or ruled out.
    pub(crate) state: &'static str,
}

impl Catalog {
    /// The metric with this name or alias: exact, else the only one that differs in case alone.
    pub(crate) fn metric(&self, name: &str) -> Option<&MetricEntry> {
        let exact = self.metrics.iter().find(|metric| metric.names().any(|known| known == name));
        exact.or_else(|| {
            let is_like = |metric: &&MetricEntry| metric.names().any(|known| known.eq_ignore_ascii_case(name));
            let mut alike = self.metrics.iter().filter(is_like);
            alike.next().filter(|_| alike.next().is_none())
        })
    }
}

impl MetricEntry {
    /// The display name, then the aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }
}

impl FieldEntry {
    /// The display name, then the aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }
}

/// A metric under a schema, with the names that its events bore.
pub(crate) fn metric_entry(metric: &Metric, seen: &SeenNames) -> MetricEntry {
    let declared = metric.fields().iter().map(|field| declared_entry(field));
    let is_undeclared = |name: &&Arc<str>| metric.field_named(name).is_none();
    let undeclared = seen.names().filter(is_undeclared).map(|name| FieldEntry {
        name: name.to_string(),
        aliases: Vec::new(),
        field_type: None,
        unit: None,
        state: if metric.is_field_ruled_out(name) { "ruled out" } else { "undeclared" },
    });
    let state = match (metric.is_ruled_out(), metric.is_declared()) {
        (true, _) => "ruled out",
        (false, true) => "declared",
        (false, false) => "discovered",
    };
    MetricEntry {
        id: metric.id().to_string(),
        name: metric.name().to_string(),
        aliases: metric.names().iter().skip(1).map(ToString::to_string).collect(),
        state,
        fields: declared.chain(undeclared).collect(),
    }
}

fn declared_entry(field: &Field) -> FieldEntry {
    FieldEntry {
        name: field.name().to_string(),
        aliases: field.names.iter().skip(1).map(ToString::to_string).collect(),
        field_type: Some(field.field_type.to_string()),
        unit: field.unit.as_ref().map(ToString::to_string),
        state: if field.is_hidden() { "hidden" } else { "declared" },
    }
}

/// What a metric says itself about how its events are read, one line each.
pub(crate) fn own_settings(metric: &Metric) -> Vec<String> {
    let list = |name: &str, words: Vec<String>| (!words.is_empty()).then(|| format!("{name} {}", words.join(", ")));
    let aliases = metric.own_timestamp_aliases().iter().map(ToString::to_string).collect();
    let formats = metric.own_timestamp_formats().iter().map(ToString::to_string).collect();
    let missing = metric.own_missing_timestamp().map(|policy| format!("missing timestamp {policy}"));
    let identity = metric.identity().map(|identity| format!("identity {identity}"));
    [list("timestamp aliases", aliases), list("timestamp formats", formats), missing, identity]
        .into_iter()
        .flatten()
        .collect()
}
