//! What a change of types leaves without a typed value, as far as is known without reading what is stored.

use std::sync::Arc;

use crate::{Change, Metric, SeenNames, TenantSchema};

/// A line for every name under which values are known that do not fit the type that `changes` gave their field in `schema`.
///
/// `seen` tells of each metric's names. It knows some of the values only: nothing said does not mean that all fit.
pub fn misfits(schema: &TenantSchema, changes: &[Change], seen: &dyn Fn(&Metric) -> Arc<SeenNames>) -> Vec<String> {
    let mut lines = Vec::new();
    for (metric, field) in changes.iter().filter_map(typed) {
        let Some(metric) = schema.metric_named(metric) else { continue };
        let Some(field) = metric.field_named(field).filter(|field| !field.is_hidden()) else { continue };
        let seen = seen(metric);
        for stats in field.names.iter().filter_map(|name| seen.told_of(metric, name)) {
            let Some(unfit) = stats.unfit(field.field_type).filter(|unfit| *unfit > 0) else { continue };
            let line = format!(
                "metric {}: {unfit} of {} values that were tried as {} are not {}, and are null in {}",
                metric.name(),
                stats.tried,
                stats.name,
                field.field_type,
                field.name()
            );
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// The metric and the field whose values are read as another type by `change`.
fn typed(change: &Change) -> Option<(&str, &str)> {
    if let Change::AddField { metric, name: field, .. }
    | Change::AddFieldAlias { metric, field, .. }
    | Change::RetypeField { metric, field, .. } = change
    {
        Some((metric, field))
    } else {
        None
    }
}
