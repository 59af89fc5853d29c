//! What a schema holds, as lists.

use fineo::core::{Error, TenantId};
use fineo_server::http::{
    resource::{DiscoveredView, TypeShare},
    roles::RoleView,
};

use crate::{
    args::Format,
    engine::Engine,
    failure::{Failure, say},
    hints,
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
    for setting in &metric.settings {
        say(&screened(setting));
    }
    list_fields(metric, format)
}

/// Prints every change, the latest last.
pub(super) async fn history(engine: &Engine, tenant: &TenantId, format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["version", "change", "at", "author", "what"]);
    let history = engine.history(tenant).await?;
    if history.is_empty() {
        hints::note_unknown(engine, tenant).await;
    }
    for entry in history {
        listing.push([
            cell(entry.version),
            cell(entry.change),
            cell(entry.at),
            entry.author.clone(),
            cell(entry.summary.join("; ")),
        ]);
    }
    listing.print(format)
}

/// Prints what each role may read.
pub(super) async fn roles(engine: &Engine, tenant: &TenantId, format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["role", "metric", "fields", "later"]);
    let roles = engine.roles(tenant).await?;
    if roles.is_empty() {
        say(&format!("no roles; to make one: fineo schema --tenant {tenant} role create NAME"));
    }
    for RoleView { role, is_for_all, is_for_errors, grants } in roles {
        let whole = [(is_for_all, "*"), (is_for_errors, "errors.stream")];
        let mut lines: Vec<(String, String, bool)> = Vec::new();
        for (_, metric) in whole.into_iter().filter(|(is_granted, _)| *is_granted) {
            lines.push((metric.to_owned(), "*".to_owned(), true));
        }
        for grant in grants {
            let fields = if grant.is_for_all { "*".to_owned() } else { grant.fields.join(", ") };
            lines.push((grant.metric, fields, grant.is_for_all));
        }
        if lines.is_empty() {
            listing.push([cell(&role), None, None, None]);
        }
        for (metric, fields, later) in lines {
            listing.push([cell(&role), cell(metric), cell(fields), cell(later)]);
        }
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
    for name in engine.undeclared(tenant, only).await? {
        listing.push([
            cell(&name.metric),
            cell(&name.field),
            cell(name.count),
            cell(&name.first_seen),
            cell(&name.last_seen),
            cell(shares(&name)),
            cell(name.samples.join(" | ")),
        ]);
    }
    if listing.is_empty() && !hints::note_unknown(engine, tenant).await {
        say("every name that was sent is declared");
    }
    listing.print(format)
}

/// `double 100 %, long 40 %`: the types that values parse as, the most common first.
fn shares(name: &DiscoveredView) -> String {
    let mut shares: Vec<&TypeShare> = name.shares.iter().filter(|share| share.share >= SHARE_SHOWN).collect();
    shares.sort_by(|one, other| other.share.total_cmp(&one.share));
    let shown = shares.into_iter().map(|share| format!("{} {:.0} %", share.field_type, share.share * 100.0));
    shown.collect::<Vec<_>>().join(", ")
}

/// Prints what Fineo proposes, with the evidence.
pub(super) async fn suggestions(engine: &Engine, tenant: &TenantId, format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["id", "metric", "suggestion", "evidence"]);
    for suggestion in engine.suggestions(tenant).await? {
        let evidence = suggestion.evidence.join("; ");
        listing.push([cell(suggestion.id), cell(suggestion.metric), cell(suggestion.suggestion), cell(evidence)]);
    }
    if listing.is_empty() {
        say("nothing to suggest");
        hints::note_unknown(engine, tenant).await;
    } else {
        say(&format!("to apply one: fineo schema --tenant {tenant} suggest --apply ID"));
    }
    listing.print(format)
}
