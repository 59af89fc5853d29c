//! The merge of two metrics: names, fields, settings. Rows are not touched.

use std::collections::HashSet;

use fineo_core::{Error, MetricId, Result};

mod units;

use self::units::Sides;
use super::{Edit, clash};
use crate::document::{FieldDocument, MetricDocument, Name};

impl Edit {
    pub(super) fn merge_metric(&mut self, from: &str, into: &str) -> Result<()> {
        let (source, target) = (self.metric_number(from)?, self.metric_number(into)?);
        if source == target {
            return Err(Error::invalid("a metric cannot be merged into itself").with("metric", into));
        }
        self.merge_into(source, target)
    }

    /// Lets the names and rows of `source` answer under `target`.
    pub(super) fn merge_into(&mut self, source: u64, target: u64) -> Result<()> {
        let (from, into) = (self.display(source), self.display(target));
        let source_document = self.state.metrics.get(&source).cloned().unwrap_or_default();
        let target_document = self.state.metrics.get(&target).cloned().unwrap_or_default();
        for (name, document) in [(&from, &source_document), (&into, &target_document)] {
            if !document.deletions.is_empty() {
                let fields: Vec<&str> = document.deletions.keys().map(String::as_str).collect();
                // A deletion is of one metric's rows; merged, it would also take, or give back, the other's.
                return Err(Error::invalid("values of the metric were deleted, so it cannot take part in a merge")
                    .with("metric", name)
                    .with("fields", fields.join(", ")));
            }
        }
        let declared = source_document.fields.values().flat_map(|field| &field.names);
        if let Some(name) = declared.into_iter().find(|name| target_document.ruled_out.contains(name)) {
            let error = Error::invalid("the field is ruled out there; rule it in first").with("field", name);
            return Err(error.with("metric", &into));
        }
        self.note(format!("merge metric {from} ({}) into {into}", MetricId::numbered(source)))?;
        let sides = Sides::of(&self.state, source, target, !source_document.fields.is_empty());
        let entry = self.entry(source)?;
        entry.merged_into = Some(target);
        let (names, is_declared) = (entry.names.clone(), entry.is_declared);
        if is_declared {
            self.declare_for_field(target)?;
        }
        self.entry(target)?.names.extend(names);
        let mut joined = HashSet::new();
        for field in source_document.fields.values() {
            self.merge_field(target, field, &sides, &mut joined)?;
        }
        if *source_document != MetricDocument::default() {
            merge_settings(self.document(target), &source_document);
            for (setting, of_source, of_target) in settings_of_one(&source_document, &target_document) {
                self.note(format!(
                    "the {setting} of {from}, {of_source}, holds no more: that of {into} does, {of_target}"
                ))?;
            }
        }
        Ok(())
    }

    /// Brings a field of a merged metric in: as aliases of the field that shares a name, else as a new one.
    fn merge_field(
        &mut self,
        target: u64,
        field: &FieldDocument,
        sides: &Sides,
        joined: &mut HashSet<u32>,
    ) -> Result<()> {
        let mut holders: Vec<u32> =
            field.names.iter().filter_map(|name| self.holder_of_field_name(target, name)).collect();
        holders.sort_unstable();
        holders.dedup();
        match *holders.as_slice() {
            [] => {
                let document = self.document(target);
                document.next_field = document.next_field.max(1);
                let number = document.next_field;
                document.next_field += 1;
                let conversions = sides.bring(field)?;
                document.fields.insert(number, FieldDocument { conversions, ..field.clone() });
                field.names.iter().for_each(|name| self.know_field(target, name));
                let state = if field.hidden_since.is_some() { ", hidden" } else { "" };
                self.note(format!("declare field {} ({}, f{number}{state}) there", field.names[0], field.field_type))
            }
            [holder] => {
                let is_first = joined.insert(holder);
                self.join_field(target, holder, field, sides, is_first)
            }
            [first, ..] => {
                let document = self.document(target);
                let holder = document.fields.get(&first).map_or("", |held| &held.names[0]);
                Err(clash("field", &field.names[0], holder).with("why", "its names belong to several fields there"))
            }
        }
    }

    /// Lets the field `holder` take over the names and values of one of a merged metric.
    fn join_field(
        &mut self,
        target: u64,
        holder: u32,
        field: &FieldDocument,
        sides: &Sides,
        is_first: bool,
    ) -> Result<()> {
        let held = self.field(target, holder)?;
        let (conversions, lost) = sides.join(held, field)?;
        if !is_first && !conversions.is_empty() {
            let message = "two fields of the metric would become one, with values in different units; give them other names first";
            let error = Error::invalid(message).with("field", &field.names[0]).with("into_field", &held.names[0]);
            return Err(error.with("from", &sides.from).with("into", &sides.into));
        }
        let name = Name::clone(&held.names[0]);
        let missing: Vec<Name> = field.names.iter().filter(|name| !held.names.contains(name)).cloned().collect();
        held.names.extend(missing.iter().cloned());
        let is_other = held.field_type != field.field_type || !missing.is_empty() || !conversions.is_empty();
        let takes_over = format!("field {name} ({}) takes over {}", held.field_type, field.names[0]);
        let is_scoped = !conversions.is_empty();
        held.conversions.splice(0..0, conversions);
        // What either side hides stays unreadable by any name until somebody unhides it.
        let is_one_hidden = held.hidden_since.is_some() != field.hidden_since.is_some();
        held.hidden_since = held.hidden_since.into_iter().chain(field.hidden_since).min();
        missing.iter().for_each(|name| self.know_field(target, name));
        let from = &sides.from;
        let lines = [
            is_other.then_some(takes_over),
            is_scoped.then(|| {
                format!("field {name}: values of events of {from} are converted as before, by {from}'s names")
            }),
            lost.map(|lost| format!("field {name}: {lost}")),
            is_one_hidden.then(|| format!("field {name} is hidden, because one of the two was; unhide it to read it")),
        ];
        lines.into_iter().flatten().try_for_each(|line| self.note(line))
    }
}

/// The settings of which one metric has one value and `source` has another than `target`: their names and values.
fn settings_of_one(source: &MetricDocument, target: &MetricDocument) -> Vec<(&'static str, String, String)> {
    let identity = |of: &MetricDocument| of.identity.last().and_then(|entry| entry.identity).map(|is| is.to_string());
    let missing = |of: &MetricDocument| of.missing_timestamp.map(|is| is.to_string());
    let days = |of: &MetricDocument| of.retain_days.map(|is| is.to_string());
    let settings = [
        ("identity", identity(source), identity(target)),
        ("missing-timestamp", missing(source), missing(target)),
        ("retain-days", days(source), days(target)),
    ];
    let held = |of: Option<String>| of.unwrap_or_else(|| "as the tenant says".to_owned());
    let differing = settings.into_iter().filter(|(_, source, target)| source.is_some() && source != target);
    differing.map(|(setting, source, target)| (setting, held(source), held(target))).collect()
}

fn merge_settings(target: &mut MetricDocument, source: &MetricDocument) {
    for alias in &source.timestamp_aliases {
        if !target.timestamp_aliases.contains(alias) {
            target.timestamp_aliases.push(alias.clone());
        }
    }
    for format in &source.timestamp_formats {
        if !target.timestamp_formats.contains(format) {
            target.timestamp_formats.push(format.clone());
        }
    }
    for name in &source.ruled_out {
        let is_declared = target.fields.values().any(|field| field.names.contains(name));
        if !is_declared && !target.ruled_out.contains(name) {
            target.ruled_out.push(name.clone());
        }
    }
}
