//! What the schema, its history and its discoveries look like in JSON, and how they are made of an instance.
//!
//! The program shows the same things from these types, whether it holds the stores itself or asks a server for them.

use std::sync::Arc;

use fineo::{
    Error, Fineo, Result, TenantId,
    core::Cover,
    schema::{
        Applied, Change, ChangeRequest, Field, Found, HistoryEntry, Metric, NameStats, Plan, SeenNames, TenantSchema,
        misfits,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::step::Step;

/// A tenant, as far as its schema says.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct TenantView {
    /// Its id.
    pub tenant: String,
    /// The version of its schema.
    pub version: u64,
    /// The keys of an event that may name its metric.
    pub metric_keys: Vec<String>,
    /// The keys of an event that may bear its time.
    pub timestamp_aliases: Vec<String>,
    /// How times are read.
    pub timestamp_formats: Vec<String>,
    /// What becomes of events of unknown metrics.
    pub unknown_metric: String,
    /// What becomes of events without a time.
    pub missing_timestamp: String,
    /// For how many days rows are kept, or `forever`.
    pub retain_days: String,
}

/// A metric with its fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct MetricView {
    /// The canonical id.
    pub id: String,
    /// The display name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// `declared`, `discovered` or `ruled out`.
    pub state: String,
    /// How its events are read where it says so itself, one line each.
    pub settings: Vec<String>,
    /// Declared fields, then undeclared ones in order of first sight.
    pub fields: Vec<FieldView>,
}

/// A field of a metric.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct FieldView {
    /// The display name, or the name as sent.
    pub name: String,
    /// Its other names in rank order.
    pub aliases: Vec<String>,
    /// The declared type; none for an undeclared field.
    pub field_type: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
    /// `declared`, `hidden`, `undeclared` or `ruled out`.
    pub state: String,
}

impl MetricView {
    /// The display name, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }
}

impl FieldView {
    /// The display name, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }
}

/// What became of a change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AppliedView {
    /// Which change it is.
    pub change: String,
    /// The version that it made, or met when it changed nothing.
    pub version: u64,
    /// What was done, one line per step.
    pub summary: Vec<String>,
    /// Whether it had happened before.
    pub is_repeated: bool,
    /// Stored values that are known not to fit the types that it gave their fields, one line per name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misfits: Vec<String>,
}

/// What a declaration would change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// The version that it is for.
    pub base: u64,
    /// What would be done, one line per step.
    pub lines: Vec<String>,
    /// The steps.
    #[schema(value_type = Vec<Step>)]
    pub changes: Vec<Change>,
}

/// A change that happened.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HistoryView {
    /// The version that it made.
    pub version: u64,
    /// Which change it was.
    pub change: String,
    /// When.
    pub at: String,
    /// Who asked for it.
    pub author: Option<String>,
    /// What was done, one line per step.
    pub summary: Vec<String>,
}

/// An undeclared name that events bore.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiscoveredView {
    /// The metric.
    pub metric: String,
    /// The name as sent.
    pub field: String,
    /// How many values were stored under it.
    pub count: u64,
    /// When the first of them arrived.
    pub first_seen: String,
    /// When the last of them arrived.
    pub last_seen: String,
    /// The share, 0–1, of the tried values that are of each type.
    pub shares: Vec<TypeShare>,
    /// Some of the values.
    pub samples: Vec<String>,
}

/// How many of some values are of a type.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TypeShare {
    /// The type.
    pub field_type: String,
    /// The share, 0–1.
    pub share: f64,
}

/// A proposal with its evidence.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SuggestionView {
    /// The same for the same proposal.
    pub id: String,
    /// The metric that it is about.
    pub metric: String,
    /// What is proposed, in words.
    pub suggestion: String,
    /// Why.
    pub evidence: Vec<String>,
    /// The steps that do it.
    #[schema(value_type = Vec<Step>)]
    pub changes: Vec<Change>,
}

/// The schema of `tenant` in short.
///
/// # Errors
///
/// A failure of the repository.
pub async fn tenant(fineo: &Fineo, tenant: &TenantId) -> Result<TenantView> {
    let schema = fineo.schema(tenant).snapshot().await?;
    let settings = schema.settings();
    let texts = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
    Ok(TenantView {
        tenant: tenant.to_string(),
        version: schema.version().0,
        metric_keys: texts(&settings.metric_keys),
        timestamp_aliases: texts(&settings.timestamp_aliases),
        timestamp_formats: settings.timestamp_formats.iter().map(ToString::to_string).collect(),
        unknown_metric: settings.unknown_metric.to_string(),
        missing_timestamp: settings.missing_timestamp.to_string(),
        retain_days: settings.retain_days.to_string(),
    })
}

/// Every metric of `tenant`, in order of creation, and the version of the schema.
///
/// # Errors
///
/// A failure of the repository.
pub async fn metrics(fineo: &Fineo, tenant: &TenantId) -> Result<(u64, Vec<MetricView>)> {
    let handle = fineo.schema(tenant);
    let schema = handle.snapshot().await?;
    let views = schema.metrics().map(|metric| metric_view(metric, &handle.seen(metric)));
    Ok((schema.version().0, views.collect()))
}

/// The metric that is called `name`, and the version of the schema.
///
/// # Errors
///
/// `NotFound` or `Invalid` when no metric, or more than one, is meant; or a failure of the repository.
pub async fn metric(fineo: &Fineo, tenant: &TenantId, name: &str) -> Result<(u64, MetricView)> {
    let handle = fineo.schema(tenant);
    let schema = handle.snapshot().await?;
    let found = chosen(&schema, Some(name))?;
    let view = found.first().map(|metric| metric_view(metric, &handle.seen(metric)));
    Ok((schema.version().0, view.unwrap_or_default()))
}

/// The undeclared names of the metric `only`, or of all.
///
/// # Errors
///
/// As [`metric`].
pub async fn discovered(fineo: &Fineo, tenant: &TenantId, only: Option<&str>) -> Result<Vec<DiscoveredView>> {
    let handle = fineo.schema(tenant);
    let schema = handle.snapshot().await?;
    let mut found = Vec::new();
    for metric in chosen(&schema, only)? {
        let seen = handle.seen(metric);
        let undeclared = metric.undeclared(&seen).filter_map(|name| seen.told_of(metric, name));
        found.extend(undeclared.map(|stats| discovered_view(metric, &stats)));
    }
    Ok(found)
}

/// Every change, oldest first.
///
/// # Errors
///
/// A failure of the repository.
pub async fn history(fineo: &Fineo, tenant: &TenantId) -> Result<Vec<HistoryView>> {
    let view = |entry: HistoryEntry| HistoryView {
        version: entry.version.0,
        change: entry.id.to_string(),
        at: entry.at.to_string(),
        author: entry.author,
        summary: entry.summary,
    };
    Ok(fineo.schema(tenant).history().await?.into_iter().map(view).collect())
}

/// What could be declared, aliased or merged.
///
/// # Errors
///
/// A failure of the repository.
pub async fn suggestions(fineo: &Fineo, tenant: &TenantId) -> Result<Vec<SuggestionView>> {
    let suggestions = fineo.schema(tenant).suggest().await?;
    let view = |suggestion: fineo::schema::Suggestion| SuggestionView {
        suggestion: suggestion.kind.to_string(),
        id: suggestion.id,
        metric: suggestion.metric.to_string(),
        evidence: suggestion.evidence,
        changes: suggestion.changes,
    };
    Ok(suggestions.into_iter().map(view).collect())
}

/// Makes the changes of `request`. How far a deletion reaches is filled in: up to everything accepted before.
///
/// # Errors
///
/// As [`fineo::SchemaHandle::request`].
pub async fn apply(fineo: &Fineo, tenant: &TenantId, mut request: ChangeRequest) -> Result<Applied> {
    let handle = fineo.schema(tenant);
    let mut tails: Option<Cover> = None;
    for change in &mut request.changes {
        if let Change::DeleteMetric { through, .. } | Change::DeleteField { through, .. } = change {
            if tails.is_none() {
                tails = Some(handle.staged_tails().await?);
            }
            *through = tails.clone().unwrap_or_default();
        }
    }
    handle.request(request).await
}

/// What is told of `applied`.
pub async fn applied(fineo: &Fineo, tenant: &TenantId, applied: Applied) -> AppliedView {
    let handle = fineo.schema(tenant);
    // What was done was done, whether or not more can be told of it.
    let misfits = match handle.snapshot().await {
        Ok(_) => misfits(&applied.schema, &applied.changes, &|metric| handle.seen(metric)),
        Err(_) => Vec::new(),
    };
    AppliedView {
        change: applied.id.to_string(),
        version: applied.version.0,
        summary: applied.summary,
        is_repeated: applied.is_repeated,
        misfits,
    }
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self { base: plan.base.0, lines: plan.lines, changes: plan.changes }
    }
}

fn chosen<'a>(schema: &'a TenantSchema, only: Option<&str>) -> Result<Vec<&'a Arc<Metric>>> {
    let Some(name) = only else {
        return Ok(schema.metrics().collect());
    };
    match schema.find_metric(name, false) {
        Found::One(metric) => Ok(vec![metric]),
        Found::Ambiguous(names) => Err(Error::invalid("two metrics are meant").with("names", names.join(" "))),
        Found::None { near } => {
            let missing = Error::not_found("no such metric").with("metric", name);
            Err(if near.is_empty() { missing } else { missing.with("near", near.join(" ")) })
        }
    }
}

fn metric_view(metric: &Metric, seen: &SeenNames) -> MetricView {
    let declared = metric.fields().iter().map(|field| declared_view(field));
    let is_undeclared = |name: &&Arc<str>| metric.field_named(name).is_none();
    let undeclared = seen.names().filter(is_undeclared).map(|name| FieldView {
        name: name.to_string(),
        state: if metric.is_field_ruled_out(name) { "ruled out" } else { "undeclared" }.to_owned(),
        ..FieldView::default()
    });
    let state = match (metric.is_ruled_out(), metric.is_declared()) {
        (true, _) => "ruled out",
        (false, true) => "declared",
        (false, false) => "discovered",
    };
    MetricView {
        id: metric.id().to_string(),
        name: metric.name().to_string(),
        aliases: metric.names().iter().skip(1).map(ToString::to_string).collect(),
        state: state.to_owned(),
        settings: own_settings(metric),
        fields: declared.chain(undeclared).collect(),
    }
}

fn declared_view(field: &Field) -> FieldView {
    FieldView {
        name: field.name().to_string(),
        aliases: field.names.iter().skip(1).map(ToString::to_string).collect(),
        field_type: Some(field.field_type.to_string()),
        unit: field.unit.as_ref().map(ToString::to_string),
        state: if field.is_hidden() { "hidden" } else { "declared" }.to_owned(),
    }
}

fn own_settings(metric: &Metric) -> Vec<String> {
    let list = |name: &str, words: Vec<String>| (!words.is_empty()).then(|| format!("{name} {}", words.join(", ")));
    let aliases = metric.own_timestamp_aliases().iter().map(ToString::to_string).collect();
    let formats = metric.own_timestamp_formats().iter().map(ToString::to_string).collect();
    let missing = metric.own_missing_timestamp().map(|policy| format!("missing timestamp {policy}"));
    let identity = metric.identity().map(|identity| format!("identity {identity}"));
    let retain = metric.own_retain_days().map(|days| format!("retain days {days}"));
    [list("timestamp aliases", aliases), list("timestamp formats", formats), missing, identity, retain]
        .into_iter()
        .flatten()
        .collect()
}

fn discovered_view(metric: &Metric, stats: &NameStats) -> DiscoveredView {
    let shares = stats.shares().map(|(field_type, share)| TypeShare { field_type: field_type.to_string(), share });
    DiscoveredView {
        metric: metric.name().to_string(),
        field: stats.name.to_string(),
        count: stats.count,
        first_seen: stats.first.to_string(),
        last_seen: stats.last.to_string(),
        shares: shares.collect(),
        samples: stats.samples.iter().map(ToString::to_string).collect(),
    }
}
