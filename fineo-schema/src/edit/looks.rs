//! Warns of a name that looks like another one and is not. Nothing is merged by its looks.

use std::collections::HashMap;

use fineo_core::Result;
use unicode_security::skeleton;

use super::Edit;
use crate::document::Name;

/// What names look like, and whose they are: by metric those of fields, by none those of metrics.
#[derive(Debug, Default)]
pub(super) struct Looks(HashMap<Option<u64>, HashMap<String, (Name, u64)>>);

impl Edit {
    /// Notes where `wanted`, which `holder` has now, looks like a name of another field of `metric`, or of another metric.
    pub(super) fn warn_of_looks(&mut self, metric: Option<u64>, holder: u64, wanted: &str) -> Result<()> {
        if !self.looks.0.contains_key(&metric) {
            let known = self.names_within(metric).into_iter().filter(|(name, _)| **name != *wanted);
            let known = known.map(|(name, holder)| (skeleton(&name).collect(), (name, holder))).collect();
            self.looks.0.insert(metric, known);
        }
        let looks = self.looks.0.entry(metric).or_default();
        let look: String = skeleton(wanted).collect();
        let Some((other, _)) = looks.get(&look).filter(|(_, known)| *known != holder).cloned() else {
            looks.insert(look, (wanted.into(), holder));
            return Ok(());
        };
        let point =
            |name: &str, at| name.chars().nth(at).map_or_else(String::new, |found| format!("U+{:04X}", found as u32));
        let at = wanted.chars().zip(other.chars()).take_while(|(one, another)| one == another).count();
        let (one, another) = (point(wanted, at), point(&other, at));
        self.note(format!("warning: {wanted} ({one}) only looks like {other} ({another}): it is a name of its own"))
    }

    fn names_within(&self, metric: Option<u64>) -> Vec<(Name, u64)> {
        let mut names = Vec::new();
        match metric {
            Some(metric) => {
                let fields = self.state.metrics.get(&metric).into_iter().flat_map(|document| &document.fields);
                for (number, field) in fields {
                    names.extend(field.names.iter().map(|name| (name.clone(), u64::from(*number))));
                }
            }
            None => {
                for (number, entry) in self.state.tenant.metrics.iter().filter(|(_, entry)| entry.is_live()) {
                    names.extend(entry.names.iter().map(|name| (name.clone(), *number)));
                }
            }
        }
        names
    }
}
