//! What a schema holds, as lists.

use fineo::{
    core::{Error, TenantId},
    schema::{FieldType, NameStats, SuggestionKind},
};

use crate::{
    args::Format,
    engine::Engine,
    failure::{Failure, say},
    listing::{Listing, cell},
    output::screened,
    shell::command::list_fields,
};

/// The share of values that must fit a type for the list to name it.
const SHARE_SHOWN: f64 = 0.005;

/// Prints one metric: its names and settings on stderr for a table, its fields on stdout.
pub(super) async fn show(engine: &Engine, tenant: &TenantId, name: &str, format: Format) -> Result<(), Failure> {
    let catalog = engine.catalog(tenant).await?;
    let Some(metric) = catalog.metric(name) else {
        let known: Vec<&str> = catalog.metrics.iter().map(|metric| metric.name.as_str()).take(20).collect();
        return Err(Error::not_found("no such metric").with("metric", name).with("known", known.join(" ")).into());
    };
    say(&format!("metric {} ({}, {})", screened(&metric.name), metric.id, metric.state));
    if !metric.aliases.is_empty() {
        say(&format!("aliases {}", screened(&metric.aliases.join(", "))));
    }
    for setting in engine.settings_of(tenant, &metric.name).await? {
        say(&screened(&setting));
    }
    list_fields(metric, format)
}

/// Prints every change, the latest last.
pub(super) async fn history(engine: &Engine, tenant: &TenantId, format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["version", "change", "at", "author", "what"]);
    for entry in engine.history(tenant).await? {
        listing.push([
            cell(entry.version),
            cell(entry.id),
            cell(entry.at),
            entry.author.clone(),
            cell(entry.summary.join("; ")),
        ]);
    }
    listing.print(format)
}

/// Prints the undeclared names of one metric or of all.
pub(super) async fn discovered(
    engine: &Engine,
    tenant: &TenantId,
    only: Option<&str>,
    format: Format,
) -> Result<(), Failure> {
    let mut listing =
        Listing::new(&["metric", "field", "count", "first_seen", "last_seen", "values_that_parse_as", "samples"]);
    for (metric, stats) in engine.undeclared(tenant, only).await? {
        listing.push([
            cell(metric),
            cell(&stats.name),
            cell(stats.count),
            cell(stats.first),
            cell(stats.last),
            cell(shares(&stats)),
            cell(stats.samples.join(" | ")),
        ]);
    }
    if listing.is_empty() {
        say("every name that was sent is declared");
    }
    listing.print(format)
}

/// `double 100 %, long 40 %`: the types that values parse as, the most common first.
fn shares(stats: &NameStats) -> String {
    let mut shares: Vec<(FieldType, f64)> = stats.shares().filter(|(_, share)| *share >= SHARE_SHOWN).collect();
    shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let shown = shares.into_iter().map(|(field_type, share)| format!("{field_type} {:.0} %", share * 100.0));
    shown.collect::<Vec<_>>().join(", ")
}

/// Prints what Fineo proposes, with the evidence.
pub(super) async fn suggestions(engine: &Engine, tenant: &TenantId, format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["id", "metric", "suggestion", "evidence"]);
    for suggestion in engine.suggestions(tenant).await? {
        let proposal = match &suggestion.kind {
            SuggestionKind::DeclareField { name, field_type } => format!("declare {name} as {field_type}"),
            SuggestionKind::MergeField { name, into } => format!("read {name} as an alias of {into}"),
            SuggestionKind::NewMetric => "declare the metric".to_owned(),
            SuggestionKind::MergeMetric { into } => format!("merge the metric into {into}"),
        };
        let evidence = suggestion.evidence.join("; ");
        listing.push([cell(suggestion.id), cell(suggestion.metric), cell(proposal), cell(evidence)]);
    }
    if listing.is_empty() {
        say("nothing to suggest");
    } else {
        say(&format!("to apply one: fineo schema --tenant {tenant} suggest --apply ID"));
    }
    listing.print(format)
}
