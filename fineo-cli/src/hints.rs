//! What somebody may do next who got less than he expected.

use fineo::{
    core::{Error, TenantId},
    schema::Change,
};
use fineo_server::Counts;

use crate::{
    catalog::MetricEntry,
    engine::Engine,
    failure::{Failure, say},
    output::screened,
};

/// The most names that a hint lists.
const NAMES_MAX: usize = 20;
/// The state of a metric whose events are errors.
const RULED_OUT: &str = "ruled out";

/// The same failure; where it is that a table is not there, it says what tables there are.
pub(crate) async fn with_tables(engine: &Engine, tenant: &TenantId, failure: Failure) -> Failure {
    match failure {
        Failure::Failed(error) if is_unknown_table(&error) => {
            let asked = error.value("table").unwrap_or_default();
            Failure::Failed(match tables(engine, tenant, asked).await {
                Some(hint) => error.with("hint", hint),
                None => error,
            })
        }
        other => other,
    }
}

/// The same failure; where a grant leaves open what `*` means, it says how to choose.
pub(crate) fn of_change(failure: Failure) -> Failure {
    let is_open = |error: &Error| error.code() == Some("later_unsaid");
    match failure {
        Failure::Failed(error) if is_open(&error) => Failure::Failed(
            error.with("hint", "--now-only grants what is declared now, --later also what is not and what comes later"),
        ),
        other => other,
    }
}

/// Says of which metrics the times look like seconds that were read as milliseconds.
pub(crate) async fn note_times(engine: &Engine, tenant: &TenantId) {
    for found in engine.suggestions(tenant).await.unwrap_or_default() {
        if let ([Change::SetTimestampFormats { .. }], [evidence, ..]) =
            (found.changes.as_slice(), found.evidence.as_slice())
        {
            let (metric, id) = (screened(&found.metric), &found.id);
            say(&format!("note: metric {metric}: {evidence}"));
            say(&format!("fineo schema --tenant {tenant} suggest --apply {id} reads later ones as seconds"));
        }
    }
}

/// What tables there are instead of `asked`, as far as that can be found out.
async fn tables(engine: &Engine, tenant: &TenantId, asked: &str) -> Option<String> {
    let catalog = engine.catalog(tenant).await.ok()?;
    let is_ruled_out = |metric: &&MetricEntry| metric.state == RULED_OUT;
    if let Some(metric) = catalog.metric(asked).filter(is_ruled_out) {
        let name = screened(&metric.name);
        return Some(format!(
            "{name} is ruled out, its rows are in errors.stream; metric rule-in makes it a table again"
        ));
    }
    let tables: Vec<&str> =
        catalog.metrics.iter().filter(|metric| !is_ruled_out(metric)).map(|metric| metric.name.as_str()).collect();
    if !tables.is_empty() {
        return Some(format!("the tables of tenant {tenant} are {}", listed(&tables)));
    }
    let others = others_than(tenant.as_str(), &engine.tenants().await.unwrap_or_default());
    Some(format!("tenant {tenant} has no tables yet: fineo ingest --tenant {tenant} FILE brings some in{others}"))
}

/// What is to be said where `tenant` is none of `tenants`.
pub(crate) fn of_unknown(tenant: &str, tenants: &[String]) -> Option<String> {
    let is_known = tenants.iter().any(|known| known == tenant);
    let others = others_than(tenant, tenants);
    (!is_known).then(|| format!("note: nothing was ever taken in or declared for tenant {tenant}{others}"))
}

/// Says so where nothing is known of `tenant`, of whom nothing was found; whether it did.
pub(crate) async fn note_unknown(engine: &Engine, tenant: &TenantId) -> bool {
    // What was found is nothing, whether or not more can be said of it.
    let note = engine.tenants().await.ok().and_then(|tenants| of_unknown(tenant.as_str(), &tenants));
    note.as_deref().map(say).is_some()
}

/// The tenants that there are beside `tenant`, to be appended to a sentence.
fn others_than(tenant: &str, tenants: &[String]) -> String {
    let others: Vec<&str> = tenants.iter().map(String::as_str).filter(|other| *other != tenant).collect();
    if others.is_empty() { String::new() } else { format!("; there are tenants {}", listed(&others)) }
}

fn is_unknown_table(error: &Error) -> bool {
    error.context().iter().any(|(name, value)| *name == "code" && value == "unknown_table")
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES_MAX).map(|name| screened(name).into_owned()).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// What is to be said of a source that was taken in and had no event; none when it had some.
pub(crate) fn of_empty(counts: &Counts, is_csv: bool) -> Option<&'static str> {
    if counts.accepted + counts.rejected_total() > 0 {
        return None;
    }
    Some(match (is_csv, counts.bytes) {
        (_, 0) => "there is nothing in it",
        (true, _) => "there is one row in it, which names the columns, and no event",
        (false, _) => "there is no event in it",
    })
}

/// What helps against the most frequent rejections.
pub(crate) fn of_rejections(counts: &Counts, tenant: &str, is_csv: bool) -> Vec<String> {
    let rejected = &counts.rejected;
    let mut hints = Vec::new();
    let nameless = ["metric_missing", "timestamp_missing"];
    if is_csv && rejected.keys().any(|code| nameless.contains(&code.as_str())) {
        hints.push("the first row of a CSV file names its columns".to_owned());
    }
    for code in rejected.keys() {
        let schema = format!("fineo schema --tenant {tenant} set");
        match code.as_str() {
            "metric_missing" => hints.push(format!(
                "--metric M says what kind of events these are, {schema} --metric-keys KEY which key of an event does"
            )),
            "timestamp_missing" => hints.push(format!(
                "{schema} --timestamp-aliases KEY says which key has the time, --missing-timestamp arrival takes the time of arrival"
            )),
            "timestamp_unreadable" => hints.push(format!(
                "{schema} --timestamp-formats FORMAT says how times are written, such as '%d/%m/%Y %H:%M'"
            )),
            _ => {}
        }
    }
    if counts.has_kept_rejected() {
        hints.push(format!("fineo errors --tenant {tenant} shows what was rejected, and why"));
    }
    hints
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Counts, of_empty, of_rejections};

    #[test]
    fn a_source_without_events_is_told_from_one_with_some() {
        let counts = |accepted, bytes| Counts { accepted, bytes, ..Counts::default() };
        assert_eq!(of_empty(&counts(1, 9), true), None);
        assert!(of_empty(&counts(0, 0), true).unwrap().contains("nothing"));
        assert!(of_empty(&counts(0, 9), true).unwrap().contains("names the columns"));
        assert!(of_empty(&counts(0, 9), false).unwrap().contains("no event"));
    }

    #[test]
    fn rejections_that_a_setting_helps_against_name_it() {
        let rejected = BTreeMap::from([("timestamp_missing".to_owned(), 1), ("duplicate_key".to_owned(), 1)]);
        let mut counts = Counts { rejected, ..Counts::default() };
        let hints = of_rejections(&counts, "t", false);
        assert_eq!(hints.len(), 2, "{hints:?}");
        assert!(hints[0].contains("--tenant t set --timestamp-aliases"), "{hints:?}");
        assert!(of_rejections(&counts, "t", true)[0].contains("first row"));
        // What was refused at the edge is not among the errors.
        counts.refusals = vec![(0, "refused".to_owned()), (1, "refused".to_owned())];
        assert_eq!(of_rejections(&counts, "t", false).len(), 1);
    }
}
