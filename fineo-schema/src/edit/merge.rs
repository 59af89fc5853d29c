//! The merge of two metrics: names, fields, settings. Rows are not touched.

use fineo_core::{Error, MetricId, Result};

use super::{Edit, clash};
use crate::document::{FieldDocument, MetricDocument};

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
        self.note(format!("merge metric {from} ({}) into {into}", MetricId::numbered(source)))?;
        let entry = self.entry(source)?;
        entry.merged_into = Some(target);
        let (names, is_declared) = (entry.names.clone(), entry.is_declared);
        if is_declared {
            self.declare_for_field(target)?;
        }
        self.entry(target)?.names.extend(names);
        for field in source_document.fields.values() {
            self.merge_field(target, field)?;
        }
        if *source_document != MetricDocument::default() {
            merge_settings(self.document(target), &source_document);
        }
        Ok(())
    }

    /// Brings a field of a merged metric in: as aliases of the field that shares a name, else as a new one.
    fn merge_field(&mut self, target: u64, field: &FieldDocument) -> Result<()> {
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
                document.fields.insert(number, field.clone());
                field.names.iter().for_each(|name| self.know_field(target, name));
                self.note(format!("declare field {} ({}, f{number}) there", field.names[0], field.field_type))
            }
            [holder] => {
                let document = self.document(target);
                let Some(held) = document.fields.get_mut(&holder) else { return Ok(()) };
                let missing = field.names.iter().filter(|name| !held.names.contains(name));
                let missing: Vec<_> = missing.cloned().collect();
                held.names.extend(missing.iter().cloned());
                let line = format!("field {} ({}) takes over {}", held.names[0], held.field_type, field.names[0]);
                let is_other = held.field_type != field.field_type || !missing.is_empty();
                // What either side hides stays unreadable by any name until somebody unhides it.
                let is_one_hidden = held.hidden_since.is_some() != field.hidden_since.is_some();
                held.hidden_since = held.hidden_since.into_iter().chain(field.hidden_since).min();
                let hidden =
                    format!("field {} is hidden, because one of the two was; unhide it to read it", held.names[0]);
                missing.iter().for_each(|name| self.know_field(target, name));
                if is_other {
                    self.note(line)?;
                }
                if is_one_hidden { self.note(hidden) } else { Ok(()) }
            }
            [first, ..] => {
                let document = self.document(target);
                let holder = document.fields.get(&first).map_or("", |held| &held.names[0]);
                Err(clash("field", &field.names[0], holder).with("why", "its names belong to several fields there"))
            }
        }
    }
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
